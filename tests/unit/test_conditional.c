/* SPDX-License-Identifier: PostgreSQL
 *
 * Conditional requests from the registry's side: which ETag a job carries, and what a 304 changes.
 * Time is a parameter, so hours pass at once. How they look on the wire: test_etag.c among the
 * integration tests.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME "one.example"

/* A backoff of the greatest length. */
#define MOST UINT32_MAX

static struct hf_completed end(struct fixture *f, const struct hf_job *job, enum hf_outcome outcome,
    uint16_t status, const char *etag, int64_t now)
{
    struct hf_completion completion = {.outcome = outcome,
        .http_status = status,
        .document = {.sent = 7, .on = 1, .ttl_seconds = 0},
        .etag = etag,
        .message = ""};

    return hf_registry_complete(
        &f->registry, job, &completion, now, outcome == HF_OUTCOME_OK ? 0 : MOST);
}

/* A 200 with flag a on. */
static void answer(struct fixture *f, const struct hf_job *job, const char *etag, int64_t now)
{
    end(f, job, HF_OUTCOME_OK, 200, etag, now);
}

/* A 304 to the job's own ETag. */
static void confirm(struct fixture *f, const struct hf_job *job, int64_t now)
{
    CHECK(job->etag[0] != '\0');
    end(f, job, HF_OUTCOME_OK, 304, "", now);
}

/* A 304 to a job without ETag. */
static struct hf_completed misanswer(struct fixture *f, const struct hf_job *job, int64_t now)
{
    return end(f, job, HF_OUTCOME_HTTP, 304, "\"of the 304\"", now);
}

static hf_handle connect_with_etag(struct fixture *f, const char *etag, int64_t now)
{
    hf_handle handle = connect_at(f, NAME, now);
    struct hf_job job;

    CHECK(take(f, now, &job));
    CHECK_STR_EQ(job.etag, "");
    answer(f, &job, etag, now);
    return handle;
}

/* ---- a 304 to our own ETag ---- */

static void test_renews(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    for (int64_t now = 80 * SECOND, i = 1; i <= 5; i++, now += 80 * SECOND) {
        CHECK(!take(&f, now - 1, &job));
        CHECK(take(&f, now, &job));
        CHECK_STR_EQ(job.etag, "\"x\"");
        confirm(&f, &job, now);
        CHECK(view_of(&f, NAME, now, &view));
        CHECK_INT_EQ(view.facts.fetched_ms, now);
        CHECK_INT_EQ(view.facts.ttl_ms, 100 * SECOND);
        CHECK_INT_EQ(view.facts.http_status, 304);
        CHECK_INT_EQ(view.not_modified, i);
        CHECK_INT_EQ(view.requests, i + 1);
        CHECK_INT_EQ(state_of(&f, NAME, now + 100 * SECOND - 1), HF_FRESH);
        CHECK_INT_EQ(read_flag(&f, one, 0), 1);
        CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    }
    CHECK_INT_EQ(hf_registry_totals(&f.registry).not_modified, 5);
    CHECK_INT_EQ(hf_registry_totals(&f.registry).requests[HF_OUTCOME_OK], 6);
    CHECK_INT_EQ(hf_registry_totals(&f.registry).published[HF_BY_SERVICE], 6 * 3);
    fixture_close(&f);
}

/* The TTL is that of the 200, whatever the setting has become. */
static void test_ttl_of_its_200(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    FIXTURE_OPEN(&f, "ttl", "100s");

    connect_with_etag(&f, "\"x\"", 0);
    FIXTURE_RELOAD(&f, SECOND, "ttl", "1h", "ttl_min", "10min");
    CHECK(take(&f, 80 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "\"x\"");
    confirm(&f, &job, 80 * SECOND);
    CHECK(view_of(&f, NAME, 80 * SECOND, &view));
    CHECK_INT_EQ(view.facts.ttl_ms, 100 * SECOND);
    CHECK(!take(&f, 160 * SECOND - 1, &job));
    CHECK(take(&f, 160 * SECOND, &job));
    fixture_close(&f);
}

static void test_clears_failures(void)
{
    struct fixture f;
    struct hf_job job;
    int64_t now = 80 * SECOND;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    for (int i = 0; i < 3; i++, now += 21 * SECOND) {
        CHECK(take(&f, now, &job));
        CHECK_STR_EQ(job.etag, "\"x\"");
        end(&f, &job, HF_OUTCOME_HTTP, 500, "", now);
    }
    CHECK_INT_EQ(state_of(&f, NAME, now), HF_STALE);
    CHECK(take(&f, now, &job));
    confirm(&f, &job, now);
    CHECK_INT_EQ(state_of(&f, NAME, now), HF_FRESH);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(take(&f, now + 80 * SECOND, &job));
    CHECK_INT_EQ(fail_with(&f, &job, 500, now + 80 * SECOND).next_ms, 5 * SECOND);
    fixture_close(&f);
}

static void test_after_max_stale(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s", "max_stale", "10s", "defaults", "b=on");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    CHECK(take(&f, 80 * SECOND, &job));
    end(&f, &job, HF_OUTCOME_HTTP, 404, "", 80 * SECOND); /* 16.5 min */
    CHECK(!take(&f, 110 * SECOND, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    CHECK(take(&f, HOUR, &job));
    CHECK_STR_EQ(job.etag, "\"x\"");
    confirm(&f, &job, HOUR);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    CHECK_INT_EQ(state_of(&f, NAME, HOUR), HF_FRESH);
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HOUR + 80 * SECOND);
    fixture_close(&f);
}

/* ---- a 304 to nothing ---- */

static void test_once_more(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    CHECK_INT_EQ(misanswer(&f, &job, 0).next_ms, 0);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(take(&f, 0, &job));
    CHECK_STR_EQ(job.etag, "");
    answer(&f, &job, "\"x\"", 0);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(view_of(&f, NAME, 0, &view));
    CHECK_INT_EQ(view.requests, 2);
    CHECK_INT_EQ(view.facts.failures, 0);
    CHECK_INT_EQ(view.not_modified, 0);
    CHECK(!take(&f, 80 * SECOND - 1, &job));
    fixture_close(&f);
}

static void test_only_once_more(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    misanswer(&f, &job, 0);
    CHECK(take(&f, 0, &job));
    struct hf_completed done = misanswer(&f, &job, 0);
    CHECK_INT_EQ(done.next_ms, 5 * SECOND);
    CHECK_INT_EQ(done.failures, 1);
    CHECK(done.report);
    CHECK(!take(&f, 5 * SECOND - 1, &job));
    CHECK(take(&f, 5 * SECOND, &job));
    CHECK_INT_EQ(misanswer(&f, &job, 5 * SECOND).next_ms, 10 * SECOND);
    fixture_close(&f);
}

/* The last connection leaves between the answer and the second request. */
static void test_once_more_for_nobody(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    misanswer(&f, &job, 0);
    CHECK(hf_registry_release(&f.registry, one, 0));
    CHECK(!take(&f, 0, &job));
    connect_at(&f, NAME, 10);
    CHECK(!take(&f, 5 * SECOND - 1, &job));
    CHECK(take(&f, 5 * SECOND, &job));
    fixture_close(&f);
}

/* It does not touch values that came without an ETag, and the next one after a success is again
 * worth one more. */
static void test_values_without_etag(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_with_etag(&f, "", 0);
    for (int64_t now = 80 * SECOND; now < HOUR; now += 80 * SECOND) {
        CHECK(take(&f, now, &job));
        CHECK_STR_EQ(job.etag, "");
        CHECK_INT_EQ(misanswer(&f, &job, now).next_ms, 0);
        CHECK_INT_EQ(read_flag(&f, one, 0), 1);
        CHECK_INT_EQ(state_of(&f, NAME, now + 20 * SECOND), HF_STALE); /* not renewed */
        CHECK(take(&f, now, &job));
        answer(&f, &job, "", now);
        CHECK(!take(&f, now, &job));
    }
    fixture_close(&f);
}

/* What a service answers, again and again. */
enum habit { ALWAYS_304, FIRST_304, FIRST_500 };

static void answer_by_habit(
    struct fixture *f, const struct hf_job *job, enum habit habit, int number, int64_t now)
{
    bool not_modified = habit == ALWAYS_304 || (number % 2 == 0) == (habit == FIRST_304);

    if (not_modified)
        misanswer(f, job, now);
    else
        end(f, job, HF_OUTCOME_HTTP, 500, "", now);
}

/* Ten minutes, looked at each 100 ms. Connections come and go where cycles is set: they stay until
 * their host's request is on its way, and its answer comes when they are gone. Requests. */
static int ask_by_habit(enum habit habit, const char *linger, bool cycles)
{
    struct fixture f;
    struct hf_job job;
    int requests = 0;
    FIXTURE_OPEN(&f, "linger", linger);

    hf_handle one = cycles ? 0 : connect_at(&f, NAME, 0);
    for (int64_t now = 0; now < 10 * MINUTE; now += 100) {
        if (cycles)
            one = connect_at(&f, NAME, now);
        bool taken = take(&f, now, &job);
        if (cycles)
            CHECK(hf_registry_release(&f.registry, one, now + 10));
        while (taken) {
            answer_by_habit(&f, &job, habit, requests++, now + 50);
            taken = take(&f, now + 50, &job);
        }
    }
    fixture_close(&f);
    return requests;
}

/* Backoffs of 5, 10, 20, ... 320 s: requests at 0, 5, 15, 35, 75, 155 and 315 s; where somebody
 * holds the host, one more at 0. */
static void test_one_per_window(void)
{
    CHECK_INT_EQ(ask_by_habit(ALWAYS_304, "1h", false), 8);
    CHECK_INT_EQ(ask_by_habit(FIRST_304, "1h", false), 8);
    CHECK_INT_EQ(ask_by_habit(FIRST_500, "1h", false), 7);
}

static void test_one_per_window_cycles(void)
{
    static const char *const lingers[] = {"0", "1s", "1h"};

    for (size_t i = 0; i < COUNT(lingers); i++) {
        CHECK_INT_EQ(ask_by_habit(ALWAYS_304, lingers[i], true), 7);
        CHECK_INT_EQ(ask_by_habit(FIRST_304, lingers[i], true), 7);
        CHECK_INT_EQ(ask_by_habit(FIRST_500, lingers[i], true), 7);
    }
}

/* ---- another life ---- */

static void test_earlier_life(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0", "ttl", "100s");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    CHECK(take(&f, 80 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "\"x\"");
    CHECK(hf_registry_release(&f.registry, one, 81 * SECOND));
    one = connect_at(&f, NAME, 82 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    confirm(&f, &job, 83 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(state_of(&f, NAME, 83 * SECOND), HF_UNKNOWN);
    CHECK(take(&f, 83 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "");
    answer(&f, &job, "\"y\"", 83 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    fixture_close(&f);
}

static void test_new_life(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1h", "ttl", "100s");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    one = connect_at(&f, NAME, 99 * SECOND); /* the same life */
    CHECK(take(&f, 100 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "\"x\"");
    confirm(&f, &job, 100 * SECOND);
    CHECK(hf_registry_release(&f.registry, one, 101 * SECOND));
    CHECK(!take(&f, 180 * SECOND, &job)); /* nobody holds it when it is due */
    connect_at(&f, NAME, 200 * SECOND); /* it has left by its TTL */
    CHECK(take(&f, 200 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "");
    fixture_close(&f);
}

/* A slot that another host has now. */
static void test_another_host(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0", "max_hosts", "1");

    hf_handle one = connect_with_etag(&f, "\"x\"", 0);
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    CHECK(connect_at(&f, "two.example", 2 * SECOND) != 0);
    CHECK(take(&f, 2 * SECOND, &job));
    CHECK_STR_EQ(job.etag, "");
    fixture_close(&f);
}

/* ---- reload ---- */

static void test_reload(void)
{
    static const struct {
        const char *pairs[5];
        const char *etag;
    } rows[] = {
        {{"ttl", "1h"}, "\"x\""},
        {{"ttl_min", "1s", "ttl_max", "2h"}, "\"x\""},
        {{"defaults", "b=on"}, "\"x\""},
        {{"overrides", "a=off"}, "\"x\""},
        {{"max_stale", "1h", "linger", "0"}, "\"x\""},
        {{"request_timeout", "1s", "max_in_flight", "1"}, "\"x\""},
        {{"allowed_hosts", "*.example"}, "\"x\""},
        {{"endpoint", "/other"}, ""},
        {{"service", "https://flags.example"}, ""},
        {{"client", "OTHER"}, ""},
        {{"client_version", "1.0.1"}, ""},
        {{"token_file", "/nowhere/{host}"}, ""},
    };
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(rows); i++) {
        FIXTURE_OPEN(&f, "ttl", "100s");
        hf_handle one = connect_with_etag(&f, "\"x\"", 0);
        fixture_reload(&f, SECOND, rows[i].pairs);
        CHECK(take(&f, 100 * SECOND, &job));
        if (!CHECK_STR_EQ(job.etag, rows[i].etag))
            fprintf(stderr, "%s = %s\n", rows[i].pairs[0], rows[i].pairs[1]);
        CHECK_INT_EQ(hf_registry_read(&f.registry, one, 1) | read_flag(&f, one, 0),
            i != 3); /* values stay but for the override */
        fixture_close(&f);
    }
}

/* ---- C72 ---- */

static void test_etag_of_a_bad_answer(void)
{
    static const struct {
        enum hf_outcome outcome;
        uint16_t status;
    } rows[] = {
        {HF_OUTCOME_HTTP, 500},
        {HF_OUTCOME_HTTP, 404},
        {HF_OUTCOME_HTTP, 201},
        {HF_OUTCOME_HTTP, 429},
        {HF_OUTCOME_PARSE, 200},
        {HF_OUTCOME_TOO_LARGE, 200},
        {HF_OUTCOME_TIMEOUT, 200},
        {HF_OUTCOME_CONNECT, 200},
    };
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(rows); i++) {
        FIXTURE_OPEN(&f, "ttl", "100s");
        connect_at(&f, NAME, 0); /* nothing is known */
        CHECK(take(&f, 0, &job));
        end(&f, &job, rows[i].outcome, rows[i].status, "\"bad\"", 0);
        CHECK(take(&f, HOUR, &job));
        CHECK_STR_EQ(job.etag, "");
        answer(&f, &job, "\"x\"", HOUR); /* something is */
        CHECK(take(&f, 2 * HOUR, &job));
        CHECK_STR_EQ(job.etag, "\"x\"");
        end(&f, &job, rows[i].outcome, rows[i].status, "\"bad\"", 2 * HOUR);
        CHECK(take(&f, 3 * HOUR, &job));
        CHECK_STR_EQ(job.etag, "\"x\"");
        fixture_close(&f);
    }
}

static void test_next_200(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    connect_with_etag(&f, "\"x\"", 0);
    CHECK(take(&f, HOUR, &job));
    answer(&f, &job, "W/\"y\"", HOUR);
    CHECK(take(&f, 2 * HOUR, &job));
    CHECK_STR_EQ(job.etag, "W/\"y\"");
    answer(&f, &job, "", 2 * HOUR); /* the new values have none */
    CHECK(take(&f, 3 * HOUR, &job));
    CHECK_STR_EQ(job.etag, "");
    fixture_close(&f);
}

static const struct hf_test tests[] = {
    {"C71 a 304 renews the values for the TTL of their 200", test_renews},
    {"C71 C84 the same with another setting ttl meanwhile", test_ttl_of_its_200},
    {"C63 C71 a 304 clears failures", test_clears_failures},
    {"C67 C71 after max_stale a 304 brings the values back", test_after_max_stale},
    {"C71 a 304 to nothing: one request more", test_once_more},
    {"C62 C71 a second one is a failure, with backoff", test_only_once_more},
    {"C62 C71 nor is it a second one when nobody holds the host any more",
        test_once_more_for_nobody},
    {"C71 a 304 to nothing renews no values", test_values_without_etag},
    {"C62 C71 304 for ever, or by turns with 500: one request per window", test_one_per_window},
    {"C62 C71 the same where connections come and go", test_one_per_window_cycles},
    {"C11 C71 a 304 for an earlier life changes nothing", test_earlier_life},
    {"C71 a new life begins without ETag", test_new_life},
    {"C71 another host in the slot begins without ETag", test_another_host},
    {"C71 C84 a reload that changes requests drops ETags, others do not", test_reload},
    {"C72 the ETag of a bad answer is not used, that of the values stays",
        test_etag_of_a_bad_answer},
    {"C71 C72 the next 200 replaces the ETag, or ends it", test_next_200},
};

int main(int argc, char **argv)
{
    return hf_suite_run("conditional", tests, COUNT(tests), argc, argv);
}

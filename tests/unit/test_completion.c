/* SPDX-License-Identifier: PostgreSQL
 *
 * What the end of a request changes: Retry-After, refusals, what expires, and the sums. Time is a
 * parameter, so hours pass at once. About 304 and ETags: test_conditional.c.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME "one.example"

#define LEAST 0
#define MOST UINT32_MAX

/* status: of an answer that is no 200. */
static struct hf_completed refuse(struct fixture *f, const struct hf_job *job, uint16_t status,
    int64_t retry_after_ms, int64_t now, uint32_t jitter)
{
    struct hf_completion completion = {.outcome = HF_OUTCOME_HTTP,
        .http_status = status,
        .etag = "",
        .retry_after_ms = retry_after_ms,
        .message = "refused"};

    return hf_registry_complete(&f->registry, job, &completion, now, jitter);
}

static enum hf_refresh_result refresh(struct fixture *f, int64_t now)
{
    struct hf_upstream_key key = key_of(NAME);

    return hf_registry_refresh(&f->registry, &key, now);
}

static int64_t retry_at(struct fixture *f, int64_t now)
{
    struct hf_view view;

    return view_of(f, NAME, now, &view) ? view.facts.retry_at_ms : -1;
}

/* ---- Retry-After ---- */

/* From `now` on the host is not asked before `due`, whoever wants it, and then it is. */
static void check_due(struct fixture *f, int64_t now, int64_t due)
{
    struct hf_job job;

    CHECK(!take(f, now, &job));
    CHECK(!take(f, due - 1, &job));
    CHECK(take(f, due, &job));
}

static void test_floor(void)
{
    static const struct {
        uint16_t status;
        int64_t retry_after_ms;
        uint32_t jitter;
        int64_t due;
    } rows[] = {
        {429, MINUTE, LEAST, MINUTE},
        {429, MINUTE, MOST, MINUTE * 3 / 2},
        {503, MINUTE, LEAST, MINUTE},
        {503, MINUTE, MOST, MINUTE * 3 / 2},
        {429, 1, LEAST, 2500}, /* the backoff is longer */
        {429, 4000, LEAST, 4000},
        {429, HOUR, LEAST, HOUR},
        {429, HOUR, MOST, HOUR},
        {503, INT64_MAX, MOST, HOUR},
    };
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(rows); i++) {
        FIXTURE_OPEN(&f, "ttl", "1h");
        connect_at(&f, NAME, 0);
        CHECK(take(&f, 0, &job));
        CHECK_INT_EQ(
            refuse(&f, &job, rows[i].status, rows[i].retry_after_ms, 0, rows[i].jitter).next_ms,
            rows[i].due);
        check_due(&f, 0, rows[i].due);
        fixture_close(&f);
    }
}

/* The backoff has grown beyond the Retry-After. */
static void test_backoff_is_longer(void)
{
    struct fixture f;
    struct hf_job job;
    int64_t now = 0;
    FIXTURE_OPEN(&f, "ttl", "1h");

    connect_at(&f, NAME, 0);
    for (int i = 0; i < 8; i++) {
        CHECK(take(&f, now, &job));
        now += refuse(&f, &job, 429, 10 * SECOND, now, LEAST).next_ms;
    }
    CHECK_INT_EQ(now, (10 + 10 + 10 + 20 + 40 + 80 + 160 + 300) * SECOND);
    CHECK(take(&f, now, &job));
    refuse(&f, &job, 429, 10 * SECOND, now, LEAST); /* 300 s, but nobody may ask for 10 s */
    CHECK_INT_EQ(refresh(&f, now + 10 * SECOND - 1), HF_REFRESH_TOO_SOON);
    CHECK_INT_EQ(refresh(&f, now + 10 * SECOND), HF_REFRESH_PLANNED);
    check_due(&f, now + 10 * SECOND - 1, now + 10 * SECOND);
    fixture_close(&f);
}

static void test_refresh_waits(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "1h");

    connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    refuse(&f, &job, 429, MINUTE, 100, MOST);
    CHECK_INT_EQ(retry_at(&f, 100), 100 + MINUTE);
    for (int64_t now = 100; now < 100 + MINUTE; now += 100) {
        CHECK_INT_EQ(refresh(&f, now), HF_REFRESH_TOO_SOON);
        CHECK(!take(&f, now, &job));
    }
    CHECK_INT_EQ(refresh(&f, 100 + MINUTE - 1), HF_REFRESH_TOO_SOON);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, NULL, 100 + MINUTE - 1), HF_REFRESH_TOO_SOON);
    CHECK_INT_EQ(refresh(&f, 100 + MINUTE), HF_REFRESH_PLANNED);
    CHECK(take(&f, 100 + MINUTE, &job));
    fixture_close(&f);
}

static void test_ignored_elsewhere(void)
{
    static const uint16_t statuses[] = {301, 400, 401, 403, 404, 408, 500, 502, 504};
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(statuses); i++) {
        FIXTURE_OPEN(&f, "ttl", "1h");
        connect_at(&f, NAME, 0);
        CHECK(take(&f, 0, &job));
        CHECK(refuse(&f, &job, statuses[i], HOUR, 0, MOST).next_ms < HOUR);
        CHECK_INT_EQ(retry_at(&f, 0), 0);
        CHECK_INT_EQ(refresh(&f, SECOND), HF_REFRESH_PLANNED);
        fixture_close(&f);
    }
}

/* Whether the document can be read or not. */
static void test_ignored_in_a_200(void)
{
    struct fixture f;
    struct hf_job job;

    for (int good = 0; good <= 1; good++) {
        struct hf_completion completion = {.outcome = good ? HF_OUTCOME_OK : HF_OUTCOME_PARSE,
            .http_status = 200,
            .document = {.sent = 7},
            .etag = "",
            .retry_after_ms = HOUR,
            .message = ""};
        FIXTURE_OPEN(&f, "ttl", "100s");
        connect_at(&f, NAME, 0);
        CHECK(take(&f, 0, &job));
        hf_registry_complete(&f.registry, &job, &completion, 0, LEAST);
        CHECK_INT_EQ(retry_at(&f, 0), 0);
        check_due(&f, 0, good ? 80 * SECOND : 2500);
        fixture_close(&f);
    }
}

/* The hour is over whoever came and went, and the table may be full of others. */
static void check_survives(const char *linger)
{
    struct fixture f;
    struct hf_job job;
    hf_handle one, other;
    FIXTURE_OPEN(&f, "linger", linger, "max_hosts", "2", "ttl", "1h");

    one = connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    refuse(&f, &job, 429, 50 * MINUTE, 0, LEAST);
    for (int64_t now = 0; now < 50 * MINUTE; now += 5 * SECOND) {
        CHECK(hf_registry_release(&f.registry, one, now));
        CHECK(!take(&f, now, &job));
        other =
            connect_and_answer(&f, now / 5000 % 2 == 0 ? "two.example" : "three.example", 1, now);
        CHECK(hf_registry_release(&f.registry, other, now));
        one = connect_at(&f, NAME, now);
        CHECK_INT_EQ(refresh(&f, now), HF_REFRESH_TOO_SOON);
        CHECK(!take(&f, now, &job));
    }
    CHECK(take(&f, 50 * MINUTE, &job));
    CHECK_INT_EQ(refuse(&f, &job, 429, 1, 50 * MINUTE, LEAST).failures, 2);
    fixture_close(&f);
}

static void test_survives(void)
{
    check_survives("0");
    check_survives("1s");
    check_survives("1h");
}

/* Nobody holds it for the whole time: what is left is a record. */
static void test_record_survives(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    CHECK(hf_registry_release(&f.registry, one, 0)); /* before the answer */
    refuse(&f, &job, 503, 50 * MINUTE, 100, LEAST);
    for (int64_t now = 100; now < 49 * MINUTE; now += SECOND)
        CHECK(!take(&f, now, &job));
    CHECK(connect_at(&f, NAME, 49 * MINUTE) != 0);
    CHECK_INT_EQ(refresh(&f, 50 * MINUTE), HF_REFRESH_TOO_SOON);
    check_due(&f, 49 * MINUTE, 50 * MINUTE + 100);
    fixture_close(&f);
}

/* Neither other timings nor another service or token are a reason to ask before. */
static void test_survives_reload(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "1h");

    connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    refuse(&f, &job, 429, 10 * MINUTE, 0, LEAST);
    FIXTURE_RELOAD(&f, MINUTE, "ttl", "1min");
    FIXTURE_RELOAD(&f, 2 * MINUTE, "client", "OTHER");
    FIXTURE_RELOAD(&f, 3 * MINUTE, "service", "https://flags.example", "enabled", "off");
    FIXTURE_RELOAD(&f, 4 * MINUTE, "token_file", "/nowhere/{host}");
    CHECK_INT_EQ(refresh(&f, 10 * MINUTE - 1), HF_REFRESH_TOO_SOON);
    check_due(&f, 4 * MINUTE, 10 * MINUTE);
    fixture_close(&f);
}

static void test_success_ends_it(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "1h");

    connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    refuse(&f, &job, 429, MINUTE, 0, LEAST);
    CHECK(take(&f, MINUTE, &job));
    succeed(&f, &job, 1, 0, MINUTE);
    CHECK_INT_EQ(retry_at(&f, MINUTE), 0);
    CHECK_INT_EQ(refresh(&f, MINUTE + SECOND), HF_REFRESH_PLANNED);
    CHECK(take(&f, MINUTE + SECOND, &job));
    CHECK_INT_EQ(fail_with(&f, &job, 429, 2 * MINUTE).next_ms, 5 * SECOND);
    CHECK_INT_EQ(refresh(&f, 2 * MINUTE), HF_REFRESH_PLANNED);
    fixture_close(&f);
}

/* ---- refusals ---- */

static void test_refusals(void)
{
    static const struct {
        uint16_t status;
        int64_t least, most;
    } rows[] = {
        {401, 15 * MINUTE, 16 * MINUTE + 30 * SECOND},
        {403, 15 * MINUTE, 16 * MINUTE + 30 * SECOND},
        {404, 15 * MINUTE, 16 * MINUTE + 30 * SECOND},
        {400, 2500, 5000},
        {402, 2500, 5000},
        {405, 2500, 5000},
        {410, 2500, 5000},
        {500, 2500, 5000},
    };
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int most = 0; most <= 1; most++) {
            FIXTURE_OPEN(&f, "ttl", "100s");
            hf_handle one = connect_and_answer(&f, NAME, 1, 0);
            CHECK(take(&f, 80 * SECOND, &job));
            CHECK_INT_EQ(
                refuse(&f, &job, rows[i].status, 0, 80 * SECOND, most ? MOST : LEAST).next_ms,
                most ? rows[i].most : rows[i].least);
            CHECK_INT_EQ(read_flag(&f, one, 0), 1);
            CHECK_INT_EQ(refresh(&f, 81 * SECOND), HF_REFRESH_PLANNED); /* nobody said how long */
            fixture_close(&f);
        }
    }
}

/* However often: it neither grows nor shrinks. */
static void test_refused_for_a_day(void)
{
    struct fixture f;
    struct hf_job job;
    int requests = 0;
    FIXTURE_OPEN(&f, "linger", "0");

    for (int64_t now = 0; now < 24 * HOUR; now += 10 * SECOND) {
        hf_handle one = connect_at(&f, NAME, now);
        if (take(&f, now, &job)) {
            refuse(&f, &job, 404, 0, now, LEAST);
            requests++;
        }
        CHECK(hf_registry_release(&f.registry, one, now));
    }
    CHECK_INT_EQ(requests, 96);
    fixture_close(&f);
}

/* ---- max_stale ---- */

/* Its backoff ends long after its value does, and it was idle and forgotten in between. */
static void test_expiry_in_backoff(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s", "max_stale", "10s", "defaults", "b=on");

    hf_handle one = connect_and_answer(&f, NAME, 1, 0);
    CHECK(take(&f, 80 * SECOND, &job));
    refuse(&f, &job, 500, 0, 80 * SECOND, LEAST); /* 2.5 s */
    CHECK(hf_registry_release(&f.registry, one, 81 * SECOND));
    CHECK(!take(&f, 83 * SECOND, &job)); /* parked */
    one = connect_at(&f, NAME, 95 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(take(&f, 100 * SECOND, &job));
    refuse(&f, &job, 429, 50 * MINUTE, 100 * SECOND, LEAST);
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), 110 * SECOND);
    CHECK(!take(&f, 110 * SECOND - 1, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    CHECK(!take(&f, 110 * SECOND, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    check_due(&f, 110 * SECOND, 100 * SECOND + 50 * MINUTE);
    fixture_close(&f);
}

/* ---- sums ---- */

struct sums {
    uint64_t by_default, by_service, stale;
};

static void check_published(struct fixture *f, struct sums expected)
{
    struct hf_totals totals = hf_registry_totals(&f->registry);

    CHECK_INT_EQ(totals.published[HF_BY_DEFAULT], expected.by_default);
    CHECK_INT_EQ(totals.published[HF_BY_SERVICE], expected.by_service);
    CHECK_INT_EQ(totals.published[HF_BY_STALE_VALUE], expected.stale);
    CHECK_INT_EQ(totals.published[HF_BY_OVERRIDE], 0);
    CHECK_INT_EQ(totals.published[HF_BY_SWITCH], 0);
}

static void test_published(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s", "max_stale", "100s");

    connect_at(&f, NAME, 0);
    CHECK(take(&f, 0, &job));
    check_published(&f, (struct sums){0, 0, 0}); /* nothing was decided yet */
    fail_with(&f, &job, 500, 0);
    check_published(&f, (struct sums){3, 0, 0});
    CHECK(take(&f, 10 * SECOND, &job));
    succeed(&f, &job, 1, 0, 10 * SECOND);
    check_published(&f, (struct sums){3, 3, 0});
    CHECK(take(&f, 90 * SECOND, &job));
    fail_with(&f, &job, 500, 90 * SECOND); /* still fresh */
    check_published(&f, (struct sums){3, 6, 0});
    CHECK(take(&f, 110 * SECOND, &job));
    refuse(&f, &job, 429, HOUR, 110 * SECOND, LEAST);
    check_published(&f, (struct sums){3, 6, 3});
    CHECK(!take(&f, 210 * SECOND, &job)); /* expired */
    check_published(&f, (struct sums){6, 6, 3});
    CHECK(!take(&f, 211 * SECOND, &job)); /* once */
    check_published(&f, (struct sums){6, 6, 3});
    fixture_close(&f);
}

/* An answer that lands nowhere is published to nobody, but it was a request. */
static void test_published_to_nobody(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_and_answer(&f, NAME, 1, 0);
    CHECK(take(&f, HOUR, &job));
    CHECK(hf_registry_release(&f.registry, one, HOUR));
    CHECK(succeed(&f, &job, 1, 0, HOUR).counted);
    check_published(&f, (struct sums){0, 3, 0});
    one = connect_at(&f, NAME, 2 * HOUR);
    CHECK(take(&f, 2 * HOUR, &job));
    CHECK(hf_registry_release(&f.registry, one, 2 * HOUR));
    CHECK(fail_with(&f, &job, 500, 2 * HOUR).counted);
    check_published(&f, (struct sums){0, 3, 0});
    CHECK_INT_EQ(hf_registry_totals(&f.registry).requests[HF_OUTCOME_OK], 2);
    CHECK_INT_EQ(hf_registry_totals(&f.registry).requests[HF_OUTCOME_HTTP], 1);
    fixture_close(&f);
}

static void test_outcomes(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    struct hf_totals totals;
    int64_t now = 0;
    FIXTURE_OPEN(&f, "ttl", "1h");

    connect_at(&f, NAME, 0);
    for (int outcome = 0; outcome < HF_OUTCOMES; outcome++) {
        for (int i = 0; i <= outcome; i++, now += 2 * HOUR) {
            struct hf_completion completion = {
                .outcome = (enum hf_outcome)outcome, .etag = "", .message = ""};
            CHECK(take(&f, now, &job));
            hf_registry_complete(&f.registry, &job, &completion, now, LEAST);
        }
    }
    totals = hf_registry_totals(&f.registry);
    for (int outcome = 0; outcome < HF_OUTCOMES; outcome++)
        CHECK_INT_EQ(totals.requests[outcome], outcome + 1);
    CHECK_INT_EQ(totals.not_modified, 0);
    CHECK_INT_EQ(totals.host_slots, 1);
    CHECK(view_of(&f, NAME, now, &view));
    /* Of 1 + 2 + ... + 11 ends, those without a token (9) or refused (10) had sent nothing. */
    CHECK_INT_EQ(view.requests, 66 - 9 - 10);
    CHECK_INT_EQ(view.failed, 66 - 1);
    fixture_close(&f);
}

static const struct hf_test tests[] = {
    {"C65 429 and 503 with Retry-After: not asked before, nor before the backoff ends", test_floor},
    {"C62 C65 a backoff that is longer than Retry-After counts", test_backoff_is_longer},
    {"C65 refresh is refused until Retry-After is over, then possible", test_refresh_waits},
    {"C65 Retry-After with any other status is ignored", test_ignored_elsewhere},
    {"C65 Retry-After of a 200 is ignored", test_ignored_in_a_200},
    {"C61 Retry-After survives release and acquire, and a full table", test_survives},
    {"C61 Retry-After survives as a record for which nobody asks", test_record_survives},
    {"C65 C84 no reload shortens a Retry-After", test_survives_reload},
    {"C63 C65 a success ends a Retry-After", test_success_ends_it},
    {"C66 401, 403 and 404: asked again after 15 minutes, others by backoff", test_refusals},
    {"C66 a host without a service is asked 96 times a day", test_refused_for_a_day},
    {"C67 a value expires on time, although the backoff ends later", test_expiry_in_backoff},
    {"C67 what is published is counted by its reason", test_published},
    {"C10 what is published to nobody is not counted", test_published_to_nobody},
    {"C60 requests are counted by outcome; where nothing was sent there was none", test_outcomes},
};

int main(int argc, char **argv)
{
    return hf_suite_run("completion", tests, COUNT(tests), argc, argv);
}

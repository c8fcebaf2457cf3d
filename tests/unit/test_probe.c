/* SPDX-License-Identifier: PostgreSQL
 *
 * Hosts that are not asked for a while because of who we are: the token was rejected and its file
 * is looked at (a probe), or the host is not allowed any more. Time is a parameter.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME "one.example"
#define TOKEN_FILE "token_file", "/nowhere/{host}"
#define OLD 7 /* marks of tokens */
#define NEW 8

static void reject(struct fixture *f, const struct hf_job *job, enum hf_outcome outcome,
    uint16_t status, int64_t now)
{
    struct hf_completion completion = {.outcome = outcome,
        .http_status = status,
        .etag = "",
        .token_mark = OLD,
        .message = "rejected"};

    CHECK(!job->probe);
    hf_registry_complete(&f->registry, job, &completion, now, 0);
}

/* Connects, and the first request is rejected at `now`. */
static hf_handle connect_rejected(struct fixture *f, int64_t now)
{
    hf_handle handle = connect_at(f, NAME, now);
    struct hf_job job;

    CHECK(take(f, now, &job));
    reject(f, &job, HF_OUTCOME_HTTP, 401, now);
    return handle;
}

/* The only thing due at `now` is a probe, and it finds that mark. */
static void check_probe(struct fixture *f, int64_t now, uint64_t mark)
{
    struct hf_job job = {.probe = false};

    CHECK(take(f, now, &job));
    CHECK(job.probe);
    hf_registry_probed(&f->registry, &job, mark, now);
}

static void check_request(struct fixture *f, int64_t now, struct hf_job *job)
{
    CHECK(take(f, now, job));
    CHECK(!job->probe);
}

/* ---- probes ---- */

static void test_rhythm(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    int64_t now;
    FIXTURE_OPEN(&f, TOKEN_FILE);

    connect_rejected(&f, 0);
    for (now = 0; now < 15 * MINUTE; now += 3 * SECOND) {
        if (now > 0)
            CHECK(!take(&f, now - 1, &job));
        check_probe(&f, now, OLD);
        CHECK(!take(&f, now, &job));
    }
    CHECK(view_of(&f, NAME, now, &view));
    CHECK_INT_EQ(view.requests, 1);
    check_request(&f, now, &job); /* 15 minutes are over */
    CHECK(!take(&f, now + 9 * SECOND, &job)); /* none while it is under way */
    reject(&f, &job, HF_OUTCOME_HTTP, 403, now + 9 * SECOND);
    check_probe(&f, now + 9 * SECOND, OLD);
    check_probe(&f, now + 12 * SECOND, OLD);
    fixture_close(&f);
}

static void test_change(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, TOKEN_FILE, "ttl", "100s");

    hf_handle one = connect_rejected(&f, 0);
    check_probe(&f, 0, NEW); /* changed already: but a second after the last request */
    CHECK(!take(&f, SECOND - 1, &job));
    check_request(&f, SECOND, &job);
    reject(&f, &job, HF_OUTCOME_HTTP, 401, SECOND);
    check_probe(&f, SECOND, OLD);
    check_probe(&f, 4 * SECOND, NEW);
    check_request(&f, 4 * SECOND, &job);
    succeed(&f, &job, 1, 0, 4 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!take(&f, 84 * SECOND - 1, &job)); /* no more probes */
    check_request(&f, 84 * SECOND, &job);
    fixture_close(&f);
}

/* It changes again and again, and is rejected each time: a request per look at most. */
static void test_flapping(void)
{
    struct fixture f;
    struct hf_job job;
    int requests = 0;
    FIXTURE_OPEN(&f, TOKEN_FILE);

    connect_at(&f, NAME, 0);
    for (int64_t now = 0; now < MINUTE; now += 100) {
        while (take(&f, now, &job)) {
            if (job.probe) {
                hf_registry_probed(&f.registry, &job, NEW, now);
            } else {
                reject(&f, &job, HF_OUTCOME_HTTP, 401, now);
                requests++;
            }
        }
    }
    CHECK_INT_EQ(requests, 60); /* one a second: the operator's own doing */
    fixture_close(&f);
}

static void test_who_is_probed(void)
{
    static const struct {
        const char *pairs[5];
        enum hf_outcome outcome;
        uint16_t status;
        bool probed;
    } rows[] = {
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 401, true},
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 403, true},
        {{TOKEN_FILE}, HF_OUTCOME_TOKEN, 0, true},
        {{"token_file", "/nowhere", "allowed_hosts", "*.example"}, HF_OUTCOME_HTTP, 401, true},
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 404, false},
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 407, false},
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 429, false},
        {{TOKEN_FILE}, HF_OUTCOME_HTTP, 500, false},
        {{TOKEN_FILE}, HF_OUTCOME_PARSE, 401, false},
        {{TOKEN_FILE}, HF_OUTCOME_TLS, 0, false},
        {{NULL}, HF_OUTCOME_HTTP, 401, false}, /* there is no file to look at */
        {{"token_env", "HOME", "allowed_hosts", "*.example"}, HF_OUTCOME_HTTP, 401, false},
    };
    struct fixture f;
    struct hf_job job;

    for (size_t i = 0; i < COUNT(rows); i++) {
        fixture_open(&f, rows[i].pairs);
        connect_at(&f, NAME, 0);
        CHECK(take(&f, 0, &job));
        reject(&f, &job, rows[i].outcome, rows[i].status, 0);
        if (!CHECK_INT_EQ(take(&f, 0, &job) && job.probe, rows[i].probed))
            fprintf(stderr, "row %zu\n", i);
        fixture_close(&f);
    }
}

/* Nobody holds it: nobody looks. */
static void check_parked(const char *linger)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, TOKEN_FILE, "linger", linger);

    hf_handle one = connect_rejected(&f, 0);
    check_probe(&f, 0, OLD);
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    for (int64_t now = SECOND; now < 10 * MINUTE; now += SECOND)
        CHECK(!take(&f, now, &job));
    one = connect_at(&f, NAME, 10 * MINUTE);
    check_probe(&f, 10 * MINUTE, OLD);
    check_probe(&f, 10 * MINUTE + 3 * SECOND, OLD);
    CHECK(hf_registry_release(&f.registry, one, 11 * MINUTE));
    CHECK(!take(&f, 11 * MINUTE, &job));
    connect_at(&f, NAME, 12 * MINUTE);
    check_probe(&f, 12 * MINUTE, NEW); /* changed while nobody looked */
    check_request(&f, 12 * MINUTE, &job);
    fixture_close(&f);
}

static void test_parked(void)
{
    check_parked("0");
    check_parked("1min");
    check_parked("1h");
}

/* What a probe found out when its host has been asked, or has begun another life, since. */
static void test_late_probe(void)
{
    struct fixture f;
    struct hf_job probe, job;
    struct hf_upstream_key key = key_of(NAME);
    FIXTURE_OPEN(&f, TOKEN_FILE, "linger", "0");

    hf_handle one = connect_rejected(&f, 0);
    CHECK(take(&f, 0, &probe) && probe.probe);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, &key, SECOND), HF_REFRESH_PLANNED);
    check_request(&f, SECOND, &job);
    hf_registry_probed(&f.registry, &probe, NEW, SECOND); /* it is being asked */
    CHECK(!take(&f, 2 * SECOND, &job));
    FIXTURE_RELOAD(&f, 2 * SECOND, "linger", "0"); /* given up */
    hf_registry_probed(&f.registry, &probe, NEW, 3 * SECOND);
    CHECK(!take(&f, 3 * SECOND, &job));
    fixture_close(&f);

    FIXTURE_OPEN(&f, TOKEN_FILE, "linger", "0");
    one = connect_rejected(&f, 0);
    CHECK(take(&f, 0, &probe) && probe.probe);
    CHECK(hf_registry_release(&f.registry, one, 0));
    connect_at(&f, NAME, 0);
    hf_registry_probed(&f.registry, &probe, NEW, 0);
    check_probe(&f, 0, OLD);
    CHECK(!take(&f, 2 * SECOND, &job));
    fixture_close(&f);
}

/* ---- hosts that are not allowed any more ---- */

static enum hf_refresh_result refresh(struct fixture *f, int64_t now)
{
    struct hf_upstream_key key = key_of(NAME);

    return hf_registry_refresh(&f->registry, &key, now);
}

static void test_not_allowed(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_and_answer(&f, NAME, 1, 0);
    FIXTURE_RELOAD(&f, SECOND, "ttl", "100s", "allowed_hosts", "other.example");
    for (int64_t now = SECOND; now < HOUR; now += SECOND)
        CHECK(!take(&f, now, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(references_of(&f, NAME, HOUR), 1);
    CHECK_INT_EQ(acquire(&f, NAME, HOUR).error, HF_NOT_ALLOWED);
    CHECK_INT_EQ(acquire(&f, NAME, HOUR).handle, 0);
    CHECK_INT_EQ(references_of(&f, NAME, HOUR), 1);
    CHECK_INT_EQ(refresh(&f, HOUR), HF_REFRESH_NOT_ALLOWED);
    CHECK(!take(&f, HOUR, &job));
    FIXTURE_RELOAD(&f, HOUR, "ttl", "100s", "allowed_hosts", "one.example");
    check_request(&f, HOUR, &job);
    succeed(&f, &job, 2, 0, HOUR);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    CHECK(connect_at(&f, NAME, HOUR) != 0);
    CHECK(hf_registry_release(&f.registry, one, HOUR));
    fixture_close(&f);
}

/* Its value stays no longer than that of others. */
static void test_not_allowed_expires(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s", "max_stale", "50s");

    hf_handle one = connect_and_answer(&f, NAME, 1, 0);
    FIXTURE_RELOAD(&f, SECOND, "ttl", "100s", "max_stale", "50s", "allowed_hosts", "other.example");
    CHECK(!take(&f, 150 * SECOND - 1, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!take(&f, 150 * SECOND, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HF_NEVER);
    fixture_close(&f);
}

/* Neither a rejected token nor a backoff makes it due. */
static void test_not_allowed_probes(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, TOKEN_FILE);

    hf_handle one = connect_rejected(&f, 0);
    check_probe(&f, 0, OLD);
    FIXTURE_RELOAD(&f, SECOND, TOKEN_FILE, "allowed_hosts", "other.example");
    for (int64_t now = SECOND; now < HOUR; now += SECOND)
        CHECK(!take(&f, now, &job));
    FIXTURE_RELOAD(&f, HOUR, TOKEN_FILE);
    check_request(&f, HOUR, &job);
    CHECK(hf_registry_release(&f.registry, one, HOUR));
    fixture_close(&f);
}

static void test_not_allowed_idle(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_and_answer(&f, NAME, 1, 0);
    FIXTURE_RELOAD(&f, SECOND, "ttl", "100s", "allowed_hosts", "other.example");
    CHECK(hf_registry_release(&f.registry, one, 2 * SECOND));
    CHECK_INT_EQ(acquire(&f, NAME, 3 * SECOND).error, HF_NOT_ALLOWED);
    FIXTURE_RELOAD(&f, 4 * SECOND, "ttl", "100s");
    one = connect_at(&f, NAME, 5 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!take(&f, 100 * SECOND - 1, &job));
    check_request(&f, 100 * SECOND, &job);
    fixture_close(&f);
}

static const struct hf_test tests[] = {
    {"C66 a rejected token: its file is looked at every 3 s, its host asked after 15 min",
        test_rhythm},
    {"C66 a token that has changed: asked at once, and no more looks after a success", test_change},
    {"C62 C66 a token that changes all the time: a request a second at most", test_flapping},
    {"C66 only for 401, 403 or a token that is missing, and only a file", test_who_is_probed},
    {"C66 C74 nobody holds the host: no looks until somebody does", test_parked},
    {"C11 C66 what a late look found out changes nothing", test_late_probe},
    {"C34 C84 a host not allowed any more: its value stays, it is not asked, nobody gets in",
        test_not_allowed},
    {"C34 C67 the value of a host that is not allowed expires on time", test_not_allowed_expires},
    {"C34 C66 nor is its token looked at", test_not_allowed_probes},
    {"C34 C84 an idle host that was not allowed for a while", test_not_allowed_idle},
};

int main(int argc, char **argv)
{
    return hf_suite_run("probe", tests, COUNT(tests), argc, argv);
}

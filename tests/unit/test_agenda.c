/* SPDX-License-Identifier: PostgreSQL
 *
 * The registry from the worker's side: what is due when, and what the end of a request changes.
 * Time is a parameter, so hours pass at once.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

static void test_refresh_time(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    struct hf_completed done = succeed(&f, &job, 1, 0, 0); /* jitter 0: 0.80 of the TTL */
    CHECK_INT_EQ(done.next_ms, 80 * SECOND);
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), 80 * SECOND);
    CHECK(!take(&f, 80 * SECOND - 1, &job));
    CHECK(take(&f, 80 * SECOND, &job));
    CHECK(!take(&f, 80 * SECOND, &job));
    succeed(&f, &job, 2, 0, 81 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    CHECK(!take(&f, 160 * SECOND, &job));
    CHECK(take(&f, 161 * SECOND, &job));
    fixture_close(&f);
}

static void test_fresh_until_ttl(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "ttl", "100s");

    connect_and_answer(&f, "one.example", 1, 5000);
    CHECK_INT_EQ(state_of(&f, "one.example", 5000 + 100 * SECOND - 1), HF_FRESH);
    CHECK_INT_EQ(state_of(&f, "one.example", 5000 + 100 * SECOND), HF_STALE);
    fixture_close(&f);
}

static void test_failure_keeps_values(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_view view;
    FIXTURE_OPEN(&f, "ttl", "100s");

    hf_handle one = connect_and_answer(&f, "one.example", 5, 0);
    for (int64_t now = 80 * SECOND, failures = 1; failures <= 12; failures++) {
        CHECK(take(&f, now, &job));
        struct hf_completed done = fail_with(&f, &job, 500, now);
        CHECK_INT_EQ(done.failures, failures);
        CHECK(done.has_values);
        CHECK(!take(&f, now + done.next_ms - 1, &job));
        CHECK_INT_EQ(read_flag(&f, one, 0) + read_flag(&f, one, 2), 2);
        now += done.next_ms;
    }
    CHECK(view_of(&f, "one.example", HOUR, &view));
    CHECK_INT_EQ(view.facts.outcome, HF_OUTCOME_HTTP);
    CHECK_INT_EQ(view.facts.http_status, 500);
    CHECK_INT_EQ(view.failed, 12);
    CHECK_INT_EQ(state_of(&f, "one.example", HOUR), HF_STALE);
    CHECK(take(&f, 10 * HOUR, &job));
    CHECK_INT_EQ(succeed(&f, &job, 0, 0, 10 * HOUR).failures, 12);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(take(&f, 11 * HOUR, &job));
    CHECK_INT_EQ(fail_with(&f, &job, 500, 11 * HOUR).failures, 1);
    fixture_close(&f);
}

/* Ten minutes of short connections to a service that fails; the worker looks while the host is held
 * and again when nobody holds it. */
static void fail_for_ten_minutes(const char *linger, int *requests, int *reports)
{
    struct fixture f;
    struct hf_job job;
    int64_t allowed = 0;
    FIXTURE_OPEN(&f, "linger", linger);

    for (int64_t now = 0; now < 10 * MINUTE; now += 100) {
        hf_handle one = connect_at(&f, "one.example", now);
        read_flag(&f, one, 0);
        if (take(&f, now, &job)) {
            CHECK(now >= allowed);
            struct hf_completed done = fail_with(&f, &job, 429, now);
            allowed = now + done.next_ms;
            *reports += done.report;
            ++*requests;
        }
        hf_registry_release(&f.registry, one, now);
        CHECK(!take(&f, now + 50, &job));
    }
    fixture_close(&f);
}

static void test_one_request_per_backoff(void)
{
    static const char *const lingers[] = {"0", "1s", "15min"};

    for (int i = 0; i < 3; i++) {
        int requests = 0, reports = 0;
        fail_for_ten_minutes(lingers[i], &requests, &reports);
        /* 5, 10, 20, ... 320 s, each used in full (jitter 1.0): 0, 5, 15, 35, 75, 155, 315, 635;
         * reported where a minute has passed: at 0, 75, 155 and 315. */
        CHECK_INT_EQ(requests, 7);
        CHECK_INT_EQ(reports, 4);
    }
}

static void test_failures_are_forgotten(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    fail_with(&f, &job, 500, 0); /* 5 s, and then 10 min more */
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    CHECK(!take(&f, 5 * SECOND, &job));
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), 10 * MINUTE + 5 * SECOND);
    CHECK(!take(&f, 10 * MINUTE + 5 * SECOND, &job));
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HF_NEVER);
    connect_at(&f, "one.example", HOUR);
    CHECK(take(&f, HOUR, &job));
    CHECK_INT_EQ(fail_with(&f, &job, 500, HOUR).failures, 1);
    fixture_close(&f);
}

static void test_in_flight_one_request(void)
{
    struct fixture f;
    struct hf_job job, other;
    FIXTURE_OPEN(&f, "linger", "0", "request_timeout", "10s");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    for (int64_t now = 100; now < 9 * SECOND; now += 100) {
        hf_registry_release(&f.registry, one, now);
        one = connect_at(&f, "one.example", now);
        CHECK(!take(&f, now, &other));
    }
    succeed(&f, &job, 7, 0, 9 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(take(&f, 9 * SECOND, &other));
    succeed(&f, &other, 1, 0, 9 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    fixture_close(&f);
}

static void test_completion_lands_idle(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1min");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    CHECK(hf_registry_release(&f.registry, one, 100));
    CHECK(succeed(&f, &job, 1, 0, 200).counted);
    struct hf_acquired again = acquire(&f, "one.example", 300);
    CHECK(!again.kick);
    CHECK_INT_EQ(read_flag(&f, again.handle, 0), 1);
    CHECK(!take(&f, 400, &job));
    fixture_close(&f);
}

static void test_completion_lands_nowhere(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    CHECK(hf_registry_release(&f.registry, one, 100));
    succeed(&f, &job, 1, 0, 200);
    CHECK_INT_EQ(references_of(&f, "one.example", 200), -1);
    CHECK(!take(&f, 200, &job));
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HF_NEVER);
    fixture_close(&f);
}

static void test_lost_request(void)
{
    struct fixture f;
    struct hf_job lost, next;
    FIXTURE_OPEN(&f, "request_timeout", "10s");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &lost));
    CHECK(!take(&f, 10 * SECOND, &next));
    CHECK(take(&f, 20 * SECOND, &next));
    CHECK(!succeed(&f, &lost, 7, 0, 21 * SECOND).counted);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(succeed(&f, &next, 1, 0, 21 * SECOND).counted);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!succeed(&f, &next, 7, 0, 21 * SECOND).counted);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    fixture_close(&f);
}

static void test_nobody_no_request(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "7d", "ttl", "1h");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 0);
    hf_handle failing = connect_at(&f, "failing.example", 0);
    CHECK(take(&f, 0, &job));
    fail_with(&f, &job, 500, 0);
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    CHECK(hf_registry_release(&f.registry, failing, SECOND));
    for (int64_t now = SECOND; now < 48 * HOUR; now += MINUTE)
        CHECK(!take(&f, now, &job));
    CHECK_INT_EQ(references_of(&f, "one.example", HOUR - 1), -1); /* left by its TTL */
    CHECK_INT_EQ(references_of(&f, "failing.example", 48 * HOUR), 0);
    fixture_close(&f);
}

static void test_leaves_with_its_ttl(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "7d", "ttl", "100s");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 0);
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    CHECK(!take(&f, 80 * SECOND, &job)); /* due, but nobody holds it */
    one = connect_at(&f, "one.example", 90 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!take(&f, 99 * SECOND, &job));
    CHECK(take(&f, 100 * SECOND, &job));
    succeed(&f, &job, 1, 0, 100 * SECOND);
    CHECK(hf_registry_release(&f.registry, one, 101 * SECOND));
    CHECK_INT_EQ(references_of(&f, "one.example", 200 * SECOND - 1), 0);
    CHECK_INT_EQ(references_of(&f, "one.example", 200 * SECOND), -1);
    CHECK(!take(&f, 200 * SECOND, &job));
    one = connect_at(&f, "one.example", 201 * SECOND);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(take(&f, 201 * SECOND, &job));
    fixture_close(&f);
}

static void test_idle_in_backoff_resumes(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "15min");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    fail_with(&f, &job, 500, 0); /* 5 s */
    CHECK(hf_registry_release(&f.registry, one, SECOND));
    CHECK(!take(&f, 5 * SECOND, &job));
    struct hf_acquired again = acquire(&f, "one.example", MINUTE);
    CHECK(again.kick);
    CHECK(take(&f, MINUTE, &job));
    fixture_close(&f);
}

static void test_max_stale(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "100s", "max_stale", "1h", "defaults", "b=on");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 0);
    while (take(&f, 100 * SECOND, &job))
        fail_with(&f, &job, 500, 100 * SECOND);
    CHECK_INT_EQ(state_of(&f, "one.example", 100 * SECOND + HOUR - 1), HF_STALE);
    CHECK_INT_EQ(state_of(&f, "one.example", 100 * SECOND + HOUR), HF_EXPIRED);
    int64_t now = hf_registry_next_due(&f.registry);
    for (; now < 100 * SECOND + HOUR; now = hf_registry_next_due(&f.registry)) {
        if (take(&f, now, &job))
            fail_with(&f, &job, 500, now);
        CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    }
    CHECK_INT_EQ(now, 100 * SECOND + HOUR);
    if (take(&f, now, &job))
        fail_with(&f, &job, 500, now);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    CHECK(take(&f, now + HOUR, &job));
    succeed(&f, &job, 1, 0, now + HOUR);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    fixture_close(&f);
}

static void test_reports(void)
{
    struct fixture f;
    struct hf_job job;
    int reports = 0;
    int64_t now = 0;
    FIXTURE_OPEN(&f, "ttl", "100s");

    connect_at(&f, "one.example", 0);
    for (; now < 10 * MINUTE; now += 1000) {
        if (take(&f, now, &job))
            reports += fail_with(&f, &job, 500, now).report;
    }
    /* Requests at 0, 5, 15, 35, 75, 155, 315 s; a report needs a minute since the last. */
    CHECK_INT_EQ(reports, 4);
    CHECK(take(&f, HOUR, &job));
    CHECK(succeed(&f, &job, 1, 0, HOUR).report);
    CHECK(take(&f, 2 * HOUR, &job));
    CHECK(!succeed(&f, &job, 1, 0, 2 * HOUR).report);
    fixture_close(&f);
}

static void test_many_hosts_in_order(void)
{
    enum { HOSTS = 1000 };
    struct fixture f;
    struct hf_job job;
    int64_t before = 0;
    int requests = 0;
    uint32_t jitter = 1;
    FIXTURE_OPEN(&f, "ttl", "1000s");

    for (int i = 0; i < HOSTS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%d.example", i);
        connect_at(&f, name, 0);
    }
    while (take(&f, 0, &job)) {
        struct hf_completion completion = {.outcome = HF_OUTCOME_OK,
            .http_status = 200,
            .document = {.sent = 1},
            .etag = "",
            .message = ""};
        jitter = jitter * 1664525 + 1013904223;
        hf_registry_complete(&f.registry, &job, &completion, 0, jitter);
        requests++;
    }
    CHECK_INT_EQ(requests, HOSTS);
    int64_t first = hf_registry_next_due(&f.registry), last = 0;
    for (int i = 0; i < HOSTS; i++) {
        int64_t now = hf_registry_next_due(&f.registry);
        CHECK(now >= before);
        before = last = now;
        if (!CHECK(take(&f, now, &job)))
            break;
        succeed(&f, &job, 1, 0, now);
    }
    CHECK(first >= 800 * SECOND && last <= 950 * SECOND);
    CHECK(last - first >= 100 * SECOND);
    fixture_close(&f);
}

struct race {
    struct fixture *fixture;
    _Atomic bool stop;
};

/* Flags a, b and c always change together: their bits are equal in any one word. */
static void *read_words(void *arg)
{
    struct race *race = arg;
    struct hf_block *block = hf_registry_block(&race->fixture->registry);

    while (!race->stop) {
        uint64_t word = HF_LOAD(*hf_block_published(block, 0));
        hf_thread_check(word == 0 || word == 7);
    }
    return NULL;
}

static void test_publish_is_whole(void)
{
    struct fixture f;
    struct hf_job job;
    pthread_t reader;
    struct race race = {.fixture = &f};
    FIXTURE_OPEN(&f, "ttl", "1s", "ttl_min", "100ms");

    connect_and_answer(&f, "one.example", 0, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, read_words, &race), 0);
    for (int64_t round = 1; round <= 20000; round++) {
        if (!CHECK(take(&f, round * SECOND, &job)))
            break;
        succeed(&f, &job, round & 1 ? 7 : 0, 0, round * SECOND);
    }
    race.stop = true;
    pthread_join(reader, NULL);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C49 C52 no request before the refresh time, one after it", test_refresh_time},
        {"C47 fresh at TTL - 1 ms, not at TTL", test_fresh_until_ttl},
        {"C59 C63 C64 failures keep the values, back off, and end with a success",
            test_failure_keeps_values},
        {"C09 C62 C70 one request per growing backoff window and few reports, through reconnects",
            test_one_request_per_backoff},
        {"C62 what is left of a failed host is forgotten ten minutes after its backoff",
            test_failures_are_forgotten},
        {"C10 a result lands in the idle entry", test_completion_lands_idle},
        {"C10 with linger = 0 a result lands nowhere", test_completion_lands_nowhere},
        {"C11 a result of an earlier life does not touch the next one", test_in_flight_one_request},
        {"C55 a request that was lost is made again, and its late end ignored", test_lost_request},
        {"C74 nobody holds the host: no request for two days", test_nobody_no_request},
        {"C04 C74 an idle entry leaves with its TTL; before that it is shared again",
            test_leaves_with_its_ttl},
        {"C12 a failing host that was idle is asked again by a reconnect after its backoff",
            test_idle_in_backoff_resumes},
        {"C67 max_stale: the defaults are published on time, and a success ends it",
            test_max_stale},
        {"C70 a failing host is reported at most once a minute, and its recovery once",
            test_reports},
        {"C69 1,000 hosts are due in order, spread over 10 % of the TTL", test_many_hosts_in_order},
        {"C51 a reader sees all-old or all-new over several flags", test_publish_is_whole},
    };

    return hf_suite_run("agenda", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

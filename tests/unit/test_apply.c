/* SPDX-License-Identifier: PostgreSQL
 *
 * What a reload plans anew, with time as a parameter: hosts in flight, hosts that failed, hosts
 * that have left.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

/* Settings that make other requests than the fixture's; fixture_close() destroys them. */
static void apply_others(struct fixture *f, const char *key, const char *value, int64_t now)
{
    struct hf_settings *before = f->settings, *made = hf_settings_create();
    char error[512];

    if (hf_settings_set(made, "flags", "a, b, c", error, sizeof(error)) != 0 ||
        hf_settings_set(made, "linger", "1h", error, sizeof(error)) != 0 ||
        hf_settings_set(made, key, value, error, sizeof(error)) != 0 ||
        hf_settings_finish(made, error, sizeof(error)) != 0)
        abort();
    hf_registry_apply(&f->registry, made, now);
    f->settings = made;
    hf_settings_destroy(before);
}

/* When the next job is handed out, from `from` on in steps of 100 ms; -1: not within an hour. */
static int64_t next_job(struct fixture *f, int64_t from, struct hf_job *job)
{
    for (int64_t now = from; now < from + HOUR; now += 100) {
        if (take(f, now, job))
            return now;
    }
    return -1;
}

/* A host whose values are fresh, asked once more at `now`. */
static void ask_fresh(struct fixture *f, int64_t now, struct hf_job *job)
{
    connect_and_answer(f, "one.example", 1, now - MINUTE);
    CHECK_INT_EQ(hf_registry_refresh(&f->registry, NULL, now), HF_REFRESH_PLANNED);
    CHECK(take(f, now, job));
    CHECK_INT_EQ(state_of(f, "one.example", now), HF_FRESH);
}

static void test_in_flight_with_fresh_values(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1h");

    ask_fresh(&f, MINUTE, &job);
    hf_registry_apply(&f.registry, f.settings, MINUTE + SECOND);
    CHECK_INT_EQ(next_job(&f, MINUTE + SECOND, &job), MINUTE + 5 * SECOND);
    fixture_close(&f);
}

static void test_refused_with_fresh_values(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1h");

    ask_fresh(&f, MINUTE, &job);
    fail_with(&f, &job, 401, MINUTE);
    apply_others(&f, "client", "OTHER", MINUTE);
    CHECK_INT_EQ(next_job(&f, MINUTE, &job), MINUTE + SECOND);
    fixture_close(&f);
}

/* Refused before, being asked again on demand: the old refusal does not count any more. */
static void test_in_flight_after_refusal(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1h");

    ask_fresh(&f, MINUTE, &job);
    fail_with(&f, &job, 403, MINUTE);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, NULL, 2 * MINUTE), HF_REFRESH_PLANNED);
    CHECK(take(&f, 2 * MINUTE, &job));
    apply_others(&f, "client", "OTHER", 2 * MINUTE + SECOND);
    CHECK_INT_EQ(next_job(&f, 2 * MINUTE + SECOND, &job), 2 * MINUTE + 5 * SECOND);
    fixture_close(&f);
}

static void test_retry_after(void)
{
    struct hf_completion too_often = {
        .outcome = HF_OUTCOME_HTTP, .http_status = 429, .retry_after_ms = 10 * MINUTE};
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1h");

    ask_fresh(&f, MINUTE, &job);
    hf_registry_complete(&f.registry, &job, &too_often, MINUTE, 0);
    apply_others(&f, "client", "OTHER", 2 * MINUTE);
    CHECK_INT_EQ(next_job(&f, 2 * MINUTE, &job), 11 * MINUTE);
    fixture_close(&f);
}

static uint32_t slots_in_use(struct fixture *f)
{
    return (uint32_t)hf_registry_totals(&f->registry).host_slots;
}

/* What is left of a host is forgotten in its time. linger = 0: it is a mere record at once. */
static void check_record_leaves(bool in_flight)
{
    struct fixture f;
    struct hf_job job;
    hf_handle conn;
    FIXTURE_OPEN(&f, "linger", "0");

    conn = connect_at(&f, "one.example", 0);
    CHECK(take(&f, 0, &job));
    if (!in_flight)
        fail_with(&f, &job, 500, 0);
    CHECK(hf_registry_release(&f.registry, conn, SECOND));
    CHECK_INT_EQ(slots_in_use(&f), 1);
    apply_others(&f, "client", "OTHER", 2 * SECOND);
    CHECK_INT_EQ(next_job(&f, 2 * SECOND, &job), -1);
    CHECK_INT_EQ(slots_in_use(&f), 0);
    fixture_close(&f);
}

static void test_failed_record(void)
{
    check_record_leaves(false);
}

static void test_record_in_flight(void)
{
    check_record_leaves(true);
}

/* Two refreshers in a row died after they had taken the host and before they asked it. */
static void test_lost_before_asked(void)
{
    struct fixture f;
    struct hf_host_entry *entry;
    struct hf_job job;
    FIXTURE_OPEN(&f, "ttl", "15min");

    connect_at(&f, "one.example", 0);
    entry = hf_block_host(hf_registry_block(&f.registry), 0);
    for (int64_t death = 1; death <= 2; death++) {
        entry->facts.in_flight = true;
        hf_registry_lead(&f.registry, death * SECOND);
    }
    if (CHECK(take(&f, 10 * SECOND, &job)))
        CHECK(succeed(&f, &job, 1, 0, 10 * SECOND).counted);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 in flight while values are fresh: asked again after the shortest backoff",
            test_in_flight_with_fresh_values},
        {"C84 C66 refused while values are fresh, other requests: asked again after a second",
            test_refused_with_fresh_values},
        {"C84 C66 in flight after a refusal, other requests: the refusal is forgotten",
            test_in_flight_after_refusal},
        {"C84 C65 other requests: not before the end of a Retry-After", test_retry_after},
        {"C91 lost twice before it was asked: it is asked", test_lost_before_asked},
        {"C84 the record of a failed host leaves in its time", test_failed_record},
        {"C84 the record of a host that was in flight leaves in its time", test_record_in_flight},
    };

    return hf_suite_run("apply", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

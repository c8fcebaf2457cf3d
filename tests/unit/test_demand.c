/* SPDX-License-Identifier: PostgreSQL
 *
 * Requests that do not follow the plan: none where nothing is asked, sooner on demand, and again
 * where a reload gave one up. Time is a parameter.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

static void test_switched_off(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "enabled", "off", "defaults", "a=on");

    hf_handle one = connect_at(&f, "one.example", 0);
    CHECK(one != 0);
    CHECK(!take(&f, HOUR, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HF_NEVER);
    fixture_close(&f);

    FIXTURE_OPEN(&f, "overrides", "a=on, b=off, c=on");
    one = connect_at(&f, "one.example", 0);
    CHECK(!take(&f, HOUR, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0) + read_flag(&f, one, 1) * 2 + read_flag(&f, one, 2) * 4, 5);
    fixture_close(&f);
}

static void test_refresh_on_demand(void)
{
    struct fixture f;
    struct hf_job job;
    struct hf_upstream_key one = key_of("one.example"), two = key_of("two.example");
    FIXTURE_OPEN(&f, "linger", "1h");

    hf_handle handle = connect_and_answer(&f, "one.example", 1, 0);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, &two, SECOND), HF_REFRESH_UNKNOWN);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, &one, SECOND - 1), HF_REFRESH_TOO_SOON);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, &one, SECOND), HF_REFRESH_PLANNED);
    CHECK(take(&f, SECOND, &job));
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, NULL, 3 * SECOND), HF_REFRESH_IN_FLIGHT);
    fail_with(&f, &job, 500, 3 * SECOND);
    CHECK(!take(&f, 4 * SECOND, &job));
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, NULL, 4 * SECOND), HF_REFRESH_PLANNED);
    CHECK(take(&f, 4 * SECOND, &job));
    fail_with(&f, &job, 500, 4 * SECOND);
    CHECK(hf_registry_release(&f.registry, handle, 5 * SECOND));
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, &one, HOUR), HF_REFRESH_UNKNOWN);
    fixture_close(&f);
}

static void test_apply_in_flight(void)
{
    struct fixture f;
    struct hf_job job;
    int requests = 0;
    FIXTURE_OPEN(&f, "linger", "1h");

    connect_at(&f, "one.example", 0);
    for (int64_t now = 0; now < MINUTE; now += 100) {
        requests += take(&f, now, &job);
        hf_registry_apply(&f.registry, f.settings, now);
    }
    CHECK_INT_EQ(requests, 12); /* one in five seconds, the shortest backoff */
    CHECK(take(&f, MINUTE, &job));
    succeed(&f, &job, 1, 0, MINUTE);
    hf_registry_apply(&f.registry, f.settings, MINUTE);
    CHECK_INT_EQ(state_of(&f, "one.example", MINUTE), HF_FRESH);
    CHECK(!take(&f, 2 * MINUTE, &job));
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C81 C82 switched off or overridden: no request", test_switched_off},
        {"refresh skips TTL and backoff, at most once a second", test_refresh_on_demand},
        {"C84 reloads repeat what is in flight at most once per backoff window",
            test_apply_in_flight},
    };

    return hf_suite_run("demand", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_lock.c: which operations of a connection take the registry's lock, whatever that is: a mutex
 * of a process, or PostgreSQL's.
 */
#include "tests/support/suite.h"
#include "tests/unit/registry_fixture.h"

static int taken;

static void count_and_take(void *mutex)
{
    taken++;
    fixture_take(mutex);
}

static void test_hot_path(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "1h");

    f.lock.take = count_and_take;
    taken = 0;
    hf_handle one = connect_at(&f, "one.example", 1000);
    CHECK_INT_EQ(taken, 1); /* the host is new */
    hf_handle two = connect_at(&f, "one.example", 1000);
    CHECK(one != 0 && two != 0 && one != two);
    for (uint32_t flag = 0; flag < 3; flag++)
        CHECK_INT_EQ(hf_registry_read(&f.registry, two, flag), 0);
    CHECK(hf_registry_release(&f.registry, two, 1000));
    CHECK(!hf_registry_release(&f.registry, two, 1000));
    CHECK_INT_EQ(taken, 1);
    CHECK(connect_at(&f, "other.example", 1000) != 0);
    CHECK_INT_EQ(taken, 2);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a new host takes the lock once; a known one, reads and releases take none",
            test_hot_path},
    };

    return hf_suite_run("lock", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Threads count their references apart (references.h): that must not be seen from outside.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

#include <sched.h>

enum { THREADS = 2 * HF_STRIPES }; /* at least two of them in each row */

/* What one thread does, beside nobody: it is joined before the next one starts. */
struct errand {
    struct fixture *fixture;
    int64_t now;
    struct hf_acquired acquired;
};

static void *run_acquire(void *arg)
{
    struct errand *errand = arg;

    errand->acquired = acquire(errand->fixture, "one.example", errand->now);
    return NULL;
}

static struct hf_acquired acquire_elsewhere(struct fixture *f, int64_t now)
{
    struct errand errand = {f, now, {0}};
    pthread_t thread;

    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_acquire, &errand), 0);
    pthread_join(thread, NULL);
    return errand.acquired;
}

static void test_given_back_elsewhere(void)
{
    struct fixture f;
    hf_handle handles[THREADS];
    FIXTURE_OPEN(&f, "linger", "10s");

    connect_and_answer(&f, "one.example", 1, 1000);
    for (int i = 0; i < THREADS; i++)
        handles[i] = acquire_elsewhere(&f, 1000).handle;
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT_EQ(read_flag(&f, handles[i], 0), 1);
        CHECK(hf_registry_release(&f.registry, handles[i], 2000));
        CHECK(!hf_registry_release(&f.registry, handles[i], 2000));
        CHECK_INT_EQ(references_of(&f, "one.example", 2000), THREADS - i);
    }
    fixture_close(&f);
}

/* The first reference is as old as can be: the host is held all the same, with its value, and
 * there is nothing to wake the worker for. */
static void test_held_by_one_is_held_for_all(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "10s");

    connect_and_answer(&f, "one.example", 1, 1000);
    for (int i = 0; i < THREADS; i++) {
        struct hf_acquired other = acquire_elsewhere(&f, 1000 + HOUR);
        CHECK(other.handle != 0 && !other.kick);
        CHECK_INT_EQ(read_flag(&f, other.handle, 0), 1);
        CHECK(hf_registry_release(&f.registry, other.handle, 1000 + HOUR));
    }
    fixture_close(&f);
}

static void test_last_release_counts(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    hf_handle two = acquire_elsewhere(&f, 1000).handle, three = acquire_elsewhere(&f, 1000).handle;
    CHECK(hf_registry_release(&f.registry, one, 2000));
    CHECK(hf_registry_release(&f.registry, three, 2000));
    CHECK_INT_EQ(references_of(&f, "one.example", 2000), 1);
    CHECK_INT_EQ(read_flag(&f, two, 0), 1);
    CHECK(hf_registry_release(&f.registry, two, 2000));
    CHECK_INT_EQ(references_of(&f, "one.example", 2000), -1);
    fixture_close(&f);
}

/* ---- two at the same moment ---- */

enum { ROUNDS = 20000 };

struct meeting {
    struct fixture *fixture;
    _Atomic int round, done;
    int64_t now;
    struct hf_acquired other;
};

/* Spins, so that both go on at the same moment; not for ever, since there may be one CPU only. */
static void wait_for(_Atomic int *number, int at_least)
{
    for (int spins = 0; atomic_load(number) < at_least; spins++)
        if (spins > 2000)
            sched_yield();
}

static void *run_rounds(void *arg)
{
    struct meeting *meeting = arg;

    for (int round = 1; round <= ROUNDS; round++) {
        wait_for(&meeting->round, round);
        meeting->other = acquire(meeting->fixture, "one.example", meeting->now);
        atomic_fetch_add(&meeting->done, 1);
    }
    return NULL;
}

/* True: the host began a new life, without its value, and is to be asked. */
static bool meet(struct meeting *meeting, int round)
{
    struct fixture *f = meeting->fixture;
    struct hf_acquired mine;
    struct hf_job job;
    bool new_life;

    atomic_store(&meeting->round, round);
    for (volatile int head_start = round % 64; head_start > 0; head_start--)
        continue;
    mine = acquire(f, "one.example", meeting->now);
    wait_for(&meeting->done, round);
    new_life = read_flag(f, mine.handle, 0) == 0 && read_flag(f, meeting->other.handle, 0) == 0 &&
        take(f, meeting->now, &job);
    if (new_life)
        succeed(f, &job, 1, 0, meeting->now);
    hf_registry_release(&f->registry, mine.handle, meeting->now);
    hf_registry_release(&f->registry, meeting->other.handle, meeting->now);
    return new_life;
}

static void test_two_at_once(void)
{
    struct fixture f;
    struct meeting meeting = {.fixture = &f, .now = 1000};
    pthread_t thread;
    int revived = 0;
    FIXTURE_OPEN(&f, "linger", "10s");

    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_rounds, &meeting), 0);
    hf_registry_release(
        &f.registry, connect_and_answer(&f, "one.example", 1, meeting.now), meeting.now);
    for (int round = 1; round <= ROUNDS; round++) {
        meeting.now += 11 * SECOND;
        revived += !meet(&meeting, round);
    }
    pthread_join(thread, NULL);
    CHECK_INT_EQ(revived, 0);
    fixture_close(&f);
}

/* Processes that were forked alike have the same number of threads, so their seats tell them apart:
 * here two threads that their seats make the same one. */
static void test_seat(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "10s");

    connect_and_answer(&f, "one.example", 1, 1000);
    hf_handle one = acquire_elsewhere(&f, 1000).handle;
    f.registry.seat = UINT32_MAX; /* one less */
    hf_handle two = acquire_elsewhere(&f, 1000).handle;
    CHECK_INT_EQ((uint32_t)two, (uint32_t)one + 1);
    CHECK_INT_EQ(two >> 32 & (HF_STRIPES - 1), one >> 32 & (HF_STRIPES - 1));
    f.registry.seat = 0;
    hf_handle three = acquire_elsewhere(&f, 1000).handle;
    CHECK((uint32_t)three - (uint32_t)one > 1000);
    CHECK((three >> 32 & (HF_STRIPES - 1)) != (one >> 32 & (HF_STRIPES - 1)));
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C03 C07 references of many threads are given back by one, each once",
            test_given_back_elsewhere},
        {"C03 C04 a host that one thread holds is there for all, however long",
            test_held_by_one_is_held_for_all},
        {"C04 with linger = 0 the last release of all threads removes the entry",
            test_last_release_counts},
        {"C04 two connections at once do not revive a host whose time is over", test_two_at_once},
        {"a seat decides where a process begins to count and to look", test_seat},
    };

    return hf_suite_run("thread rows", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * The harness that kills a process after each change of shared memory: does it stop at each one,
 * in order, and are locks of the dead seen as such?
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/fds.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 60000
#define FILLED 200
#define MOST 500 /* changes of a sweep */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct shared {
    pthread_mutex_t mutex;
    atomic_uint words[3];
    unsigned char bytes[FILLED];
    atomic_uint futex;
    atomic_int watched; /* the last of the first region */
    atomic_uint unwatched[1024];
    atomic_uint far; /* the second region */
};

static struct shared *shared;
static struct hf_crash_region regions[2];
static char error[160];
static cpu_set_t at_start; /* the processors of this process */

/* False: skipped. */
static bool start(void)
{
    const char *reason = hf_crash_unavailable();

    if (reason) {
        hf_test_skip(reason);
        return false;
    }
    regions[0] = (struct hf_crash_region){shared, offsetof(struct shared, unwatched)};
    regions[1] = (struct hf_crash_region){(void *)&shared->far, sizeof(shared->far)};
    return true;
}

static void set_up(void)
{
    pthread_mutexattr_t attributes;

    memset(shared, 0, sizeof(*shared));
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static struct hf_crash crash_of(void (*step)(void *))
{
    return (struct hf_crash){.step = step,
        .ctx = shared,
        .regions = regions,
        .count = COUNT(regions),
        .timeout_ms = BOUND_MS};
}

static int crash_at(const struct hf_crash *crash, unsigned n)
{
    int result;

    set_up();
    error[0] = '\0';
    result = hf_crash_at(crash, n, error, sizeof(error));
    CHECK_STR_EQ(error, "");
    return result;
}

/* ---- words ---- */

static void write_words(void *ctx)
{
    struct shared *at = ctx;

    at->words[0] = 11;
    at->unwatched[0] = 1;
    at->words[0] = 11; /* no change */
    at->far = 22;
    atomic_fetch_add(&at->words[2], 33);
}

static void test_words(void)
{
    static const unsigned seen[][3] = {{11, 0, 0}, {11, 22, 0}, {11, 22, 33}};
    struct hf_crash crash;

    if (!start())
        return;
    crash = crash_of(write_words);
    for (unsigned n = 1; n <= COUNT(seen); n++) {
        CHECK_INT_EQ(crash_at(&crash, n), 1);
        CHECK_INT_EQ(shared->words[0], seen[n - 1][0]);
        CHECK_INT_EQ(shared->far, seen[n - 1][1]);
        CHECK_INT_EQ(shared->words[2], seen[n - 1][2]);
        CHECK_INT_EQ(shared->unwatched[0], n > 1);
    }
    CHECK_INT_EQ(crash_at(&crash, COUNT(seen) + 1), 0);
    CHECK_INT_EQ(shared->words[2], 33);
    CHECK_INT_EQ(crash_at(&crash, UINT_MAX), 0);
}

/* ---- a lock ---- */

static void write_locked(void *ctx)
{
    struct shared *at = ctx;

    if (pthread_mutex_lock(&at->mutex) != 0)
        _exit(1);
    at->words[0] = 1;
    at->words[0] = 2;
    if (pthread_mutex_unlock(&at->mutex) != 0)
        _exit(2);
}

/* Not waiting: a lock that the dead still held for ever would be EBUSY. */
static bool died_holding(void)
{
    int result = pthread_mutex_trylock(&shared->mutex);

    CHECK(result == 0 || result == EOWNERDEAD);
    if (result == EOWNERDEAD)
        CHECK_INT_EQ(pthread_mutex_consistent(&shared->mutex), 0);
    CHECK_INT_EQ(pthread_mutex_unlock(&shared->mutex), 0);
    return result == EOWNERDEAD;
}

/* The stages of write_locked: words written, and whether the lock is held; each is seen, each word
 * as it is written seen with the lock held, and none comes back. */
static void test_lock(void)
{
    unsigned held[3] = {0}, stage = 0, n;
    struct hf_crash crash;
    bool released = false;
    int ended = 1;

    if (!start())
        return;
    crash = crash_of(write_locked);
    for (n = 1; n < MOST && (ended = crash_at(&crash, n)) == 1; n++) {
        bool now = died_holding();

        CHECK_INT_BETWEEN(shared->words[0], stage, stage + 1);
        stage = shared->words[0];
        CHECK(!(now && released));
        CHECK(now || stage == 0 || stage == 2);
        if (now)
            held[stage]++;
        released = !now && stage == 2;
    }
    CHECK_INT_EQ(ended, 0);
    CHECK(held[0] > 0 && held[1] == 1 && held[2] > 0);
    CHECK_INT_EQ(shared->words[0], 2);
    CHECK(!died_holding());
}

static void *hold(void *ctx)
{
    struct shared *at = ctx;

    pthread_mutex_lock(&at->mutex);
    at->futex = 1;
    while (pause() < 0)
        continue;
    return NULL;
}

static void let_another_hold(void *ctx)
{
    struct shared *at = ctx;
    pthread_t thread;

    if (pthread_create(&thread, NULL, hold, ctx) != 0)
        _exit(1);
    while (at->futex == 0)
        sched_yield();
}

/* As a process does that lives by a lock: another of its threads holds it. */
static void test_lock_of_other_thread(void)
{
    struct hf_crash crash;

    if (!start())
        return;
    crash = crash_of(write_words);
    crash.prepare = let_another_hold; /* its changes are not counted */
    for (unsigned n = 1; n <= 4; n++) {
        CHECK_INT_EQ(crash_at(&crash, n), n <= 3);
        CHECK_INT_EQ(shared->words[0], 11);
        CHECK_INT_EQ(shared->words[2], n < 3 ? 0 : 33);
        CHECK(died_holding());
    }
    crash = crash_of(let_another_hold); /* a thread that starts while its process is stepped */
    CHECK_INT_EQ(crash_at(&crash, UINT_MAX), 0);
    CHECK(died_holding());
}

/* ---- bytes ---- */

static void fill(void *ctx)
{
    struct shared *at = ctx;

    memset(at->bytes, 7, FILLED);
}

static unsigned filled(void)
{
    unsigned count = 0;

    for (size_t i = 0; i < FILLED; i++)
        count += shared->bytes[i] == 7;
    return count;
}

/* In which order and how many at once is memset's business. */
static void test_bytes(void)
{
    struct hf_crash crash;
    unsigned before = 0, n;
    int ended = 1;

    if (!start())
        return;
    crash = crash_of(fill);
    for (n = 1; n < MOST && (ended = crash_at(&crash, n)) == 1; n++) {
        CHECK_INT_BETWEEN(filled(), before + 1, FILLED);
        before = filled();
    }
    CHECK_INT_EQ(ended, 0);
    CHECK_INT_EQ(before, FILLED);
    CHECK_INT_BETWEEN(n - 1, 2, FILLED); /* no machine stores that much at once */
}

/* ---- system calls and signals ---- */

static void on_signal(int signal)
{
    (void)signal;
    shared->words[1] = 5;
}

/* A clock, a file descriptor, a futex that is woken and one that is waited for, a signal. */
static void call_kernel(void *ctx)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    struct shared *at = ctx;
    struct timespec now;
    int fds[2];

    signal(SIGUSR1, on_signal);
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0 || pipe(fds) != 0)
        _exit(1);
    if (write(fds[1], "abc", 3) != 3 || read(fds[0], at->bytes, 3) != 3)
        _exit(2);
    if (syscall(SYS_futex, &at->futex, FUTEX_WAKE, 1, NULL, NULL, 0) != 0)
        _exit(3);
    if (syscall(SYS_futex, &at->futex, FUTEX_WAIT, 0, &moment, NULL, 0) == 0 || errno != ETIMEDOUT)
        _exit(4);
    raise(SIGUSR1);
    at->words[2] = 9;
}

static void test_system_calls(void)
{
    struct hf_crash crash;

    if (!start())
        return;
    crash = crash_of(call_kernel);
    for (unsigned n = 1; n <= 4; n++) {
        CHECK_INT_EQ(crash_at(&crash, n), n <= 3);
        CHECK_STR_EQ((const char *)shared->bytes, "abc");
        CHECK_INT_EQ(shared->words[1], n < 2 ? 0 : 5);
        CHECK_INT_EQ(shared->words[2], n < 3 ? 0 : 9);
    }
}

/* ---- children that do not end as they should ---- */

static void sleep_for_ever(void *ctx)
{
    struct shared *at = ctx;
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    at->words[0] = 1;
    for (;;)
        syscall(SYS_futex, &at->futex, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void run_for_ever(void *ctx)
{
    struct shared *at = ctx;

    for (;;)
        at->unwatched[0]++;
}

static void give_up(void *ctx)
{
    (void)ctx;
    _exit(3);
}

static void die(void *ctx)
{
    (void)ctx;
    raise(SIGTERM);
}

static void check_error(struct hf_crash crash, const char *says)
{
    set_up();
    error[0] = '\0';
    CHECK_INT_EQ(hf_crash_at(&crash, 2, error, sizeof(error)), -1);
    CHECK_STR_CONTAINS(error, says);
    CHECK_INT_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT_EQ(errno, ECHILD);
}

static void check_late(void (*step)(void *), const char *says)
{
    struct hf_crash crash = crash_of(step);
    int64_t started_ms = hf_wait_now_ms();

    crash.timeout_ms = 300;
    check_error(crash, "not done within ");
    CHECK_STR_CONTAINS(error, says);
    CHECK_INT_BETWEEN(hf_wait_now_ms() - started_ms, hf_wait_slow_ms(300), BOUND_MS);
    crash.step = write_words;
    crash.prepare = step;
    check_error(crash, ": 0 instructions, 0 changes so far");
}

static void test_bound(void)
{
    if (!start())
        return;
    check_late(sleep_for_ever, " 1 changes so far");
    check_late(run_for_ever, " 0 changes so far");
}

static void test_errors(void)
{
    struct hf_crash crash;

    if (!start())
        return;
    check_error(crash_of(give_up), "the child ended with status 3 in step");
    check_error(crash_of(die), "the child died of signal 15 in step");
    crash = crash_of(write_words);
    crash.prepare = give_up;
    check_error(crash, "the child ended with status 3 in prepare");
}

static void test_nothing_left(void)
{
    int fds = hf_fds_count(0), threads = hf_fds_threads(0);
    cpu_set_t now;
    struct hf_crash crash;

    if (!start())
        return;
    crash = crash_of(write_words);
    CHECK_INT_EQ(crash_at(&crash, 1), 1);
    CHECK_INT_EQ(crash_at(&crash, 9), 0);
    CHECK_INT_EQ(sched_getaffinity(0, sizeof(now), &now), 0);
    CHECK(CPU_EQUAL(&at_start, &now));
    CHECK_INT_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT_EQ(errno, ECHILD);
    CHECK_INT_EQ(hf_fds_count(0), fds);
    CHECK_INT_EQ(hf_fds_threads(0), threads);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"crash: stops once at each change, in order", test_words},
        {"crash: a lock of the dead is seen as such", test_lock},
        {"crash: so is one that another of its threads held", test_lock_of_other_thread},
        {"crash: memset, store by store", test_bytes},
        {"crash: system calls and signals are as without it", test_system_calls},
        {"crash: a child that sleeps or runs for ever is bounded", test_bound},
        {"crash: a child that fails or dies says so", test_errors},
        {"crash: leaves no child, descriptor, thread or processor mask", test_nothing_left},
    };

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || sched_getaffinity(0, sizeof(at_start), &at_start) != 0)
        return 1;
    return hf_suite_run("support crash", tests, COUNT(tests), argc, argv);
}

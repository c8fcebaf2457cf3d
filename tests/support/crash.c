/* SPDX-License-Identifier: PostgreSQL
 *
 * The bound is a timer whose signal interrupts waitpid: it has to end a child that sleeps in a
 * system call with all signals blocked as well as one that runs in circles. It fires again and
 * again, since the first time may fall between the look at `late` and the call of waitpid.
 */
#include "tests/support/crash.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/wait_until.h"

#define NOT_TRACED 255 /* exit status of a child that may not be traced */
#define AGAIN_MS 50
#define PROBE_MS 10000

#ifndef sigev_notify_thread_id /* named in the manual, but not by every libc */
#define sigev_notify_thread_id _sigev_un._tid
#endif

#if defined(__SANITIZE_THREAD__)
#define TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN true
#endif
#endif
#ifndef TSAN
#define TSAN false
#endif

struct run {
    const struct hf_crash *crash;
    unsigned char *before; /* the regions as the latest change left them, one behind the other */
    pid_t child; /* 0: none, or reaped */
    int status; /* as of waitpid */
    unsigned changes;
    unsigned long long instructions;
    char *error;
    size_t error_size;
};

static volatile sig_atomic_t late;

static void on_late(int signal)
{
    (void)signal;
    late = 1;
}

__attribute__((format(printf, 2, 3))) static int fail(struct run *run, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->error, run->error_size, format, arguments);
    va_end(arguments);
    return -1;
}

static int refuse(struct run *run, const char *why)
{
    fail(run, "%s", why);
    return HF_CRASH_REFUSED;
}

/* ---- the bound ---- */

static struct timespec timespec_of_ms(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 + 1};
}

/* The signal goes to this thread, whichever of the process it is: the one that waits. */
static bool start_timer(timer_t *timer, int64_t timeout_ms)
{
    const struct sigaction action = {.sa_handler = on_late}; /* no SA_RESTART */
    const struct itimerspec times = {timespec_of_ms(AGAIN_MS), timespec_of_ms(timeout_ms)};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMAX};

    event.sigev_notify_thread_id = gettid();
    late = 0;
    if (sigaction(SIGRTMAX, &action, NULL) != 0 || timer_create(CLOCK_MONOTONIC, &event, timer))
        return false;
    if (timer_settime(*timer, 0, &times, NULL) == 0)
        return true;
    timer_delete(*timer);
    return false;
}

/* ---- one processor for both ---- */

static bool share_processor(cpu_set_t *allowed)
{
    int processor = sched_getcpu();
    cpu_set_t one;

    if (processor < 0 || processor >= CPU_SETSIZE ||
        sched_getaffinity(0, sizeof(*allowed), allowed) != 0)
        return false;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0;
}

/* ---- the regions ---- */

static bool make_copy(struct run *run)
{
    size_t size = 0;

    for (size_t i = 0; i < run->crash->count; i++)
        size += run->crash->regions[i].size;
    run->before = malloc(size + 1);
    return run->before != NULL;
}

/* Whether a byte changed since the last time. */
static bool take_changes(struct run *run)
{
    unsigned char *before = run->before;
    bool changed = false;

    for (size_t i = 0; i < run->crash->count; i++) {
        const void *now = (const void *)run->crash->regions[i].start;
        size_t size = run->crash->regions[i].size;

        if (memcmp(before, now, size) != 0) {
            memcpy(before, now, size);
            changed = true;
        }
        before += size;
    }
    return changed;
}

/* ---- the child ---- */

static _Noreturn void be_child(const struct hf_crash *crash, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(NOT_TRACED);
    if (crash->prepare)
        crash->prepare(crash->ctx);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(NOT_TRACED);
    raise(SIGSTOP);
    crash->step(crash->ctx);
    _exit(0);
}

/* Waits for the child to stop or end. False: it did not, in time, or (not late) errno says why. */
static bool await(struct run *run)
{
    while (!late) {
        if (waitpid(run->child, &run->status, 0) == run->child) {
            if (!WIFSTOPPED(run->status))
                run->child = 0;
            return true;
        }
        if (errno != EINTR)
            break;
    }
    return false;
}

static void end_child(struct run *run)
{
    int status;

    if (run->child <= 0)
        return;
    kill(run->child, SIGKILL);
    do {
        while (waitpid(run->child, &status, 0) < 0 && errno == EINTR)
            continue;
    } while (WIFSTOPPED(status));
    run->child = 0;
}

static int say_late(struct run *run)
{
    if (!late)
        return fail(run, "cannot wait for the child: %s", strerror(errno));
    return fail(run, "not done within %lld ms: %llu instructions, %u changes so far",
        (long long)hf_wait_slow_ms(run->crash->timeout_ms), run->instructions, run->changes);
}

static int say_ended(struct run *run, const char *when)
{
    if (WIFSIGNALED(run->status))
        return fail(run, "the child died of signal %d %s", WTERMSIG(run->status), when);
    return fail(run, "the child ended with status %d %s", WEXITSTATUS(run->status), when);
}

/* From its first stop, which is its own doing. */
static int follow(struct run *run, unsigned n)
{
    int signal = 0;

    for (;;) {
        /* One that was killed by somebody else is not there any more: waitpid tells. */
        if (ptrace(PTRACE_SINGLESTEP, run->child, NULL, (void *)(long)signal) != 0 &&
            errno != ESRCH)
            return refuse(run, "cannot single-step");
        if (!await(run))
            return say_late(run);
        if (!WIFSTOPPED(run->status) && (!WIFEXITED(run->status) || WEXITSTATUS(run->status) != 0))
            return say_ended(run, "in step");
        if (!WIFSTOPPED(run->status))
            return 0;
        run->instructions++;
        if (take_changes(run) && ++run->changes == n)
            return 1;
        signal = WSTOPSIG(run->status) == SIGTRAP ? 0 : WSTOPSIG(run->status);
    }
}

static int trace(struct run *run, unsigned n)
{
    pid_t self = getpid();

    run->child = fork();
    if (run->child < 0)
        return fail(run, "cannot fork: %s", strerror(errno));
    if (run->child == 0)
        be_child(run->crash, self);
    if (!await(run))
        return say_late(run);
    if (WIFEXITED(run->status) && WEXITSTATUS(run->status) == NOT_TRACED)
        return refuse(run, "ptrace is not allowed here");
    if (!WIFSTOPPED(run->status))
        return say_ended(run, "in prepare");
    take_changes(run);
    return follow(run, n);
}

int hf_crash_at(const struct hf_crash *crash, unsigned n, char *error, size_t error_size)
{
    struct run run = {.crash = crash, .error = error, .error_size = error_size};
    cpu_set_t allowed;
    timer_t timer;
    bool shared;
    int result;

    if (!make_copy(&run))
        return fail(&run, "out of memory");
    if (!start_timer(&timer, hf_wait_slow_ms(crash->timeout_ms))) {
        result = fail(&run, "no timer: %s", strerror(errno));
        goto cleanup;
    }
    shared = share_processor(&allowed);
    result = trace(&run, n);
    end_child(&run);
    if (shared)
        sched_setaffinity(0, sizeof(allowed), &allowed);
    timer_delete(timer);
cleanup:
    free(run.before);
    return result;
}

/* ---- whether it can be done ---- */

static void do_nothing(void *ctx)
{
    (void)ctx;
}

/* Only a refusal is a reason to skip: whatever else goes wrong must show in the tests. */
const char *hf_crash_unavailable(void)
{
    static const struct hf_crash crash = {.step = do_nothing, .timeout_ms = PROBE_MS};
    static char reason[128];

    if (TSAN)
        return "ThreadSanitizer does not survive threads that start after such a fork";
    if (getenv("HF_UNDER_VALGRIND"))
        return "valgrind's instructions are not those of the program";
    return hf_crash_at(&crash, 1, reason, sizeof(reason)) == HF_CRASH_REFUSED ? reason : NULL;
}

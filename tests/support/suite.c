/* SPDX-License-Identifier: PostgreSQL
 *
 * CUnit runs the tests and keeps the failures; this file turns its callbacks into lines of output.
 * All tests run through one function, run_current(), since CUnit's tests take no argument; CUnit
 * runs them in the order of registration, so the next one is always selected[position].
 */
#include "tests/support/suite.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/name_server.h"
#include "tests/support/wait_until.h"

#define TEST_LIMIT_MS 120000
#define KEPT_THREAD_FAILURES 32

struct thread_failure {
    const char *condition, *file;
    unsigned line;
};

static struct {
    const char *name;
    const struct hf_test **selected;
    size_t count, position;
    const char *skipped; /* why; NULL: it was not */
    int64_t started_ms;
    size_t passed, failed, skips;
    pthread_t main_thread;
} suite;

/* Failures of other threads during the running test. */
static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct thread_failure thread_failures[KEPT_THREAD_FAILURES];
static size_t thread_failure_count;

bool hf_thread_record(bool held, const char *condition, const char *file, unsigned line)
{
    if (held)
        return true;
    pthread_mutex_lock(&thread_mutex);
    if (thread_failure_count < KEPT_THREAD_FAILURES)
        thread_failures[thread_failure_count] = (struct thread_failure){condition, file, line};
    thread_failure_count++;
    pthread_mutex_unlock(&thread_mutex);
    return false;
}

bool hf_check(bool held, const char *condition, const char *file, unsigned line)
{
    if (!pthread_equal(pthread_self(), suite.main_thread))
        return hf_thread_record(held, condition, file, line);
    return CU_assertImplementation(held, line, condition, file, "", CU_FALSE);
}

/* A failure whose text is made for the occasion. CUnit copies it; for other threads, whose failures
 * are not copied, the condition as written has to do. */
static void fail(const char *text, const char *condition, const char *file, unsigned line)
{
    bool here = pthread_equal(pthread_self(), suite.main_thread);

    hf_check(false, here ? text : condition, file, line);
}

bool hf_check_int(
    long long actual, long long expected, const char *condition, const char *file, unsigned line)
{
    char text[512];

    if (actual == expected)
        return hf_check(true, condition, file, line);
    snprintf(text, sizeof(text), "%s: is %lld, should be %lld", condition, actual, expected);
    fail(text, condition, file, line);
    return false;
}

bool hf_check_between(long long actual, long long low, long long high, const char *expression,
    const char *file, unsigned line)
{
    char text[512];

    if (actual >= low && actual <= high)
        return hf_check(true, expression, file, line);
    snprintf(
        text, sizeof(text), "%s: is %lld, should be %lld to %lld", expression, actual, low, high);
    fail(text, expression, file, line);
    return false;
}

static const char *quoted(const char *text, char *buffer, size_t size)
{
    if (!text)
        return "NULL";
    snprintf(buffer, size, "\"%s\"", text);
    return buffer;
}

static void fail_strings(const char *actual, const char *relation, const char *expected,
    const char *condition, const char *file, unsigned line)
{
    char first[1024], second[1024], text[2560];

    snprintf(text, sizeof(text), "%s: is %s, should %s %s", condition,
        quoted(actual, first, sizeof(first)), relation, quoted(expected, second, sizeof(second)));
    fail(text, condition, file, line);
}

bool hf_check_str(const char *actual, const char *expected, const char *condition, const char *file,
    unsigned line)
{
    if (actual && expected ? strcmp(actual, expected) == 0 : actual == expected)
        return hf_check(true, condition, file, line);
    fail_strings(actual, "be", expected, condition, file, line);
    return false;
}

bool hf_check_contains(
    const char *actual, const char *part, const char *expression, const char *file, unsigned line)
{
    if (actual && part && strstr(actual, part))
        return hf_check(true, expression, file, line);
    fail_strings(actual, "contain", part, expression, file, line);
    return false;
}

void hf_test_skip(const char *reason)
{
    suite.skipped = reason;
}

static void write_text(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        return;
}

/* A test that hangs or crashes must not leave its name unsaid. Only async-signal-safe calls. */
static void on_fatal_signal(int signal)
{
    write_text("FAILED  ");
    write_text(suite.name);
    write_text(": ");
    write_text(suite.selected[suite.position]->title);
    write_text(signal == SIGALRM ? ": did not end in time\n" : ": crashed\n");
    if (signal == SIGALRM)
        _exit(1);
    raise(signal); /* the default again, by SA_RESETHAND */
}

static void catch_fatal_signals(void)
{
    static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    const struct sigaction ours = {.sa_handler = on_fatal_signal, .sa_flags = SA_RESETHAND};
    struct sigaction old;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        /* A sanitizer's own handler knows more than ours. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(signals[i], &ours, NULL);
    }
}

static void run_current(void)
{
    suite.selected[suite.position]->run();
}

static void on_start(const CU_pTest test, const CU_pSuite cunit_suite)
{
    (void)test;
    (void)cunit_suite;
    suite.skipped = NULL;
    suite.started_ms = hf_wait_now_ms();
    alarm((unsigned)(hf_wait_slow_ms(TEST_LIMIT_MS) / 1000));
}

static void print_failures(const struct CU_FailureRecord *failure, size_t from_threads)
{
    size_t kept = from_threads < KEPT_THREAD_FAILURES ? from_threads : KEPT_THREAD_FAILURES;

    for (; failure; failure = failure->pNext)
        printf("            %s:%u: %s\n", failure->strFileName, failure->uiLineNumber,
            failure->strCondition);
    for (size_t i = 0; i < kept; i++)
        printf("            %s:%u: %s (in another thread)\n", thread_failures[i].file,
            thread_failures[i].line, thread_failures[i].condition);
    if (from_threads > kept)
        printf("            … and %zu more in other threads\n", from_threads - kept);
}

static void on_complete(
    const CU_pTest test, const CU_pSuite cunit_suite, const CU_pFailureRecord failures)
{
    const char *title = suite.selected[suite.position++]->title;
    int64_t took_ms = hf_wait_now_ms() - suite.started_ms;

    (void)test;
    (void)cunit_suite;
    alarm(0);
    pthread_mutex_lock(&thread_mutex);
    if (failures || thread_failure_count > 0) {
        suite.failed++;
        printf("FAILED  %s: %s  (%lld ms)\n", suite.name, title, (long long)took_ms);
        print_failures(failures, thread_failure_count);
    } else if (suite.skipped) {
        suite.skips++;
        printf("skipped %s: %s: %s\n", suite.name, title, suite.skipped);
    } else {
        suite.passed++;
        printf("ok      %s: %s  (%lld ms)\n", suite.name, title, (long long)took_ms);
    }
    thread_failure_count = 0;
    pthread_mutex_unlock(&thread_mutex);
    fflush(stdout);
}

static bool wanted(const char *title, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strstr(title, argv[i]))
            return true;
    }
    return argc <= 1;
}

static bool select_tests(const struct hf_test *tests, size_t count, int argc, char **argv)
{
    suite.selected = calloc(count + 1, sizeof(*suite.selected));
    suite.count = suite.position = 0;
    for (size_t i = 0; suite.selected && i < count; i++) {
        if (wanted(tests[i].title, argc, argv))
            suite.selected[suite.count++] = &tests[i];
    }
    if (suite.count == 0)
        printf("%s: no test to run\n", suite.name);
    return suite.count > 0;
}

/* CUnit takes a second test of the same title but says so in its error: that is refused here. */
static bool register_tests(void)
{
    CU_pSuite cunit_suite = CU_add_suite(suite.name, NULL, NULL);

    for (size_t i = 0; cunit_suite && i < suite.count; i++) {
        if (!CU_add_test(cunit_suite, suite.selected[i]->title, run_current) ||
            CU_get_error() != CUE_SUCCESS) {
            printf("%s: cannot register \"%s\": %s\n", suite.name, suite.selected[i]->title,
                CU_get_error_msg());
            return false;
        }
    }
    return cunit_suite != NULL;
}

/* Whether all ran and none failed; everything is read before CUnit is cleaned up. */
static bool run_registered(void)
{
    CU_ErrorCode error;

    CU_set_test_start_handler(on_start);
    CU_set_test_complete_handler(on_complete);
    catch_fatal_signals();
    error = CU_run_all_tests();
    printf("%s: %zu passed, %zu failed, %zu skipped\n", suite.name, suite.passed, suite.failed,
        suite.skips);
    if (error != CUE_SUCCESS || suite.position != suite.count)
        printf("%s: only %zu of %zu tests ran: %s\n", suite.name, suite.position, suite.count,
            CU_get_error_msg());
    return error == CUE_SUCCESS && suite.position == suite.count && suite.failed == 0 &&
        CU_get_number_of_tests_run() == suite.count && CU_get_number_of_failure_records() == 0;
}

int hf_suite_run(const char *name, const struct hf_test *tests, size_t count, int argc, char **argv)
{
    bool good = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    suite.name = name;
    suite.main_thread = pthread_self();
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            printf("%s: %s\n", name, tests[i].title);
        return 0;
    }
    (void)
        hf_name_server_cover(); /* where that is not allowed, tests that need it skip themselves */
    if (!select_tests(tests, count, argc, argv) || CU_initialize_registry() != CUE_SUCCESS)
        goto cleanup;
    good = register_tests() && run_registered();
    CU_cleanup_registry();
cleanup:
    free(suite.selected);
    fflush(stdout);
    return good ? 0 : 1;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * suite.h: runs the tests of one program with CUnit and reports them honestly.
 *
 *     static const struct hf_test tests[] = {
 *         {"C07 a second release keeps the other holder", test_second_release},
 *     };
 *
 *     int main(int argc, char **argv)
 *     {
 *         return hf_suite_run("registry", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
 *     }
 *
 * One line per test, written as soon as the test has ended:
 *
 *     ok      registry: C07 a second release keeps the other holder  (12 ms)
 *     FAILED  registry: C14 a stale handle answers the default  (3 ms)
 *                 tests/unit/test_registry.c:88: answer == 0: is 1, should be 0
 *     skipped registry: C68 a black-holed name: mount namespaces are not allowed here
 *     registry: 12 passed, 1 failed, 1 skipped
 *
 * Threads: CU_ASSERT… and CU_ASSERT…_FATAL belong to the main thread only (CUnit counts without
 * locks, and a FATAL one longjmps). Other threads use hf_thread_check(). The CHECK… macros below
 * may be used on any thread: off the main thread they record like hf_thread_check().
 * Forked children must not assert: let them tell their parent by their exit status.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_SUITE_H
#define HOSTFLAGS_TESTS_SUPPORT_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <CUnit/CUnit.h>

struct hf_test {
    const char *title; /* unique within the program; begins with the ids of the cases it covers */
    void (*run)(void);
};

/* Runs the tests whose title contains one of the arguments (all, when there is none) and returns
 * the exit status of the program: 0 if at least one test ran, all could be registered and nothing
 * failed; otherwise 1. With --list it prints the titles instead. suite and tests are borrowed. A
 * test that has not ended after 120 s (times HF_SLOW, see wait_until.h) fails and ends the program;
 * so does one that dies of a signal. Look-ups of names are kept on this machine (name_server.h). */
int hf_suite_run(
    const char *suite, const struct hf_test *tests, size_t count, int argc, char **argv);

/* Marks the running test as skipped: the reason is printed and it counts as neither passed nor
 * failed (an assertion that failed before or after still makes it fail). Return from the test after
 * it. Main thread only; reason is borrowed until the test has ended. */
void hf_test_skip(const char *reason);

/* Assertion for any thread but the main one: gives the condition back. A failure is kept and makes
 * the test that is running fail, with file and line. Join the thread before the test ends. */
#define hf_thread_check(condition) hf_thread_record(!!(condition), #condition, __FILE__, __LINE__)

/* Assertions that print both values when they differ, and give back whether they held, so that a
 * test can leave early: if (!CHECK_INT_EQ(status, HF_OK)) return; */
#define CHECK(condition) hf_check(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_INT_EQ(actual, expected) \
    hf_check_int( \
        (long long)(actual), (long long)(expected), #actual " == " #expected, __FILE__, __LINE__)
/* low and high are included. */
#define CHECK_INT_BETWEEN(actual, low, high) \
    hf_check_between( \
        (long long)(actual), (long long)(low), (long long)(high), #actual, __FILE__, __LINE__)
/* Either side may be NULL. */
#define CHECK_STR_EQ(actual, expected) \
    hf_check_str((actual), (expected), #actual " == " #expected, __FILE__, __LINE__)
#define CHECK_STR_CONTAINS(actual, part) \
    hf_check_contains((actual), (part), #actual, __FILE__, __LINE__)

/* What the macros call. */
bool hf_thread_record(bool held, const char *condition, const char *file, unsigned line);
bool hf_check(bool held, const char *condition, const char *file, unsigned line);
bool hf_check_int(
    long long actual, long long expected, const char *condition, const char *file, unsigned line);
bool hf_check_between(long long actual, long long low, long long high, const char *expression,
    const char *file, unsigned line);
bool hf_check_str(const char *actual, const char *expected, const char *condition, const char *file,
    unsigned line);
bool hf_check_contains(
    const char *actual, const char *part, const char *expression, const char *file, unsigned line);

#endif

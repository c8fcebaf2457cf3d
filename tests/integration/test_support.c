/* SPDX-License-Identifier: PostgreSQL
 *
 * The tools that the other tests rest on: does a failure show, is a program run as it should?
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fds.h"
#include "tests/support/host.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000

static const char *program;

/* The suite that the first test runs in a child: one test of each kind. */

static void inner_pass(void)
{
    CHECK(true);
}

static void inner_fail(void)
{
    CHECK_INT_EQ(2 + 2, 5);
    CHECK_STR_EQ("left", NULL);
    CU_ASSERT_FATAL(program == NULL);
    CHECK(!"not reached");
}

static void inner_skip(void)
{
    hf_test_skip("no moon tonight");
}

static void *fail_elsewhere(void *arg)
{
    CHECK_STR_EQ("a", "b");
    hf_thread_check(arg != NULL);
    return NULL;
}

static void inner_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, fail_elsewhere, NULL);
    pthread_join(thread, NULL);
}

static void inner_crash(void)
{
    abort();
}

static int run_inner_suite(int argc, char **argv)
{
    static const struct hf_test inner[] = {
        {"passes", inner_pass},
        {"fails", inner_fail},
        {"skips", inner_skip},
        {"fails in a thread", inner_thread},
        {"crashes", inner_crash},
        {"crashes", inner_crash},
    };
    size_t count = argc > 1 && strcmp(argv[1], "crashes") == 0 ? 5 : 4;

    if (argc > 1 && strcmp(argv[1], "twice") == 0)
        return hf_suite_run("inner", &inner[4], 2, 1, argv);
    return hf_suite_run("inner", inner, count, argc, argv);
}

static int run_inner(const char *filter, char **output)
{
    const char *const argv[] = {program, "--inner", filter, NULL};

    return hf_process_run(argv, BOUND_MS, output);
}

static void test_suite_reports_failures(void)
{
    char *output;

    CHECK_INT_EQ(run_inner(NULL, &output), 1);
    CHECK_STR_CONTAINS(output, "ok      inner: passes  (");
    CHECK_STR_CONTAINS(output, "FAILED  inner: fails  (");
    CHECK_STR_CONTAINS(output, "test_support.c:");
    CHECK_STR_CONTAINS(output, "2 + 2 == 5: is 4, should be 5\n");
    CHECK_STR_CONTAINS(output, "is \"left\", should be NULL\n");
    CHECK_STR_CONTAINS(output, "program == NULL");
    CHECK(!strstr(output, "not reached"));
    CHECK_STR_CONTAINS(output, "skipped inner: skips: no moon tonight\n");
    CHECK_STR_CONTAINS(output, "FAILED  inner: fails in a thread  (");
    CHECK_STR_CONTAINS(output, "\"a\" == \"b\" (in another thread)\n");
    CHECK_STR_CONTAINS(output, "arg != ");
    CHECK_STR_CONTAINS(output, "inner: 1 passed, 2 failed, 1 skipped\n");
    free(output);
}

static void check_inner(const char *filter, int status, const char *says)
{
    char *output = NULL;
    int ended = run_inner(filter, &output);

    CHECK_INT_EQ(ended, status);
    CHECK_STR_CONTAINS(output, says);
    free(output);
}

static void test_suite_status(void)
{
    check_inner("passes", 0, "inner: 1 passed, 0 failed, 0 skipped\n");
    check_inner("fails in", 1, "inner: 0 passed, 1 failed, 0 skipped\n");
    check_inner("no such title", 1, "no test to run");
    check_inner("--list", 0, "inner: skips\n");
    check_inner("crashes", 128 + SIGABRT, "FAILED  inner: crashes: crashed\n");
    check_inner("twice", 1, "cannot register \"crashes\"");
}

static void test_wait(void)
{
    int64_t start_ms = hf_wait_now_ms();
    int calls = 0;

    CHECK(HF_WAIT_UNTIL(++calls == 3, BOUND_MS));
    CHECK_INT_EQ(calls, 3);
    CHECK(!HF_WAIT_UNTIL(calls == 4, 20));
    CHECK(hf_wait_now_ms() - start_ms >= 20);
    CHECK(HF_STAYS(calls == 3, 20));
    CHECK(!HF_STAYS(++calls < 6, BOUND_MS));
}

static void test_process(void)
{
    const char *const argv[] = {"sh", "-c",
        "echo ready; echo \"$COLOUR\" >&2; ls /proc/self/fd | wc -l; exec cat /dev/zero > "
        "/dev/null",
        NULL};
    const char *const env[] = {"COLOUR=blue", NULL};
    const struct hf_process_options options = {.argv = argv, .env = env};
    int stray = open("/dev/null", O_RDONLY), wait_status = 0; /* inheritable on purpose */
    struct hf_process *process = hf_process_start(&options);
    char *output;

    CU_ASSERT_PTR_NOT_NULL_FATAL(process);
    CHECK(hf_process_wait_output(process, "blue\n", BOUND_MS));
    CHECK(hf_process_wait_output(process, "4\n", BOUND_MS)); /* 0, 1, 2 and that of ls */
    output = hf_process_output(process, HF_STDOUT);
    CHECK_STR_EQ(output, "ready\n4\n");
    free(output);
    CHECK(!hf_process_wait_exit(process, 1, NULL));
    CHECK_INT_EQ(hf_process_signal(process, SIGTERM), 0);
    CHECK(hf_process_wait_exit(process, BOUND_MS, &wait_status));
    CHECK(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGTERM);
    CHECK_INT_EQ(hf_process_signal(process, SIGTERM), -1);
    hf_process_destroy(process);
    close(stray);
}

static void test_process_is_killed(void)
{
    const char *const argv[] = {"sh", "-c", "trap '' TERM; echo ready; while :; do :; done", NULL};
    struct hf_process *process =
        hf_process_start(&(struct hf_process_options){.argv = argv, .merge = true});
    const char *const missing[] = {"/no/such/program", NULL};
    pid_t pid;

    CU_ASSERT_PTR_NOT_NULL_FATAL(process);
    CHECK(hf_process_wait_output(process, "ready", BOUND_MS));
    pid = hf_process_pid(process);
    CHECK_INT_BETWEEN(hf_fds_count(pid), 3, 10);
    CHECK_INT_EQ(hf_fds_threads(pid), 1);
    hf_process_destroy(process);
    CHECK_INT_EQ(hf_fds_count(pid), -1);
    CHECK_INT_EQ(hf_process_run(missing, BOUND_MS, NULL), -1);
}

/* A plugin of three functions, to see what the test host does with a plugin. */

static int32_t fake_init(const struct hf_host *host, const struct hf_setting *settings,
    size_t count, char *error, size_t error_size)
{
    for (size_t i = 0; i < count; i++)
        host->log(host->ctx, HF_LOG_INFO, settings[i].key);
    if (count == 2 && strcmp(settings[1].value, "15min") == 0)
        return HF_OK;
    snprintf(error, error_size, "%zu settings", count);
    return HF_E_INVALID;
}

static hf_conn fake_connect(const struct hf_upstream *upstream)
{
    return upstream->hdr.size == sizeof(*upstream) ? upstream->port : HF_NO_CONN;
}

static size_t fake_status(int32_t format, char *buf, size_t size)
{
    return (size_t)snprintf(buf, size,
        "{\"hosts\":[{\"host\":\"h\",\"port\":80,\"org_id\":\"\",\"requests\":7},{\"host\":\"h\","
        "\"port\":81,\"org_id\":\"12\",\"state\":\"FRESH\",\"requests\":8,\"flags\":{\"a.b\":"
        "{\"enabled\":true,\"reason\":\"STATIC\"}}}],\"connections\":3%*s}",
        format == HF_STATUS_JSON ? 9000 : 0, "");
}

static const struct hf_plugin fake = {
    .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_plugin), 0},
    .init = fake_init,
    .on_connect = fake_connect,
    .status = fake_status,
};

static void test_host_reads_status(void)
{
    CHECK(hf_test_status_has(&fake, "h", 0));
    CHECK(!hf_test_status_has(&fake, "h", 82));
    CHECK(!hf_test_status_has(&fake, "hh", 80));
    CHECK_INT_EQ(hf_test_status_int(&fake, "h", 80, "requests"), 7);
    CHECK_INT_EQ(hf_test_status_int(&fake, "h#12", 0, "requests"), 8);
    CHECK_INT_EQ(hf_test_status_int(&fake, "h", 80, "failures"), HF_TEST_NO_VALUE);
    CHECK(hf_test_status_is(&fake, "h", 81, "state", "FRESH"));
    CHECK_INT_EQ(hf_test_status_flag(&fake, "h", 81, "a.b"), 1);
    CHECK(hf_test_status_reason_is(&fake, "h", 81, "a.b", "STATIC"));
    CHECK_INT_EQ(hf_test_status_flag(&fake, "h", 80, "a.b"), HF_TEST_NO_VALUE);
    CHECK_INT_EQ(hf_test_status_total(&fake, "connections"), 3);
    CHECK_INT_EQ(hf_test_status_total(&fake, "hosts"), 2);
}

static void test_host_settings_and_log(void)
{
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init(&fake, "# none\n flags = a, b \n\nttl=%dmin\n", 15), HF_OK);
    CHECK_STR_EQ(hf_test_error(), "");
    CHECK_INT_EQ(hf_test_log_count(""), 2);
    CHECK(hf_test_log_contains("flags"));
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_INFO, "ttl"), 1);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_ERROR, "ttl"), 0);
    CHECK_INT_EQ(hf_test_init(&fake, "a = b"), HF_E_INVALID);
    CHECK_STR_EQ(hf_test_error(), "1 settings");
    hf_test_log_clear();
    CHECK(!hf_test_log_contains(""));
    CHECK_INT_EQ(hf_test_connect_to(&fake, "h", 77, NULL), 77);
    CHECK(hf_test_host_load("no/such/plugin.so") == NULL);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a failing test shows, with file, line and values", test_suite_reports_failures},
        {"the exit status tells whether all is well", test_suite_status},
        {"waiting ends with the condition or the bound", test_wait},
        {"process: output, environment, signal, no stray descriptor", test_process},
        {"process: killed when destroyed", test_process_is_killed},
        {"test host: reads the status", test_host_reads_status},
        {"test host: settings and log", test_host_settings_and_log},
    };

    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "--inner") == 0)
        return run_inner_suite(argc - 1, argv + 1);
    return hf_suite_run("support", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

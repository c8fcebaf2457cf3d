/* SPDX-License-Identifier: PostgreSQL
 *
 * No memory is left after fini, by the C library's and the kernel's own counts.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define SETTINGS "flags = a, b\nallow_http = loopback\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const struct hf_plugin *plugin;

#define CYCLES 30
#define GROWTH_BYTES 4096 /* of all cycles together; one descriptor table or the like */

/* A flag service in a process of its own, so that what it remembers is not counted. Ends when the
 * returned descriptor is closed. */
static pid_t start_service_elsewhere(char *url, size_t size, int *control)
{
    int orders[2], reports[2];
    ssize_t got;
    pid_t child;

    if (pipe(orders) != 0 || pipe(reports) != 0)
        abort();
    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct hf_flag_service *service = hf_flag_service_start(NULL);

        close(orders[1]);
        hf_flag_service_set_flag(service, "a", true);
        if (write(reports[1], hf_flag_service_url(service), strlen(hf_flag_service_url(service))) <
            0)
            _exit(1);
        while (read(orders[0], url, 1) > 0)
            continue;
        _exit(0);
    }
    got = read(reports[0], url, size - 1);
    url[got > 0 ? got : 0] = '\0';
    close(orders[0]);
    close(reports[0]);
    close(reports[1]);
    *control = orders[1];
    return child;
}

static void fetch_once(const char *url)
{
    hf_conn conn;

    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    hf_test_connect(plugin, "no such/host");
    plugin->fini();
    hf_test_log_clear();
}

static void test_no_memory_left(void)
{
    char url[128];
    size_t before, after;
    int control;
    pid_t child;

    if (SANITIZED || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("the C library's own count of memory is off here; leaks are found otherwise");
        return;
    }
    child = start_service_elsewhere(url, sizeof(url), &control);
    for (int i = 0; i < 3; i++)
        fetch_once(url); /* what is made once per process */
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < CYCLES; i++)
        fetch_once(url);
    after = mallinfo2().uordblks + mallinfo2().hblkhd;
    CHECK_INT_BETWEEN((long long)after - (long long)before, -1000000000, GROWTH_BYTES);
    close(control);
    CHECK(waitpid(child, NULL, 0) == child);
}

/* A table that was large once costs nothing when it is not used any more. */
static void test_no_table_left(void)
{
    long before_kb;
    hf_conn conn = HF_NO_CONN;

    if (SANITIZED || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("resident memory is theirs, not ours");
        return;
    }
    before_kb = hf_fds_resident_kb(0);
    CHECK_INT_EQ(
        hf_test_init(plugin, SETTINGS "max_connections = 4000000\nenabled = off\n"), HF_OK);
    CHECK_INT_BETWEEN(hf_fds_resident_kb(0) - before_kb, -1000000, 4000);
    for (int i = 0; i < 3000000; i++)
        conn = hf_test_connect(plugin, "http://127.0.0.1:1");
    CHECK(conn != HF_NO_CONN);
    CHECK_INT_BETWEEN(hf_fds_resident_kb(0) - before_kb, 20000, 40000);
    plugin->fini();
    CHECK_INT_BETWEEN(hf_fds_resident_kb(0) - before_kb, -1000000, 4000);
}

static const struct hf_test tests[] = {
    {"C80 no memory is left after fini", test_no_memory_left},
    {"C80 a large table is given back by fini", test_no_table_left},
};

int main(int argc, char **argv)
{
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("memory", tests, COUNT(tests), argc, argv);
}

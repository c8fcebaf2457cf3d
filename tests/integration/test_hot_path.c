/* SPDX-License-Identifier: PostgreSQL
 *
 * What connections do all day: connect to a known host, read, disconnect. Allocations are counted
 * by a malloc of this program's own, which the plugin uses as well; system calls are forbidden to
 * the thread by a seccomp filter, which ends the process at the first one.
 */
#include "tests/bench/allocations.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum { ROUNDS = 20000 };

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;

static hf_conn set_up(const char *more)
{
    hf_conn conn;

    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    CU_ASSERT_EQUAL_FATAL(
        hf_test_init(plugin, "flags = a\nallow_http = loopback\n%s", more), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, 10000));
    return conn;
}

static void tear_down(hf_conn conn)
{
    plugin->on_disconnect(conn);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* Connections come and go, the entry becomes idle and is held again. */
static int rounds(const struct hf_upstream *upstream)
{
    int on = 0;

    for (int i = 0; i < ROUNDS; i++) {
        hf_conn one = plugin->on_connect(upstream);
        hf_conn two = plugin->on_connect(upstream);
        on += plugin->is_enabled(one, 0) + plugin->is_enabled(two, 0);
        plugin->on_disconnect(one);
        plugin->on_disconnect(two);
    }
    return on;
}

static struct hf_upstream known_upstream(void)
{
    return (struct hf_upstream){
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_upstream), 0},
        .host = hf_flag_service_url(service)};
}

static void test_no_allocation(void)
{
    if (SANITIZED)
        return hf_test_skip("the sanitizer has a malloc of its own");
    hf_conn conn = set_up("linger = 1h");
    struct hf_upstream upstream = known_upstream();
    long before = hf_bench_allocations();
    void *volatile memory = malloc(1); /* not left out by the compiler */

    free(memory);
    CHECK_INT_EQ(hf_bench_allocations(), before + 1); /* the counter counts */
    before = hf_bench_allocations();
    CHECK_INT_EQ(rounds(&upstream), 2 * ROUNDS);
    CHECK_INT_EQ(hf_bench_allocations(), before);
    plugin->on_disconnect(conn);
    CHECK_INT_EQ(rounds(&upstream), 2 * ROUNDS);
    CHECK_INT_EQ(hf_bench_allocations(), before);
    tear_down(HF_NO_CONN);
}

/* From now on this thread may only exit. False: the kernel has no seccomp for us. */
static bool forbid_system_calls(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* Runs in a child: forks after init give it a cache of its own. */
static int child(bool with_a_call)
{
    hf_conn conn = hf_test_connect(plugin, hf_flag_service_url(service));
    struct hf_upstream upstream = known_upstream();
    int on;

    if (!HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, 10000))
        return 2;
    rounds(&upstream); /* whatever is done only once is done now */
    if (!forbid_system_calls())
        return 3;
    on = rounds(&upstream);
    plugin->on_disconnect(conn);
    on += rounds(&upstream);
    if (with_a_call)
        getppid();
    return on == 4 * ROUNDS ? 0 : 4;
}

static int wait_status_of(bool with_a_call)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        syscall(__NR_exit_group, child(with_a_call));
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void test_no_system_call(void)
{
    if (SANITIZED || getenv("HF_UNDER_VALGRIND") != NULL)
        return hf_test_skip("sanitizers and valgrind make system calls of their own");
    hf_conn conn = set_up("linger = 1h");
    int quiet = wait_status_of(false), loud = wait_status_of(true);

    if (WIFEXITED(quiet) && WEXITSTATUS(quiet) == 3) {
        hf_test_skip("this kernel does not let us set a seccomp filter");
    } else {
        CHECK(WIFSIGNALED(loud) && WTERMSIG(loud) == SIGSYS); /* the filter filters */
        CHECK(WIFEXITED(quiet));
        CHECK_INT_EQ(WEXITSTATUS(quiet), 0);
    }
    tear_down(conn);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"no allocation in connect, read and disconnect of a known host", test_no_allocation},
        {"no system call in connect, read and disconnect of a known host", test_no_system_call},
    };

    return hf_suite_run("hot_path", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

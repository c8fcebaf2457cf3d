/* SPDX-License-Identifier: PostgreSQL
 *
 * Fork: a child starts with an empty cache of its own, and its parent does not notice. Children say
 * by their exit status which of their checks failed: each has a number of its own.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/inherited.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define SETTINGS "flags = a, b\ndefaults = b=on\nallow_http = loopback\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_THREAD__)
#define NO_FORKS "ThreadSanitizer does not survive threads that start after such a fork"
#else
#define NO_FORKS NULL
#endif

/* A child leaves alone what its parent's worker had allocated: libcurl's handles do not survive a
 * fork. So leaks are looked for in the parent only, at the end of main. */
#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0";
}
void __lsan_do_leak_check(void);
#define ASAN true
#define CHECK_LEAKS() __lsan_do_leak_check()
#else
#define ASAN false
#define CHECK_LEAKS() ((void)0)
#endif

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;
static const char *url;

/* The log of tests/support takes a lock, which a child would inherit locked. */
static void ignore_log(void *ctx, int32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static int32_t init_quietly(const char *settings)
{
    struct hf_host host = hf_test_host();

    host.log = ignore_log;
    return hf_test_init_with(plugin, &host, SETTINGS "%s", settings);
}

/* False: skipped. */
static bool start(const char *settings)
{
    if (NO_FORKS || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip(NO_FORKS ? NO_FORKS : "valgrind takes what a child leaves alone for leaks");
        return false;
    }
    service = hf_flag_service_start(NULL);
    url = hf_flag_service_url(service);
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
    return CHECK_INT_EQ(init_quietly(settings), HF_OK);
}

static void end(void)
{
    plugin->fini();
    hf_flag_service_stop(service);
}

/* The child's exit status; -n: ended by signal n; -1000: did not end. */
static int wait_for(pid_t child)
{
    int status = 0;

    if (!HF_WAIT_UNTIL(waitpid(child, &status, WNOHANG) == child, BOUND_MS)) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return -1000;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_in_child(int (*run)(hf_conn inherited), hf_conn inherited)
{
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(run(inherited));
    return child < 0 ? -2000 : wait_for(child);
}

static bool knows(hf_conn conn)
{
    return plugin->is_enabled(conn, 0) == 1 && plugin->is_enabled(conn, 1) == 0;
}

/* ---- what children do; 0: all as it should be ---- */

static int fetch(void)
{
    hf_conn conn = hf_test_connect(plugin, url);

    if (conn == HF_NO_CONN)
        return 30;
    if (!HF_WAIT_UNTIL(knows(conn), BOUND_MS))
        return 31;
    if (hf_test_status_total(plugin, "connections") != 1)
        return 32;
    plugin->on_disconnect(conn);
    if (hf_test_status_total(plugin, "connections") != 0)
        return 33;
    return 0;
}

static int look_and_fetch(hf_conn inherited)
{
    int result;

    if (plugin->is_enabled(inherited, 0) != 0 || plugin->is_enabled(inherited, 1) != 1)
        return 10;
    if (hf_test_status_total(plugin, "hosts") != 0 || plugin->flag_index("b") != 1)
        return 11;
    if (hf_fds_threads(0) != 1)
        return 12;
    plugin->on_disconnect(inherited);
    result = fetch();
    if (result != 0)
        return result;
    plugin->on_disconnect(inherited);
    if (plugin->is_enabled(inherited, 0) != 0)
        return 13;
    plugin->fini();
    return init_quietly("") == HF_OK ? fetch() : 14;
}

static int leave_by_exit(hf_conn inherited)
{
    if (plugin->is_enabled(inherited, 0) != 0)
        exit(20);
    hf_test_connect(plugin, url);
    exit(7);
}

static int only_fini(hf_conn inherited)
{
    return plugin->fini(), plugin->is_enabled(inherited, 1) == 0 ? 0 : 40;
}

static int fork_again(hf_conn inherited)
{
    hf_conn conn = hf_test_connect(plugin, url);
    int result;

    if (plugin->is_enabled(inherited, 0) != 0)
        return 50;
    if (!HF_WAIT_UNTIL(knows(conn), BOUND_MS))
        return 51;
    result = run_in_child(look_and_fetch, conn);
    if (result != 0)
        return result > 0 ? 100 + result : 150;
    return knows(conn) && hf_test_status_total(plugin, "connections") == 1 ? 0 : 52;
}

/* ---- C79: before and after the worker started ---- */

static void test_before_worker(void)
{
    if (!start(""))
        return;
    CHECK_INT_EQ(run_in_child(look_and_fetch, HF_NO_CONN), 0);
    CHECK_INT_EQ(hf_flag_service_count(service), 2);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    CHECK_INT_EQ(fetch(), 0);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);
    end();
}

/* The parent's side of things: as it was, and still alive. */
static void check_parent(hf_conn conn, int64_t requests)
{
    uint16_t port = hf_flag_service_port(service);

    CHECK(knows(conn));
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "references"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "requests"), requests);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
}

static void check_parent_goes_on(hf_conn conn)
{
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(url) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 0, BOUND_MS));
    CHECK_INT_EQ(
        hf_test_status_int(plugin, "127.0.0.1", hf_flag_service_port(service), "requests"), 2);
}

static void test_after_worker(void)
{
    hf_conn conn;

    if (!start(""))
        return;
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(knows(conn), BOUND_MS));
    CHECK_INT_EQ(run_in_child(look_and_fetch, conn), 0);
    check_parent(conn, 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 3); /* the child had two lives */
    CHECK_INT_EQ(run_in_child(only_fini, conn), 0);
    CHECK_INT_EQ(run_in_child(leave_by_exit, conn), 7);
    check_parent(conn, 1);
    check_parent_goes_on(conn);
    end();
}

static void test_nested(void)
{
    hf_conn conn;

    if (!start(""))
        return;
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(knows(conn), BOUND_MS));
    CHECK_INT_EQ(run_in_child(fork_again, conn), 0);
    check_parent(conn, 1);
    end();
}

/* The request that is under way belongs to the parent: the child asks for itself. */
static void test_during_transfer(void)
{
    const struct hf_flag_reply slow = {.delay_ms = hf_wait_slow_ms(1500)};
    hf_conn conn;

    if (!start("request_timeout = 5min\n"))
        return;
    hf_flag_service_script(service, &slow, 1);
    conn = hf_test_connect(plugin, url);
    CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
    CHECK_INT_EQ(run_in_child(look_and_fetch, conn), 0);
    CHECK(HF_WAIT_UNTIL(knows(conn), BOUND_MS));
    check_parent(conn, 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);
    end();
}

/* ---- C79: fork while other threads connect and disconnect ---- */

#define HAMMERS 3
#define CHILDREN 40

static atomic_bool stop;

static void *hammer(void *arg)
{
    char org_id[16];

    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        hf_conn conn;

        snprintf(org_id, sizeof(org_id), "%u", i % 50);
        conn = hf_test_connect_to(plugin, "http://127.0.0.1:1", 0, org_id);
        hf_test_explain(plugin, conn, 0);
        hf_test_connect(plugin, "no such/host");
        plugin->refresh(NULL);
        plugin->on_disconnect(conn);
    }
    return NULL;
}

static void test_while_others_connect(void)
{
    pthread_t threads[HAMMERS];
    hf_conn conn;

    if (ASAN) {
        hf_test_skip("AddressSanitizer's allocator stays locked in a child if a thread was in it");
        return;
    }
    if (!start("linger = 0\n"))
        return;
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(knows(conn), BOUND_MS));
    atomic_store(&stop, false);
    for (size_t i = 0; i < HAMMERS; i++)
        pthread_create(&threads[i], NULL, hammer, NULL);
    for (size_t i = 0; i < CHILDREN; i++) {
        if (!CHECK_INT_EQ(run_in_child(look_and_fetch, conn), 0))
            break;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < HAMMERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(knows(conn));
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    end();
}

/* ---- C79: descriptors of children that exec ---- */

static void test_exec_inherits_nothing(void)
{
    char *expected;
    hf_conn conn;

    if (!start("request_timeout = 5min\nlinger = 0\n"))
        return;
    plugin->fini();
    expected = inherited_start();
    CHECK_INT_EQ(init_quietly(""), HF_OK);
    check_inherits_nothing(expected); /* up, without a worker */
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(knows(conn), BOUND_MS));
    check_inherits_nothing(expected); /* the worker is idle */
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    hf_test_connect_to(plugin, url, 0, "1");
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    check_inherits_nothing(expected); /* a transfer is in flight */
    plugin->fini();
    check_inherits_nothing(expected);
    inherited_end(expected);
    hf_flag_service_stop(service);
}

static const struct hf_test tests[] = {
    {"C79 fork before the worker started: the child connects, fetches and ends",
        test_before_worker},
    {"C79 fork after it: inherited handles answer defaults; the parent does not notice",
        test_after_worker},
    {"C79 fork in a child of a fork", test_nested},
    {"C79 fork during a transfer", test_during_transfer},
    {"C79 fork while other threads connect and disconnect", test_while_others_connect},
    {"C79 a child that execs inherits no descriptor of ours", test_exec_inherits_nothing},
};

int main(int argc, char **argv)
{
    int status;

    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    status = hf_suite_run("fork", tests, COUNT(tests), argc, argv);
    hf_test_log_clear();
    CHECK_LEAKS();
    return status;
}

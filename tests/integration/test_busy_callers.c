/* SPDX-License-Identifier: PostgreSQL
 *
 * fini, reload and fork while many threads ask the plugin without a pause.
 */
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum { ASKERS = 8, BOUND_MS = 20000 };
#define SETTINGS "flags = a\nallow_http = loopback\n"

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;
static hf_conn conn;
static atomic_bool stop;
static atomic_ulong asked;

static void set_up(void)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    stop = false;
    asked = 0;
}

static void *ask(void *arg)
{
    (void)arg;
    while (!stop) {
        struct hf_answer answer = {
            .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
        plugin->explain(conn, 0, &answer);
        plugin->flag_index("a");
        atomic_fetch_add(&asked, 1);
    }
    return NULL;
}

static void start_askers(pthread_t *askers)
{
    for (int i = 0; i < ASKERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&askers[i], NULL, ask, NULL), 0);
    CHECK(HF_WAIT_UNTIL(asked > 1000, BOUND_MS));
}

static void join_askers(pthread_t *askers)
{
    stop = true;
    for (int i = 0; i < ASKERS; i++)
        pthread_join(askers[i], NULL);
}

/* The askers do not stop by themselves: a fini that cannot get in would never return. */
static void test_fini_and_reload(void)
{
    pthread_t askers[ASKERS];

    set_up();
    start_askers(askers);
    for (int i = 0; i < 20; i++)
        CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    for (int i = 0; i < 20; i++) {
        plugin->fini();
        CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    }
    plugin->fini();
    join_askers(askers);
    hf_flag_service_stop(service);
}

static void *reload_in_a_loop(void *arg)
{
    const struct hf_setting settings[] = {{"flags", "a"}, {"allow_http", "loopback"}};

    (void)arg;
    while (!stop) {
        hf_thread_check(plugin->reload(settings, 2, NULL, 0) == HF_OK);
        atomic_fetch_add(&asked, 1);
    }
    return NULL;
}

/* In a child: a cache of its own, with a worker of its own. */
static int fetch_in_child(void)
{
    hf_conn mine = hf_test_connect(plugin, hf_flag_service_url(service));
    bool fetched = HF_WAIT_UNTIL(plugin->is_enabled(mine, 0) == 1, BOUND_MS);

    plugin->fini();
    return fetched ? 0 : 1;
}

static void check_fork(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(fetch_in_child());
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT_EQ(WEXITSTATUS(status), 0);
}

static void test_fork_during_reload(void)
{
    pthread_t reloader;

    if (SANITIZED)
        return hf_test_skip("sanitizers do not survive a fork of a busy process");
    set_up();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reloader, NULL, reload_in_a_loop, NULL), 0);
    for (int i = 0; i < 30; i++)
        check_fork();
    CHECK(HF_WAIT_UNTIL(asked > 30, BOUND_MS));
    stop = true;
    pthread_join(reloader, NULL);
    plugin->on_disconnect(conn);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* Forks in the callback, once; the child returns from it and goes on. */
static pid_t child = -1;

static void fork_in_callback(int32_t level, const char *message)
{
    (void)level;
    (void)message;
    if (child < 0)
        child = fork();
}

static void test_fork_in_callback(void)
{
    int status = -1;

    if (SANITIZED)
        return hf_test_skip("sanitizers do not survive a fork of a process with threads");
    set_up();
    hf_test_host_on_log(fork_in_callback);
    CHECK(hf_test_connect(plugin, "no such host") == HF_NO_CONN);
    if (child == 0)
        _exit(fetch_in_child());
    hf_test_host_on_log(NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_INT_EQ(WEXITSTATUS(status), 0);
    plugin->on_disconnect(conn);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* The worker starts while no descriptor is free, and gets its own when there are some again. */
static void test_no_descriptor(void)
{
    struct rlimit before, none;
    int64_t began;

    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_test_log_clear();
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS), HF_OK);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(hf_test_log_contains("the worker cannot start"), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    began = hf_wait_now_ms();
    plugin->fini();
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(2000));
    hf_flag_service_stop(service);
}

static atomic_bool refuse_threads;

/* In the place of the C library's, for the plugin as well. */
int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *restrict arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

    if (refuse_threads)
        return EAGAIN;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, start, arg);
}

/* A proxy with one upstream has no second new host: known ones must be enough to try again. */
static void test_no_thread(void)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_test_log_clear();
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS), HF_OK);
    refuse_threads = true;
    for (int i = 0; i < 20; i++) {
        char host[32];
        snprintf(host, sizeof(host), "host-%d.invalid", i);
        plugin->on_disconnect(hf_test_connect(plugin, host));
    }
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK_INT_EQ(hf_test_log_count("cannot start the worker thread"), 1);
    refuse_threads = false;
    CHECK(
        HF_WAIT_UNTIL((plugin->on_disconnect(hf_test_connect(plugin, hf_flag_service_url(service))),
                          plugin->is_enabled(conn, 0) == 1),
            BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* A process that gets no thread cannot join those that share: its connections go on without flags,
 * until it does. */
static void test_no_thread_to_join(void)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_test_log_clear();
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS "share = on\n"), HF_OK);
    refuse_threads = true;
    for (int i = 0; i < 20; i++)
        CHECK(hf_test_connect(plugin, hf_flag_service_url(service)) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 20);
    CHECK_INT_EQ(hf_test_log_count("could not join the cache"), 1);
    refuse_threads = false;
    CHECK(HF_WAIT_UNTIL(
        (conn = hf_test_connect(plugin, hf_flag_service_url(service))) != HF_NO_CONN, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    plugin->fini();
    hf_flag_service_stop(service);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C77 fini and reload get their turn while eight threads ask", test_fini_and_reload},
        {"C79 fork while another thread reloads: the child fetches", test_fork_during_reload},
        {"C55 C75 no descriptor for the worker: it starts when there is one, and ends in time",
            test_no_descriptor},
        {"C55 no thread for the worker: connections to known hosts try again", test_no_thread},
        {"C55 C90 no thread to join those that share: refused, counted, tried again",
            test_no_thread_to_join},
        {"C79 fork in the log callback: the child fetches and ends", test_fork_in_callback},
    };

    return hf_suite_run("busy_callers", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

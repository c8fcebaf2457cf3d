/* SPDX-License-Identifier: PostgreSQL
 *
 * The end: fini at bad moments, what comes after it, and that no descriptor and no thread is left.
 * Memory is in test_memory.c.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/settled.h"
#include "tests/support/build_path.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/process.h"
#include "tests/support/raw_server.h"
#include "tests/support/suite.h"
#include "tests/support/tsan_meant.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define SETTINGS "flags = a, b\ndefaults = b=on\nallow_http = loopback\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FINI_MS 20000
#else
#define FINI_MS 2000 /* the promise */
#endif

static const struct hf_plugin *plugin;

/* Descriptors and threads of this process, to compare with later. */
struct census {
    int fds, threads;
};

static struct census take_census(void)
{
    return (struct census){hf_fds_count(0), hf_fds_threads(0)};
}

static void check_census(const struct census *before)
{
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == before->threads, BOUND_MS));
    if (!CHECK(HF_WAIT_UNTIL(hf_fds_count(0) == before->fds, BOUND_MS))) {
        char *text = hf_fds_text(0);

        printf("%s", text ? text : "");
        free(text);
    }
}

static void check_fini_in_time(void)
{
    int64_t started_ms = hf_wait_now_ms();

    plugin->fini();
    CHECK_INT_BETWEEN(hf_wait_now_ms() - started_ms, 0, hf_wait_slow_ms(FINI_MS));
}

/* One life that has fetched an answer. */
static void live_once(struct hf_flag_service *service)
{
    hf_conn conn;

    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    plugin->fini();
}

/* ---- C75 ---- */

static void test_during_transfer(void)
{
    struct hf_flag_service *service = hf_settled_service();
    struct census before = take_census();
    hf_conn conn;

    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    CHECK_INT_EQ(
        hf_test_init(plugin, SETTINGS "connect_timeout = 5min\nrequest_timeout = 5min\n"), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(hf_flag_service_in_flight(service) == 1, BOUND_MS));
    check_fini_in_time();
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK(HF_WAIT_UNTIL(hf_flag_service_in_flight(service) == 0, BOUND_MS));
    check_census(&before);
    hf_flag_service_stop(service);
}

/* A server that accepts and says nothing to the handshake. */
static void test_during_handshake(void)
{
    static const struct hf_raw_reply silence = {.end = HF_RAW_HOLD};
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, &silence, 1);
    char url[64];

    snprintf(url, sizeof(url), "https://%s", hf_raw_server_host(server));
    CHECK_INT_EQ(
        hf_test_init(plugin, SETTINGS "connect_timeout = 5min\nrequest_timeout = 5min\n"), HF_OK);
    CHECK(hf_test_connect(plugin, url) != HF_NO_CONN);
    CHECK(hf_raw_server_wait(server, 1, BOUND_MS));
    check_fini_in_time();
    CHECK(HF_WAIT_UNTIL(hf_raw_server_open(server) == 0, BOUND_MS));
    hf_raw_server_stop(server);
}

/* Its output, for the caller to free; NULL: skipped, or failed. */
static char *run_blackhole(void)
{
    static char reason[256];
    const char *const argv[] = {
        hf_build_path("tests/integration/run_blackhole"), hf_test_plugin_path(), NULL};
    char *output = NULL;
    int status = hf_process_run(argv, 2 * BOUND_MS, &output);

    if (status != 77 && CHECK_INT_EQ(status, 0))
        return output;
    if (status == 77) {
        snprintf(reason, sizeof(reason), "%s", output);
        reason[strcspn(reason, "\n")] = '\0';
        hf_test_skip(reason);
    }
    free(output);
    return NULL;
}

/* The number after a text; -1: no such text. */
static long long number_after(const char *output, const char *text)
{
    const char *found = strstr(output, text);

    return found ? strtoll(found + strlen(text), NULL, 10) : -1;
}

static void test_during_lookup(void)
{
    char *output = run_blackhole();

    if (output)
        CHECK_INT_BETWEEN(number_after(output, "fini took "), 0, hf_wait_slow_ms(FINI_MS));
    free(output);
}

static void test_lookup_inherits_nothing(void)
{
    char *output = run_blackhole();

    if (output)
        CHECK_INT_EQ(number_after(output, "inheritable descriptors: "), 0);
    free(output);
}

static int32_t give_no_token(void *ctx, const char *host, char *buf, size_t size)
{
    (void)ctx;
    (void)host;
    (void)buf;
    (void)size;
    return -1;
}

/* A process that was never initialised (a child of one that is not, is none either), though it was
 * tried: whatever lies behind the registry that is not there yet must not be taken for answers. */
static void test_never_initialised(void)
{
    struct hf_host host = hf_test_host();
    int status = -1, on = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        host.get_token = give_no_token; /* all that it lends is kept somewhere */
        host.ctx = &host;
        on += hf_test_init_with(plugin, &host, "ttl = soon\n") == HF_OK;
        for (uint32_t flag = 0; flag < 64; flag++)
            on += plugin->is_enabled(1, flag) + plugin->is_enabled(0, flag);
        _exit(on);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT_EQ(status, 0);
}

static void test_twice_and_before(void)
{
    struct hf_flag_service *service = hf_settled_service();
    struct census before = take_census();

    hf_flag_service_set_flag(service, "a", true);
    plugin->fini();
    plugin->fini();
    live_once(service);
    plugin->fini();
    plugin->fini();
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    plugin->fini(); /* no worker was ever started */
    CHECK_INT_EQ(hf_test_init(plugin, "ttl = soon\n"), HF_E_INVALID);
    plugin->fini();
    check_census(&before);
    live_once(service);
    check_census(&before);
    hf_flag_service_stop(service);
}

/* ---- C76 ---- */

static void test_init_again(void)
{
    struct hf_flag_service *service = hf_settled_service();
    hf_conn old, conn;

    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS "max_connections = 1\n"), HF_OK);
    old = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(old, 0) == 1, BOUND_MS));
    plugin->fini();
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS "max_connections = 1\n"), HF_OK);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    CHECK_INT_EQ(plugin->is_enabled(old, 0), 0);
    CHECK_INT_EQ(plugin->is_enabled(old, 1), 1);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    plugin->on_disconnect(old); /* is not conn, though in the same slot */
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(old, 0), 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 2);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* ---- C77 ---- */

static void check_all_closed(hf_conn conn, const char *url)
{
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    char buffer[8] = "before";

    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, 1), 0);
    plugin->on_disconnect(conn);
    CHECK(hf_test_connect(plugin, url) == HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    CHECK_INT_EQ(plugin->explain(conn, 0, &answer), HF_E_INVALID);
    CHECK_INT_EQ(answer.enabled, 0);
    CHECK_INT_EQ(answer.state, HF_STATE_UNKNOWN);
    CHECK_INT_EQ(plugin->flag_index("a"), HF_E_NOTFOUND);
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_STATE);
    CHECK_INT_EQ(plugin->refresh(url), HF_E_STATE);
    CHECK_INT_EQ(plugin->status(HF_STATUS_JSON, buffer, sizeof(buffer)), 0);
    CHECK_STR_EQ(buffer, "");
}

static void test_after_fini(void)
{
    struct hf_flag_service *service = hf_settled_service();
    const char *url = hf_flag_service_url(service);
    size_t requests;
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", true);
    check_all_closed(HF_NO_CONN, url);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    plugin->fini();
    requests = hf_flag_service_count(service);
    hf_test_log_clear();
    check_all_closed(conn, url);
    CHECK_INT_EQ(hf_test_log_count(""), 0); /* the host's callbacks are not called any more */
    CHECK_INT_EQ(hf_flag_service_count(service), requests);
    hf_flag_service_stop(service);
}

#define HAMMERS 3
#define LIVES 200

static atomic_bool stop;
static const char *hammer_url;

static void *hammer(void *arg)
{
    static __thread char buffer[2048];
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    hf_conn older = HF_NO_CONN;

    (void)arg;
    while (!atomic_load(&stop)) {
        hf_conn conn = hf_test_connect(plugin, hammer_url);
        int32_t result = plugin->explain(conn, 0, &answer);

        hf_thread_check(result == HF_OK || result == HF_E_INVALID);
        hf_thread_check((plugin->is_enabled(conn, 0) & ~1) == 0);
        hf_thread_check((plugin->is_enabled(older, 1) & ~1) == 0);
        plugin->status(HF_STATUS_JSON, buffer, sizeof(buffer));
        result = plugin->refresh(hammer_url);
        hf_thread_check(result == HF_OK || result == HF_E_TOO_SOON || result == HF_E_STATE ||
            result == HF_E_NOTFOUND);
        plugin->on_disconnect(older);
        plugin->on_disconnect(conn);
        plugin->on_disconnect(conn);
        older = conn;
    }
    return NULL;
}

static void test_hammered(void)
{
    struct hf_flag_service *service = hf_settled_service();
    struct census before = take_census();
    pthread_t threads[HAMMERS];

    hf_flag_service_set_flag(service, "a", true);
    hammer_url = hf_flag_service_url(service);
    atomic_store(&stop, false);
    for (size_t i = 0; i < HAMMERS; i++)
        pthread_create(&threads[i], NULL, hammer, NULL);
    for (size_t i = 0; i < LIVES; i++) {
        size_t requests = hf_flag_service_count(service);

        if (!CHECK_INT_EQ(hf_test_init(plugin, SETTINGS "linger = 0\n"), HF_OK))
            break;
        if (i % 10 == 0) /* most end before anything was asked, these do not */
            CHECK(hf_flag_service_wait_requests(service, requests + 1, BOUND_MS));
        plugin->fini();
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < HAMMERS; i++)
        pthread_join(threads[i], NULL);
    check_census(&before);
    live_once(service);
    hf_flag_service_stop(service);
}

/* ---- C78 ---- */

static void test_closed_and_loaded_again(void)
{
    struct hf_flag_service *service = hf_settled_service();
    struct census before = take_census();

    hf_flag_service_set_flag(service, "a", true);
    for (int i = 0; i < 3; i++) {
        live_once(service);
        hf_test_host_unload();
        plugin = hf_test_host_load(NULL);
        if (!CHECK(plugin != NULL))
            abort();
    }
    live_once(service);
    check_census(&before);
    hf_flag_service_stop(service);
}

/* The host closes it without fini, while the worker is busy: the object stays, so does the worker.
 * */
static void test_closed_without_fini(void)
{
    struct hf_flag_service *service = hf_settled_service();
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", true);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    hf_test_host_unload();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    CHECK(hf_test_host_load(NULL) == plugin);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    plugin->fini();
    hf_flag_service_stop(service);
}

static const struct hf_test tests[] = {
    {"C75 C80 fini during a transfer: in time, no descriptor and no thread left",
        test_during_transfer},
    {"C75 fini during a TLS handshake: in time", test_during_handshake},
    {"C75 fini during a look-up whose name server never answers: in time", test_during_lookup},
    {"C79 a child that execs during a look-up inherits no descriptor of ours",
        test_lookup_inherits_nothing},
    {"C75 C80 fini twice, before init, after a failed init", test_twice_and_before},
    {"C76 init after fini: an empty cache that works", test_init_again},
    {"C77 after an init that was refused, and no other: no flag is on", test_never_initialised},
    {"C77 every function before init and after fini: defaults, nothing else", test_after_fini},
    {"C77 every function while another thread loops over init and fini", test_hammered},
    {"C78 closed with dlclose and loaded again", test_closed_and_loaded_again},
    {"C78 closed with dlclose without fini", test_closed_without_fini},
};

int main(int argc, char **argv)
{
    hf_settled_init();
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("shutdown", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A log callback that calls the plugin: on the thread that connects, on the worker, and while
 * another thread is in fini. A deadlock shows as a test that does not end.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define SETTINGS "flags = a\nallow_http = loopback\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;
static pthread_t main_thread;
static hf_conn held; /* while a test holds one; its flag is on */
static atomic_size_t calls_on_main, calls_elsewhere;

/* Everything that a callback may call, and what it may not. */
static void call_everything(void)
{
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    char buffer[2048], error[256] = "";
    hf_conn conn = hf_test_connect(plugin, hf_flag_service_url(service));
    int32_t result;

    hf_thread_check(conn != HF_NO_CONN);
    hf_thread_check(plugin->explain(conn, 0, &answer) == HF_OK);
    hf_thread_check(plugin->is_enabled(conn, 0) == answer.enabled);
    hf_thread_check(plugin->status(HF_STATUS_JSON, buffer, sizeof(buffer)) > 0);
    hf_thread_check(plugin->flag_index("a") == 0);
    result = plugin->refresh(hf_flag_service_url(service));
    hf_thread_check(result == HF_OK || result == HF_E_TOO_SOON);
    hf_thread_check(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    plugin->on_disconnect(conn);
    plugin->fini();
    hf_thread_check(plugin->init(NULL, NULL, 0, error, sizeof(error)) == HF_E_STATE);
    hf_thread_check(strstr(error, "callback") != NULL);
    hf_thread_check(plugin->flag_index("a") == 0); /* fini was refused */
    if (held)
        hf_thread_check(plugin->is_enabled(held, 0) == 1);
}

/* What it calls may log in turn. */
static void call_once(int32_t level, const char *message)
{
    static __thread bool inside;

    (void)level;
    (void)message;
    if (inside)
        return;
    inside = true;
    call_everything();
    inside = false;
    if (pthread_equal(pthread_self(), main_thread))
        atomic_fetch_add(&calls_on_main, 1);
    else
        atomic_fetch_add(&calls_elsewhere, 1);
}

/* The worker may have a line to say at any time, too: what this thread holds is gone by then. */
static void call_once_on_main(int32_t level, const char *message)
{
    if (pthread_equal(pthread_self(), main_thread))
        call_once(level, message);
}

static void start(void (*hook)(int32_t, const char *))
{
    main_thread = pthread_self();
    held = HF_NO_CONN;
    atomic_store(&calls_on_main, 0);
    atomic_store(&calls_elsewhere, 0);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    hf_test_host_on_log(hook);
}

static void end(void)
{
    hf_test_host_on_log(NULL);
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_on_calling_thread(void)
{
    hf_conn conn;

    start(NULL);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    held = conn;
    hf_test_host_on_log(call_once_on_main);
    CHECK(hf_test_connect(plugin, "another bad/name") == HF_NO_CONN);
    CHECK_INT_EQ(atomic_load(&calls_on_main), 1);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    plugin->on_disconnect(conn);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    end();
}

static void test_on_worker(void)
{
    hf_conn conn;

    start(call_once);
    hf_flag_service_set_status(service, 500);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(atomic_load(&calls_elsewhere) >= 1, BOUND_MS));
    hf_flag_service_set_status(service, 200);
    CHECK(HF_WAIT_UNTIL(
        plugin->refresh(hf_flag_service_url(service)) == HF_OK || plugin->is_enabled(conn, 0),
        BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    end();
}

/* ---- fini from elsewhere while a callback runs ---- */

#define GO_ON_MS 200 /* how long the callback goes on calling while fini waits for it */

static atomic_bool in_hook, in_fini, hook_has_ended;

static bool ask_something(void)
{
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    char buffer[512];

    plugin->explain(held, 0, &answer);
    plugin->status(HF_STATUS_JSON, buffer, sizeof(buffer));
    plugin->flag_index("a");
    plugin->refresh(NULL);
    plugin->fini();
    plugin->on_disconnect(hf_test_connect(plugin, hf_flag_service_url(service)));
    return true;
}

static void linger_in_hook(int32_t level, const char *message)
{
    (void)level;
    (void)message;
    if (atomic_exchange(&in_hook, true))
        return;
    hf_thread_check(HF_WAIT_UNTIL(atomic_load(&in_fini), BOUND_MS));
    hf_thread_check(HF_STAYS(ask_something(), GO_ON_MS));
    atomic_store(&hook_has_ended, true);
}

static void start_lingering(void)
{
    atomic_store(&in_hook, false);
    atomic_store(&in_fini, false);
    atomic_store(&hook_has_ended, false);
    start(linger_in_hook);
}

/* No callback outlasts fini. */
static void check_fini_waits(void)
{
    CHECK(HF_WAIT_UNTIL(atomic_load(&in_hook), BOUND_MS));
    atomic_store(&in_fini, true);
    plugin->fini();
    CHECK(atomic_load(&hook_has_ended));
    CHECK_INT_EQ(plugin->flag_index("a"), HF_E_NOTFOUND);
}

static void test_fini_during_workers_callback(void)
{
    start_lingering();
    hf_flag_service_set_status(service, 500);
    hf_test_connect(plugin, hf_flag_service_url(service));
    check_fini_waits();
    end();
}

static void *connect_badly(void *arg)
{
    (void)arg;
    hf_thread_check(hf_test_connect(plugin, "a bad/name") == HF_NO_CONN);
    return NULL;
}

static void test_fini_during_anothers_callback(void)
{
    pthread_t thread;

    start_lingering();
    pthread_create(&thread, NULL, connect_badly, NULL);
    check_fini_waits();
    pthread_join(thread, NULL);
    end();
}

static const struct hf_test tests[] = {
    {"C56 a log callback calls everything, on the thread that connects; fini is refused",
        test_on_calling_thread},
    {"C56 a log callback calls everything, on the worker; fini is refused", test_on_worker},
    {"C56 the worker's callback calls while another thread is in fini",
        test_fini_during_workers_callback},
    {"C56 another thread's callback calls while this one is in fini",
        test_fini_during_anothers_callback},
};

int main(int argc, char **argv)
{
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("callbacks", tests, COUNT(tests), argc, argv);
}

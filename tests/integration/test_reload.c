/* SPDX-License-Identifier: PostgreSQL
 *
 * reload: other settings while connections are open.
 */
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#include <string.h>

#define SETTINGS "flags = a, b\nallow_http = loopback\nttl_min = 1s\n"

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;
static hf_conn conn;

static void set_up(const char *more)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_test_log_clear();
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS "%s", more), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, 0).state == HF_STATE_FRESH, 10000));
}

static void tear_down(void)
{
    plugin->on_disconnect(conn);
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_all_or_nothing(void)
{
    set_up("");

    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "overrides = a=off\nttl = soon\n"), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "ttl");
    CHECK_STR_CONTAINS(hf_test_error(), "soon");
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_STATIC);
    CHECK_INT_EQ(plugin->reload(NULL, 1, NULL, 0), HF_E_INVALID);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    tear_down();
}

static void test_takes_effect(void)
{
    set_up("");

    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "overrides = a=off\ndefaults = b=on\n"), HF_OK);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, 1), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_OVERRIDE);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).state, HF_STATE_FRESH);
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, 1), 1);

    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_STATIC);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    tear_down();
}

static void test_restart_is_named(void)
{
    set_up("max_hosts = 10\n");

    CHECK_INT_EQ(hf_test_reload(plugin, "flags = b, a\nallow_http = loopback\nmax_hosts = 11\n"),
        HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "flags");
    CHECK_STR_CONTAINS(hf_test_error(), "max_hosts");
    CHECK_STR_CONTAINS(hf_test_error(), "restart");
    CHECK(strstr(hf_test_error(), "max_connections") == NULL);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "max_hosts = 10\nmax_connections = 7\n"), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "max_connections");
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    tear_down();
}

static void test_worker_goes_on(void)
{
    set_up("");
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn second;

    hf_flag_service_set_flag(service, "a", false);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "request_timeout = 5s\nconnect_timeout = 2s\n"), HF_OK);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, 10000));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 0, 10000));

    /* A request that was in flight is made again. */
    hf_flag_service_script(other, &(struct hf_flag_reply){.fault = HF_FAULT_SILENCE}, 1);
    hf_flag_service_set_flag(other, "a", true);
    second = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK(hf_flag_service_wait_requests(other, 1, 10000));
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(second, 0) == 1, 10000));
    CHECK_INT_EQ(hf_flag_service_count(other), 2);
    plugin->on_disconnect(second);
    tear_down();
    hf_flag_service_stop(other);
}

static void test_switch(void)
{
    set_up("");
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn second;

    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "enabled = off\n"), HF_OK);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_DISABLED);
    hf_flag_service_set_flag(other, "a", true);
    second = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_STATE);
    CHECK_INT_EQ(hf_test_explain(plugin, second, 0).next_refresh_ms, -1);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(second, 0) == 1, 10000));
    CHECK_INT_EQ(hf_flag_service_count(other), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    plugin->on_disconnect(second);
    tear_down();
    hf_flag_service_stop(other);
}

static void test_prefetch(void)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS "prefetch = off\n"), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).next_refresh_ms, -1);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, 0).state == HF_STATE_FRESH, 10000));
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    tear_down();
}

static void test_refusal_is_lifted(void)
{
    plugin = hf_test_host_load(NULL);
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, "flags = a, b\n"), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, 0).last_error == HF_FETCH_REFUSED, 10000));
    CHECK(hf_test_explain(plugin, conn, 0).next_refresh_ms > 0);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).next_refresh_ms, 0);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, 10000));
    tear_down();
}

static void test_no_room_for_the_error(void)
{
    const struct hf_setting bad = {"ttl", "soon"};

    set_up("");
    CHECK_INT_EQ(plugin->reload(&bad, 1, NULL, 300), HF_E_INVALID);
    CHECK_INT_EQ(plugin->reload(&bad, 1, NULL, 0), HF_E_INVALID);
    tear_down();
}

static void test_starts_nothing(void)
{
    plugin = hf_test_host_load(NULL);
    size_t threads = hf_fds_threads(0);

    CU_ASSERT_EQUAL_FATAL(hf_test_init(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(hf_fds_threads(0), threads);
    plugin->fini();
}

static void test_out_of_turn(void)
{
    plugin = hf_test_host_load(NULL);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_E_STATE);
    CHECK_STR_CONTAINS(hf_test_error(), "init");
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 a reload with one bad value changes nothing", test_all_or_nothing},
        {"C84 a reload takes effect at once and drops no value", test_takes_effect},
        {"C84 settings that need a restart are refused by name", test_restart_is_named},
        {"C84 the worker goes on with the new settings; what was in flight is asked again",
            test_worker_goes_on},
        {"C82 C84 enabled is switched off and on again: values are kept, new hosts are asked",
            test_switch},
        {"C84 prefetch is switched on: hosts that were never read are asked", test_prefetch},
        {"C84 a reload that lifts a refusal is followed by a request at once",
            test_refusal_is_lifted},
        {"C84 C87 reload with no room for its error", test_no_room_for_the_error},
        {"C84 reload before the first connection starts no thread", test_starts_nothing},
        {"C84 reload before init is refused", test_out_of_turn},
    };

    return hf_suite_run("reload", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

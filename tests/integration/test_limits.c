/* SPDX-License-Identifier: PostgreSQL
 *
 * Full tables, who makes room in them, and answers that are given without asking anybody.
 */
#include "tests/integration/cache_fixture.h"

/* ---- full tables ---- */

#define REFUSALS 5

static void check_refused(const char *host, const char *setting)
{
    for (int i = 0; i < REFUSALS; i++)
        CHECK(hf_test_connect(plugin, host) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), REFUSALS);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, setting), 1);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, host), 1);
}

static void test_hosts_full(void)
{
    hf_conn first, second;

    start_service();
    start_cache(
        "max_hosts = 2\nlinger = 0\ndefaults = b=on\nservice = %s\n", hf_flag_service_url(service));
    first = hf_test_connect(plugin, "first.example");
    second = hf_test_connect(plugin, "second.example");
    CHECK(HF_WAIT_UNTIL(is_known(first) && is_known(second), BOUND_MS));
    check_refused("third.example", "max_hosts");
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, A), 0);
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, B), 1);
    CHECK(hf_test_connect(plugin, "first.example") != HF_NO_CONN);
    plugin->on_disconnect(second);
    second = hf_test_connect(plugin, "third.example");
    CHECK(second != HF_NO_CONN);
    CHECK(HF_WAIT_UNTIL(is_known(second), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    stop_all();
}

static void test_connections_full(void)
{
    hf_conn first, second;

    start_service();
    start_cache("max_connections = 2\n");
    first = connect_service();
    second = connect_service();
    check_refused(hf_flag_service_url(service), "max_connections");
    CHECK_INT_EQ(member("references"), 2);
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    plugin->on_disconnect(second);
    second = connect_service();
    CHECK(second != HF_NO_CONN);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- making room ---- */

#define TICK_MS 20 /* more than the coarse clock's, by which idle times are taken */

static void let_a_tick_pass(void)
{
    int64_t since_ms = hf_wait_now_ms();

    CHECK(HF_WAIT_UNTIL(hf_wait_now_ms() - since_ms > TICK_MS, BOUND_MS));
}

static void leave_known(const char *host)
{
    hf_conn conn = hf_test_connect(plugin, host);

    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    let_a_tick_pass();
}

/* After two failures, so that its backoff (5 to 10 s) outlasts the test's few steps. */
static void leave_failing(const char *host)
{
    hf_conn conn = hf_test_connect(plugin, host);

    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->refresh(host) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_test_status_int(plugin, host, 0, "failures") == 2, BOUND_MS));
    plugin->on_disconnect(conn);
    let_a_tick_pass();
}

static bool has(const char *host)
{
    return hf_test_status_has(plugin, host, 0);
}

static void test_eviction(void)
{
    const struct hf_flag_reply failing[] = {{.status = 500}, {.status = 500}};

    start_service();
    hf_flag_service_script(service, failing, COUNT(failing));
    start_cache("max_hosts = 3\nservice = %s\n", hf_flag_service_url(service));
    leave_failing("failing.example");
    leave_known("older.example");
    leave_known("newer.example");
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 3);
    CHECK(hf_test_connect(plugin, "first.example") != HF_NO_CONN);
    CHECK(!has("older.example"));
    CHECK(has("newer.example"));
    CHECK(has("failing.example"));
    CHECK(hf_test_connect(plugin, "second.example") != HF_NO_CONN);
    CHECK(!has("newer.example"));
    CHECK(has("failing.example"));
    CHECK(hf_test_connect(plugin, "third.example") != HF_NO_CONN);
    CHECK(!has("failing.example"));
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "made room for \"first.example\""), 1);
    CHECK_INT_EQ(hf_test_log_count("made room"), 1); /* of three: once a minute */
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 0);
    CHECK(hf_test_connect(plugin, "fourth.example") == HF_NO_CONN);
    CHECK(has("first.example") && has("second.example") && has("third.example"));
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 1);
    stop_all();
}

/* ---- without asking ---- */

#define QUIET_MS 300 /* a request that should not be made would be there at once */

static void check_answer(hf_conn conn, uint32_t flag, int enabled, int reason)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, flag);

    CHECK_INT_EQ(plugin->is_enabled(conn, flag), enabled);
    CHECK_INT_EQ(answer.enabled, enabled);
    CHECK_INT_EQ(answer.reason, reason);
}

/* Afterwards the same host is asked by a cache with ordinary settings: the one request there is. */
static void check_nothing_asked(hf_conn conn)
{
    hf_conn later;

    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).next_refresh_ms, -1);
    CHECK(HF_STAYS(requests() == 0, QUIET_MS));
    plugin->fini();
    start_cache("%s", "");
    later = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(later), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
}

static void test_override(void)
{
    hf_conn conn;

    start_service();
    start_cache("overrides = a=off\n");
    conn = connect_service();
    check_answer(conn, A, 0, HF_REASON_OVERRIDE);
    check_answer(conn, B, 0, HF_REASON_DEFAULT);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    check_answer(conn, A, 0, HF_REASON_OVERRIDE);
    check_answer(conn, B, 0, HF_REASON_STATIC);
    plugin->fini();
    start_cache("overrides = b=on\n");
    conn = connect_service();
    check_answer(conn, B, 1, HF_REASON_OVERRIDE);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    check_answer(conn, A, 1, HF_REASON_STATIC);
    check_answer(conn, B, 1, HF_REASON_OVERRIDE);
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, B), 1);
    stop_all();
}

static void test_all_overridden(void)
{
    hf_conn conn;

    start_service();
    start_cache("overrides = a=off, b=on\n");
    conn = connect_service();
    check_answer(conn, A, 0, HF_REASON_OVERRIDE);
    check_answer(conn, B, 1, HF_REASON_OVERRIDE);
    check_nothing_asked(conn);
    stop_all();
}

static void test_disabled(void)
{
    hf_conn conn;

    start_service();
    start_cache("enabled = off\ndefaults = b=on\n");
    conn = connect_service();
    check_answer(conn, A, 0, HF_REASON_DISABLED);
    check_answer(conn, B, 1, HF_REASON_DISABLED);
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_STATE);
    CHECK_INT_EQ(plugin->refresh(hf_flag_service_url(service)), HF_E_STATE);
    check_nothing_asked(conn);
    stop_all();
}

static void test_disabled_at_first_read(void)
{
    hf_conn conn;

    start_service();
    start_cache("enabled = off\nprefetch = off\n");
    conn = connect_service();
    check_answer(conn, A, 0, HF_REASON_DISABLED);
    check_nothing_asked(conn);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C15 max_hosts reached: no reference, counted, logged once", test_hosts_full},
    {"C15 max_connections reached: no reference, counted, logged once", test_connections_full},
    {"C16 a full table: unused longest goes first, backoff last", test_eviction},
    {"C81 an override wins over the service and the default", test_override},
    {"C81 all flags overridden: no request", test_all_overridden},
    {"C82 enabled = off: defaults, no request", test_disabled},
    {"C82 enabled = off, prefetch = off: defaults, no request", test_disabled_at_first_read},
};

int main(int argc, char **argv)
{
    return run_tests("limits", tests, COUNT(tests), argc, argv);
}

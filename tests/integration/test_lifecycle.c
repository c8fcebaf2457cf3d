/* SPDX-License-Identifier: PostgreSQL
 *
 * Connections come and go: what they share, what they leave behind, what is asked for them. By the
 * plugin's table, against a real flag service. Full tables and local answers: test_limits.c.
 */
#include "tests/integration/cache_fixture.h"

/* ---- one registry, shared entries ---- */

static void test_one_registry(void)
{
    const struct hf_plugin *again = hf_test_host_load(NULL);
    const struct hf_plugin *third = hf_test_host_load(NULL);

    CHECK(again == plugin);
    CHECK(third == plugin);
    hf_test_host_unload();
    start_service();
    start_cache("%s", "");
    connect_service();
    CHECK_INT_EQ(again->init(NULL, NULL, 0, NULL, 0), HF_E_STATE);
    CHECK_INT_EQ(hf_test_status_total(again, "connections"), 1);
    stop_all();
}

static void test_first_connection(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    start_cache("%s", "");
    conn = connect_service();
    CHECK_INT_EQ(member("references"), 1);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 0);
    CHECK_INT_BETWEEN(refresh_after_ms(conn), 720000, 855000);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(member("requests"), 1);
    stop_all();
}

static void test_no_prefetch(void)
{
    hf_conn conns[4];

    start_service();
    start_cache("prefetch = off\n");
    conns[0] = connect_service();
    conns[1] = connect_service();
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 0);
    CHECK_INT_EQ(hf_test_explain(plugin, conns[0], A).next_refresh_ms, -1);
    hf_flag_service_set_delay(service, ANSWER_MS); /* not there at once */
    CHECK_INT_EQ(plugin->is_enabled(conns[0], A), 0);
    CHECK(HF_WAIT_UNTIL(is_known(conns[0]), BOUND_MS));
    conns[2] = connect_service();
    conns[3] = connect_service();
    for (size_t i = 0; i < COUNT(conns); i++)
        CHECK_INT_EQ(plugin->is_enabled(conns[i], A), 1);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

static void test_second_connection(void)
{
    hf_conn first, second;

    start_service();
    start_cache("%s", "");
    first = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    second = connect_service();
    CHECK(second != HF_NO_CONN && second != first);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 1);
    CHECK_INT_EQ(member("references"), 2);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- giving back ---- */

static void test_release_without_linger(void)
{
    hf_conn first, second;

    start_service();
    start_cache("linger = 0\n");
    first = connect_service();
    second = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    plugin->on_disconnect(first);
    CHECK_INT_EQ(member("references"), 1);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 1);
    plugin->on_disconnect(second);
    CHECK(!has_entry());
    CHECK_INT_EQ(plugin->is_enabled(second, A), 0);
    stop_all();
}

#define LINGER_MS 2000
#define TICK_MS 20 /* more than the coarse clock's, by which idle times are taken */

static void test_release_with_linger(void)
{
    hf_conn first, second;
    int64_t released_ms;

    start_service();
    start_cache("linger = %dms\n", LINGER_MS);
    first = connect_service();
    second = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    plugin->on_disconnect(first);
    CHECK_INT_EQ(member("references"), 1);
    released_ms = hf_wait_now_ms();
    plugin->on_disconnect(second);
    CHECK_INT_EQ(member("references"), 0);
    CHECK_INT_EQ(member("next_refresh_ms"), -1);
    first = connect_service(); /* still there: its value at once */
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    released_ms = hf_wait_now_ms();
    plugin->on_disconnect(first);
    CHECK(HF_WAIT_UNTIL(!has_entry(), BOUND_MS));
    CHECK(hf_wait_now_ms() - released_ms >= LINGER_MS - TICK_MS);
    CHECK_INT_EQ(requests(), 1);
    CHECK(HF_WAIT_UNTIL(hf_wait_now_ms() - released_ms > LINGER_MS + TICK_MS, BOUND_MS));
    first = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_harmless_releases(void)
{
    hf_conn made_up[] = {1, 0xffffffff, 0x100000001, UINT64_MAX, HF_NO_CONN};
    hf_conn earlier, conn;

    start_service();
    start_cache("linger = 0\nmax_connections = 1\n");
    earlier = connect_service();
    plugin->fini();
    start_cache("linger = 0\nmax_connections = 1\n"); /* the same slot again */
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    plugin->on_disconnect(earlier);
    for (size_t i = 0; i < COUNT(made_up); i++)
        plugin->on_disconnect(made_up[i]);
    plugin->on_disconnect(conn + 1);
    plugin->on_disconnect(conn ^ 1ull << 32);
    plugin->on_disconnect(conn ^ 1ull << 63);
    CHECK_INT_EQ(member("references"), 1);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(earlier, A), 0);
    stop_all();
}

static void release_at_zero(const char *linger)
{
    hf_conn conn;

    start_service();
    start_cache("linger = %s\n", linger);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    for (int i = 0; i < 3; i++)
        plugin->on_disconnect(conn);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    conn = connect_service();
    CHECK_INT_EQ(member("references"), 1);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    stop_all();
}

static void test_release_at_zero(void)
{
    release_at_zero("0");
    release_at_zero("1h");
}

static void test_release_twice(void)
{
    hf_conn first, second, third;

    start_service();
    start_cache("linger = 0\n");
    first = connect_service();
    second = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(second), BOUND_MS));
    plugin->on_disconnect(first);
    plugin->on_disconnect(first);
    CHECK_INT_EQ(member("references"), 1);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 1);
    third = connect_service(); /* in the slot that was given back */
    plugin->on_disconnect(first);
    CHECK_INT_EQ(member("references"), 2);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(third, A), 1);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- coming back ---- */

static void test_fresh_entry(void)
{
    struct gate gate = gate_open();
    struct hf_answer answer;
    hf_conn conn;
    int fd;

    start_service();
    start_cache("linger = 0\n");
    conn = hf_test_connect(plugin, gate.url);
    gate_answer(gate_take(&gate), "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.enabled, 0);
    CHECK_INT_EQ(answer.state, HF_STATE_UNKNOWN);
    CHECK_INT_EQ(answer.age_ms, -1);
    gate_answer(fd, "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    stop_all();
    gate_close(&gate);
}

/* The first backoff is 2.5 to 5 s. */
static void test_backoff_outlives_entry(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("linger = 0\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    CHECK(!has_entry());
    conn = connect_service();
    CHECK_INT_EQ(member("references"), 1);
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK(asked_ms(1) - asked_ms(0) >= 2500);
    stop_all();
}

/* ---- gone while a request is under way ---- */

static bool entry_is_fresh(const struct gate *gate)
{
    return hf_test_status_is(plugin, "127.0.0.1", gate_port(gate), "state", "fresh");
}

static void test_release_in_flight_lingering(void)
{
    struct gate gate = gate_open();
    hf_conn conn;
    int fd;

    start_service();
    start_cache("%s", "");
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    plugin->on_disconnect(conn);
    gate_answer(fd, "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(entry_is_fresh(&gate), BOUND_MS));
    CHECK(
        HF_WAIT_UNTIL(hf_test_log_contains("; asked again when a connection needs it"), BOUND_MS));
    conn = hf_test_connect(plugin, gate.url);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(gate_try(&gate), -1);
    stop_all();
    gate_close(&gate);
}

static void test_release_in_flight(void)
{
    struct gate gate = gate_open();
    struct hf_answer answer;
    hf_conn conn;
    int fd;

    start_service();
    start_cache("linger = 0\n");
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    plugin->on_disconnect(conn);
    gate_answer(fd, "{\"flags\":{\"a\":true}}");
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.enabled, 0);
    CHECK_INT_EQ(answer.state, HF_STATE_UNKNOWN);
    gate_answer(fd, "{\"flags\":{\"b\":true}}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, B) == 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
    stop_all();
    gate_close(&gate);
}

/* The new entry waits for the end of the old one's request, and then asks for itself. */
static void test_reconnect_in_flight(void)
{
    struct gate gate = gate_open();
    struct hf_answer answer;
    hf_conn old, new;
    int fd;

    start_service();
    start_cache("linger = 0\n");
    old = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    plugin->on_disconnect(old);
    new = hf_test_connect(plugin, gate.url);
    gate_answer(fd, "{\"flags\":{\"a\":true}}");
    fd = gate_take(&gate);
    answer = hf_test_explain(plugin, new, A);
    CHECK_INT_EQ(answer.enabled, 0);
    CHECK_INT_EQ(answer.state, HF_STATE_UNKNOWN);
    gate_answer(fd, "{\"flags\":{\"b\":true}}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(new, B) == 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(new, A), 0);
    CHECK_INT_EQ(plugin->is_enabled(old, B), 0);
    stop_all();
    gate_close(&gate);
}

/* ---- many cycles ---- */

/* A failing service may be asked again once in 2.5 s at most. */
static void cycle(unsigned status, bool on)
{
    int64_t started_ms = hf_wait_now_ms();
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, status);
    hf_flag_service_set_flag(service, "a", on);
    start_cache("%s", "");
    for (int i = 0; i < 100; i++) {
        conn = connect_service();
        if (i == 20)
            CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        if (i >= 20)
            CHECK_INT_EQ(plugin->is_enabled(conn, A), status == 200 && on);
        plugin->on_disconnect(conn);
    }
    CHECK(worker_has_moved_on());
    CHECK_INT_BETWEEN(
        requests(), 1, status == 200 ? 1 : 1 + (hf_wait_now_ms() - started_ms) / 2500);
    stop_all();
}

static void test_cycles(void)
{
    cycle(200, true);
}

static void test_cycles_off(void)
{
    cycle(200, false);
}

static void test_cycles_failing(void)
{
    cycle(500, true);
}

static void test_no_connection(void)
{
    start_service();
    start_cache("defaults = a=on\n");
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, B), 0);
    CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, 2), 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 0);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C01 loading twice and asking twice gives the one registry", test_one_registry},
    {"C02 a first connection: one reference, 900 s, one request", test_first_connection},
    {"C02 prefetch = off: no request before the first read, then one", test_no_prefetch},
    {"C03 a second connection shares the entry and its value", test_second_connection},
    {"C04 linger = 0: the last release removes the entry", test_release_without_linger},
    {"C04 linger: idle, still there, then gone", test_release_with_linger},
    {"C05 releasing what is no live handle does nothing", test_harmless_releases},
    {"C06 releasing at zero does not underflow", test_release_at_zero},
    {"C07 a second release keeps the other holder", test_release_twice},
    {"C09 linger = 0: who comes back finds no value", test_fresh_entry},
    {"C09 linger = 0: who comes back is still under the backoff", test_backoff_outlives_entry},
    {"C10 the answer to a released host lands in its idle entry", test_release_in_flight_lingering},
    {"C10 linger = 0: the answer to a released host lands nowhere", test_release_in_flight},
    {"C11 an old answer does not touch the new entry", test_reconnect_in_flight},
    {"C12 100 cycles: one request", test_cycles},
    {"C12 100 cycles, flag off: one request", test_cycles_off},
    {"C12 100 cycles, service failing: one request", test_cycles_failing},
    {"C13 reading without a connection: the default, no request", test_no_connection},
};

int main(int argc, char **argv)
{
    return run_tests("lifecycle", tests, COUNT(tests), argc, argv);
}

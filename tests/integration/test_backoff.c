/* SPDX-License-Identifier: PostgreSQL
 *
 * When hosts are asked: after failures, by whom, how many at once; and when not.
 */
#include "tests/integration/cache_fixture.h"

#define FIRST_BACKOFF_MS 2500 /* 5 s x U(0.5, 1.0) */
#define SECOND_BACKOFF_MS 5000 /* 10 s x U(0.5, 1.0) */

/* ---- a failing service and many readers ---- */

static void read_and_cycle(hf_conn conn, int expected)
{
    for (int i = 0; i < 100; i++)
        CHECK_INT_EQ(plugin->is_enabled(conn, A), expected);
    conn = connect_service();
    CHECK_INT_EQ(plugin->is_enabled(conn, A), expected);
    plugin->on_disconnect(conn);
}

/* first: the number of the request that failed first. windows: how many to look at, full of reads
 * and connections. */
static void check_windows(hf_conn conn, int expected, size_t first, size_t windows)
{
    static const int64_t least_ms[] = {FIRST_BACKOFF_MS, SECOND_BACKOFF_MS};

    for (int i = 0; i < 50; i++)
        read_and_cycle(conn, expected);
    CHECK(HF_WAIT_UNTIL(
        (read_and_cycle(conn, expected), requests() > first + windows), 2 * BOUND_MS));
    for (size_t i = 0; i < windows; i++)
        CHECK(asked_ms(first + i + 1) - asked_ms(first + i) >= least_ms[i]);
}

static void test_failing_cold(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    check_windows(conn, 0, 0, 2);
    stop_all();
}

/* Nobody else holds the host in between. */
static void test_failing_cycles(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("linger = 0\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    check_windows(HF_NO_CONN, 0, 0, 2);
    stop_all();
}

static void test_failing_stale(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    start_cache("ttl_min = 100ms\nttl = 300ms\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    hf_flag_service_set_status(service, 500);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    check_windows(conn, 1, (size_t)member("requests") - 1, 1);
    CHECK(is_stale(conn));
    stop_all();
}

/* ---- recovery ---- */

static void test_recovery(void)
{
    const struct hf_flag_reply failing = {.status = 503};
    struct hf_answer answer;
    hf_conn conn;

    start_service();
    hf_flag_service_script(service, &failing, 1);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 503);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.enabled, 1);
    CHECK_INT_EQ(answer.reason, HF_REASON_STATIC);
    CHECK_INT_EQ(answer.last_error, HF_FETCH_OK);
    CHECK_INT_EQ(answer.http_status, 200);
    CHECK_INT_BETWEEN(refresh_after_ms(conn), 720000, 855000);
    CHECK(asked_ms(1) - asked_ms(0) >= FIRST_BACKOFF_MS);
    stop_all();
}

/* Asks as soon as it may, and waits for the end of that request. When it was asked. */
static int64_t refresh_now(void)
{
    int64_t before = member("requests"), now_ms = 0;

    CHECK(HF_WAIT_UNTIL(
        (now_ms = hf_wait_now_ms(), plugin->refresh(hf_flag_service_url(service)) == HF_OK),
        BOUND_MS));
    CHECK(
        HF_WAIT_UNTIL(member("requests") == before + 1 && member("next_refresh_ms") > 0, BOUND_MS));
    return now_ms;
}

/* After two failures the next one would be asked again after 10 s or more, were they not forgotten.
 * */
static void test_count_is_reset(void)
{
    hf_conn conn;
    int64_t since_ms;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    since_ms = refresh_now();
    CHECK(member("next_refresh_ms") + hf_wait_now_ms() - since_ms >= SECOND_BACKOFF_MS);
    hf_flag_service_set_status(service, 200);
    refresh_now();
    CHECK(is_known(conn));
    CHECK(!has_failed(conn));
    hf_flag_service_set_status(service, 500);
    refresh_now();
    CHECK(has_failed(conn));
    CHECK(is_known(conn));
    CHECK_INT_BETWEEN(member("next_refresh_ms"), 1, 5000);
    CHECK_INT_EQ(member("failures"), 3);
    stop_all();
}

/* ---- reports ---- */

static void test_reports(void)
{
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn conns[2];
    char names[2][16];

    start_service();
    hf_flag_service_set_status(service, 500);
    hf_flag_service_set_status(other, 500);
    start_cache("%s", "");
    conns[0] = connect_service();
    conns[1] = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK(HF_WAIT_UNTIL(has_failed(conns[0]) && has_failed(conns[1]), BOUND_MS));
    snprintf(names[0], sizeof(names[0]), ":%u ", hf_flag_service_port(service));
    snprintf(names[1], sizeof(names[1]), ":%u ", hf_flag_service_port(other));
    refresh_now();
    refresh_now();
    CHECK_INT_EQ(member("failures"), 3);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, names[0]), 1);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, names[1]), 1);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_ERROR, ""), 0);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "500"), 2);
    stop_all();
    hf_flag_service_stop(other);
}

/* ---- a thousand hosts ---- */

#define HOSTS 1000
#define TENTHS 10
#define TTL_MS 900000

static void test_spread(void)
{
    static hf_conn conns[HOSTS];
    int64_t after_ms, first_ms = INT64_MAX, last_ms = 0;
    size_t tenths[TENTHS] = {0};
    char host[32];

    start_service();
    start_cache("service = %s\n", hf_flag_service_url(service));
    for (int i = 0; i < HOSTS; i++) {
        snprintf(host, sizeof(host), "dbc-%d.example", i);
        conns[i] = hf_test_connect(plugin, host);
    }
    for (int i = 0; i < HOSTS; i++) {
        CHECK(HF_WAIT_UNTIL(is_known(conns[i]), BOUND_MS));
        after_ms = refresh_after_ms(conns[i]);
        if (!CHECK_INT_BETWEEN(after_ms, TTL_MS / 100 * 80, TTL_MS / 100 * 95))
            break;
        first_ms = after_ms < first_ms ? after_ms : first_ms;
        last_ms = after_ms > last_ms ? after_ms : last_ms;
        tenths[(after_ms - TTL_MS / 100 * 80) * TENTHS / (TTL_MS / 100 * 15 + 1)]++;
    }
    CHECK(last_ms - first_ms >= TTL_MS / 10);
    for (size_t i = 0; i < TENTHS; i++)
        CHECK_INT_BETWEEN(tenths[i], HOSTS / 40, HOSTS / 4); /* evenly: 100, give or take 10 */
    CHECK_INT_EQ(requests(), HOSTS);
    CHECK(hf_flag_service_max_in_flight(service) <= 32);
    stop_all();
}

/* ---- refreshes go on, and end ---- */

static void test_creator_leaves(void)
{
    hf_conn creator, other;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    start_cache("ttl_min = 100ms\nttl = 300ms\n");
    creator = connect_service();
    other = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(other, A) == 1, BOUND_MS));
    plugin->on_disconnect(creator);
    for (int i = 0; i < 4; i++) {
        hf_flag_service_set_flag(service, "a", i % 2 == 1);
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(other, A) == i % 2, BOUND_MS));
        CHECK_INT_EQ(member("references"), 1);
    }
    CHECK(requests() >= 5);
    CHECK_INT_EQ(plugin->is_enabled(creator, A), 0);
    stop_all();
}

/* A request that was under way when the last connection left may still end. */
static void test_nobody_holds(void)
{
    struct pacer pacer;
    hf_conn conns[2];
    size_t before;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    start_cache("linger = 1h\nttl_min = 100ms\nttl = 100ms\n");
    pacer = pacer_start();
    conns[0] = connect_service();
    conns[1] = connect_service();
    CHECK(hf_flag_service_wait_requests(service, 3, BOUND_MS));
    plugin->on_disconnect(conns[0]);
    plugin->on_disconnect(conns[1]);
    CHECK(pacer_passes(&pacer, 2));
    before = requests();
    CHECK(pacer_passes(&pacer, 15));
    CHECK_INT_EQ(requests(), before);
    CHECK(!has_entry()); /* older than its TTL */
    conns[0] = connect_service();
    CHECK(hf_flag_service_wait_requests(service, before + 3, BOUND_MS));
    pacer_stop(&pacer);
    stop_all();
}

/* Neither is a host that fails asked again when its backoff is over. */
static void test_nobody_holds_failing(void)
{
    struct pacer pacer;
    hf_conn conn;
    int64_t failed_ms;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("linger = 1h\nttl_min = 100ms\nttl = 500ms\n");
    pacer = pacer_start();
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    failed_ms = hf_wait_now_ms();
    plugin->on_disconnect(conn);
    CHECK(HF_WAIT_UNTIL(hf_wait_now_ms() - failed_ms > 2 * FIRST_BACKOFF_MS, BOUND_MS));
    CHECK(pacer_passes(&pacer, 2));
    CHECK_INT_EQ(requests(), 1);
    pacer_stop(&pacer);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C62 a failing cold host: one request per backoff window", test_failing_cold},
    {"C62 the same where connections come and go, linger = 0", test_failing_cycles},
    {"C62 a failing stale host: one request per backoff window", test_failing_stale},
    {"C63 after the window it is asked again, and recovers", test_recovery},
    {"C63 a success resets the count of failures", test_count_is_reset},
    {"C69 1000 hosts started at once: their refreshes spread", test_spread},
    {"C70 one host failing is logged once a minute", test_reports},
    {"C73 refreshes go on after the creator has left", test_creator_leaves},
    {"C74 nobody holds the host: no request", test_nobody_holds},
    {"C74 nobody holds a failing host: no request", test_nobody_holds_failing},
};

int main(int argc, char **argv)
{
    return run_tests("backoff", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * How long an answer is valid, and when the next one is asked for, as explain(), status() and the
 * service's log show it. A refresh is planned 0.80 to 0.95 of the TTL after the answer.
 */
#include "tests/integration/cache_fixture.h"

#define PLANNED_FOR(conn, ttl_ms) \
    CHECK_INT_BETWEEN( \
        refresh_after_ms(conn), (int64_t)(ttl_ms)*80 / 100, (int64_t)(ttl_ms)*95 / 100)

struct row {
    const char *ttl; /* as JSON; NULL: none */
    int64_t expected_ms;
};

static void check_row(const struct row *row, const char *settings)
{
    bool ok = true;
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, row->ttl);
    start_cache("%s", settings);
    conn = connect_service();
    ok = CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS)) && ok;
    ok = PLANNED_FOR(conn, row->expected_ms) && ok;
    ok = CHECK_INT_EQ(plugin->is_enabled(conn, A), 1) && ok;
    ok = CHECK_INT_EQ(hf_test_explain(plugin, conn, B).reason, HF_REASON_STATIC) && ok;
    if (!ok)
        fprintf(stderr, "ttl_seconds was: %s\n", row->ttl ? row->ttl : "not sent");
    stop_all();
}

static void check_rows(const struct row *rows, size_t count, const char *settings)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i], settings);
}

static void test_applied(void)
{
    static const struct row rows[] = {
        {"1800", 1800000},
        {"60", 60000},
        {"3600", 3600000},
    };

    check_rows(rows, COUNT(rows), "");
}

/* And on the next one. */
static void test_changed(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, "2");
    start_cache("ttl_min = 100ms\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_flag_service_set_ttl(service, "1800");
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(refresh_after_ms(conn) > 2000, BOUND_MS));
    PLANNED_FOR(conn, 1800000);
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_unusable(void)
{
    static const struct row rows[] = {
        {NULL, 700000},
        {"0", 700000},
        {"-5", 700000},
        {"null", 700000},
        {"\"1800\"", 700000},
        {"1800.5", 700000},
        {"1e3", 700000},
        {"true", 700000},
        {"[1800]", 700000},
        {"9223372036854775808", 700000},
        {"-9223372036854775809", 700000},
        {"18446744073709551615", 700000},
    };

    check_rows(rows, COUNT(rows), "ttl = 700s\n");
}

static void test_bounds(void)
{
    static const struct row rows[] = {
        {"1", 120000},
        {"119", 120000},
        {"121", 121000},
        {"7199", 7199000},
        {"7201", 7200000},
        {"1000000000", 7200000},
        {"9223372036854775806", 7200000},
    };

    check_rows(rows, COUNT(rows), "ttl_min = 120s\nttl_max = 2h\n");
}

/* From one request to the next, over some of them. */
static void check_pace(size_t count, int64_t least_ms)
{
    CHECK(hf_flag_service_wait_requests(service, count, BOUND_MS));
    for (size_t i = 1; i < count; i++)
        CHECK(asked_ms(i) - asked_ms(i - 1) >= least_ms);
}

static void test_no_busy_loop(void)
{
    start_service();
    hf_flag_service_set_ttl(service, "1");
    start_cache("ttl_min = 2s\n");
    connect_service();
    check_pace(3, 1600);
    stop_all();
    start_service();
    hf_flag_service_set_ttl(service, "0");
    start_cache("ttl_min = 100ms\nttl = 100ms\n");
    connect_service();
    check_pace(10, 80);
    stop_all();
}

/* ---- fresh and stale ---- */

/* Whether everything in one answer says the same about its age. */
static bool agrees(const struct hf_answer *answer, int64_t ttl_ms)
{
    bool fresh = answer->age_ms < ttl_ms;
    int32_t state = fresh ? HF_STATE_FRESH : HF_STATE_STALE;
    int32_t reason = fresh ? HF_REASON_STATIC : HF_REASON_STALE;

    return CHECK_INT_EQ(answer->state, state) && CHECK_INT_EQ(answer->reason, reason) &&
        CHECK_INT_EQ(answer->enabled, 1);
}

#define TTL_MS 400

/* The refresh gets no answer, so that the value grows old under the eyes of the test. */
static void test_one_predicate(void)
{
    struct gate gate = gate_open();
    struct hf_answer answer;
    hf_conn conn;
    int fd;

    start_cache("ttl_min = 100ms\nttl = %dms\nrequest_timeout = 5min\n", TTL_MS);
    conn = hf_test_connect(plugin, gate.url);
    gate_answer(gate_take(&gate), "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    fd = gate_take(&gate);
    do {
        answer = hf_test_explain(plugin, conn, A);
    } while (agrees(&answer, TTL_MS) && answer.age_ms < 2 * TTL_MS);
    CHECK_INT_EQ(answer.state, HF_STATE_STALE);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", gate_port(&gate), "state", "stale"));
    CHECK(hf_test_status_reason_is(plugin, "127.0.0.1", gate_port(&gate), "a", "stale"));
    gate_answer(fd, "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(hf_test_explain(plugin, conn, A).age_ms < 2 * TTL_MS);
    stop_all();
    gate_close(&gate);
}

/* ---- refreshing ---- */

static void test_refresh(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, "2");
    start_cache("ttl_min = 100ms\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    PLANNED_FOR(conn, 2000);
    hf_flag_service_set_flag(service, "a", false);
    hf_flag_service_set_ttl(service, "900");
    CHECK(worker_has_moved_on());
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    check_pace(2, 1600);
    CHECK(hf_test_explain(plugin, conn, A).age_ms < hf_wait_now_ms() - asked_ms(0));
    PLANNED_FOR(conn, 900000);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_removed_flag(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_flag(service, "b", true);
    hf_flag_service_set_ttl(service, NULL);
    start_cache("ttl_min = 100ms\nttl = 300ms\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    hf_flag_service_remove_flag(service, "a");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_DEFAULT);
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C44 ttl_seconds is applied to the first answer", test_applied},
    {"C44 a changed ttl_seconds is applied", test_changed},
    {"C45 an unusable ttl_seconds: the setting ttl, and the flags stand", test_unusable},
    {"C46 ttl_seconds stays within ttl_min and ttl_max", test_bounds},
    {"C46 a tiny ttl_seconds is no busy loop", test_no_busy_loop},
    {"C47 explain and status say fresh or stale by the one age", test_one_predicate},
    {"C49 no request before the refresh is due, then one", test_refresh},
    {"C50 a flag removed at the service is gone after the refresh", test_removed_flag},
};

int main(int argc, char **argv)
{
    return run_tests("ttl", tests, COUNT(tests), argc, argv);
}

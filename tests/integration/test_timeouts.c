/* SPDX-License-Identifier: PostgreSQL
 *
 * Services that never come to an end, each in another way.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/integration/full_queue.h"
#include "tests/support/build_path.h"
#include "tests/support/process.h"
#include "tests/support/raw_server.h"

#define TIMEOUT_MS 1500
#define DOCUMENT "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}]}"
#define GOOD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" DOCUMENT
#define TEN_LINES(line) line line line line line line line line line line

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FINI_MS 20000
#else
#define FINI_MS 2000 /* the promise */
#endif

#define A_SECOND_EACH .interval_ms = 1000

/* Each of them is more than the time-out can see the end of. */
static const struct way {
    const char *name, *scheme;
    struct hf_raw_reply reply;
} ways[] = {
    {"silence at once", "http", {.at_once = true, .end = HF_RAW_HOLD}},
    {"silence after the request", "http", {.end = HF_RAW_HOLD}},
    {"half a status line", "http", {HF_RAW_TEXT("HTTP/1.1 2"), .end = HF_RAW_HOLD}},
    {"a header without an end", "http",
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"), .end = HF_RAW_HOLD}},
    {"silence after the header", "http",
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), .end = HF_RAW_HOLD}},
    {"half a body", "http",
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"flags\":"),
            .end = HF_RAW_HOLD}},
    {"no more chunks", "http",
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
            .end = HF_RAW_HOLD}},
    {"early hints and silence", "http",
        {HF_RAW_TEXT("HTTP/1.1 103 Early Hints\r\n\r\n"), .end = HF_RAW_HOLD}},
    {"a header byte by byte", "http",
        {HF_RAW_TEXT(TEN_LINES("HTTP/1.1 200 OK, so they say, and more of it to come\r\n")),
            A_SECOND_EACH, .end = HF_RAW_HOLD}},
    {"silence instead of a handshake", "https", {.at_once = true, .end = HF_RAW_HOLD}},
    {"half a handshake", "https",
        {HF_RAW_TEXT("\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"), .at_once = true,
            .end = HF_RAW_HOLD}},
    {"a handshake byte by byte", "https",
        {HF_RAW_TEXT("\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" TEN_LINES(TEN_LINES("abc"))),
            A_SECOND_EACH, .at_once = true, .end = HF_RAW_HOLD}},
};

static struct {
    struct hf_raw_server *server;
    uint16_t port;
    hf_conn conn;
} hosts[COUNT(ways)];

/* replies: those of each host, `each` of them. */
static void connect_all(const struct hf_raw_reply *replies, size_t each)
{
    char name[64];

    for (size_t i = 0; i < COUNT(ways); i++) {
        hosts[i].server = hf_raw_server_start(NULL, 0, &replies[i * each], each);
        if (!hosts[i].server)
            abort();
        hosts[i].port = hf_raw_server_port(hosts[i].server);
        snprintf(name, sizeof(name), "%s://127.0.0.1:%u", ways[i].scheme, hosts[i].port);
        hosts[i].conn = hf_test_connect(plugin, name);
    }
}

static void stop_servers(void)
{
    for (size_t i = 0; i < COUNT(ways); i++)
        hf_raw_server_stop(hosts[i].server);
}

static bool check_timed_out(size_t i)
{
    struct hf_answer answer;
    bool ok = CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));

    answer = hf_test_explain(plugin, hosts[i].conn, A);
    ok = CHECK_INT_EQ(answer.last_error, HF_FETCH_TIMEOUT) && ok;
    ok = CHECK_INT_BETWEEN(answer.next_refresh_ms, 0, 5000) && ok;
    ok =
        CHECK(hf_test_status_is(plugin, "127.0.0.1", hosts[i].port, "last_error", "timeout")) && ok;
    if (!ok)
        fprintf(stderr, "%s\n", ways[i].name);
    return ok;
}

static void test_cold(void)
{
    struct hf_raw_reply replies[COUNT(ways)];
    int64_t since_ms = hf_wait_now_ms();

    for (size_t i = 0; i < COUNT(ways); i++)
        replies[i] = ways[i].reply;
    start_cache("connect_timeout = 5min\nrequest_timeout = %lldms\ndefaults = b=on\n",
        (long long)hf_wait_slow_ms(TIMEOUT_MS));
    connect_all(replies, 1);
    for (size_t i = 0; i < COUNT(ways); i++) {
        if (!check_timed_out(i))
            continue;
        CHECK(hf_wait_now_ms() - since_ms >= hf_wait_slow_ms(TIMEOUT_MS));
        CHECK_INT_EQ(hf_raw_server_count(hosts[i].server), 1);
        CHECK_INT_EQ(hf_test_explain(plugin, hosts[i].conn, A).state, HF_STATE_UNKNOWN);
        CHECK_INT_EQ(plugin->is_enabled(hosts[i].conn, B), 1);
        CHECK(HF_WAIT_UNTIL(hf_raw_server_open(hosts[i].server) == 0, BOUND_MS)); /* hung up */
    }
    plugin->fini();
    stop_servers();
}

/* Of those that speak http; a connection by TLS to them says nothing that could be kept. */
static void test_kept(void)
{
    static const struct hf_raw_reply good = {HF_RAW_TEXT(GOOD)};
    struct hf_raw_reply replies[COUNT(ways)][2];

    for (size_t i = 0; i < COUNT(ways); i++) {
        replies[i][0] = strcmp(ways[i].scheme, "http") == 0 ? good : ways[i].reply;
        replies[i][1] = ways[i].reply;
    }
    start_cache("ttl_min = 100ms\nttl = 500ms\nrequest_timeout = %lldms\n",
        (long long)hf_wait_slow_ms(TIMEOUT_MS));
    connect_all(replies[0], 2);
    for (size_t i = 0; i < COUNT(ways); i++) {
        if (strcmp(ways[i].scheme, "http") != 0)
            continue;
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[i].conn, A) == 1, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));
        CHECK(is_stale(hosts[i].conn));
        CHECK_INT_EQ(plugin->is_enabled(hosts[i].conn, A), 1);
        CHECK_INT_EQ(hf_test_explain(plugin, hosts[i].conn, A).last_error, HF_FETCH_TIMEOUT);
    }
    plugin->fini();
    stop_servers();
}

/* While all of them are under way, others are asked and refreshed; and fini does not wait. */
static void test_others_and_fini(void)
{
    struct hf_raw_reply replies[COUNT(ways)];
    struct pacer pacer;
    int64_t since_ms;

    for (size_t i = 0; i < COUNT(ways); i++)
        replies[i] = ways[i].reply;
    start_cache("connect_timeout = 5min\nrequest_timeout = 5min\nttl_min = 100ms\nttl = 100ms\n");
    connect_all(replies, 1);
    for (size_t i = 0; i < COUNT(ways); i++)
        CHECK(hf_raw_server_wait(hosts[i].server, 1, BOUND_MS));
    pacer = pacer_start();
    CHECK(pacer_passes(&pacer, 10));
    CHECK_INT_EQ(plugin->is_enabled(pacer.conn, A), 1);
    for (size_t i = 0; i < COUNT(ways); i++) {
        CHECK_INT_EQ(hf_raw_server_open(hosts[i].server), 1);
        CHECK(!has_failed(hosts[i].conn));
    }
    CHECK(hf_test_status_total(plugin, "in_flight") >= (int64_t)COUNT(ways));
    pacer_stop(&pacer);
    since_ms = hf_wait_now_ms();
    plugin->fini();
    CHECK_INT_BETWEEN(hf_wait_now_ms() - since_ms, 0, hf_wait_slow_ms(FINI_MS));
    for (size_t i = 0; i < COUNT(ways); i++)
        CHECK(HF_WAIT_UNTIL(hf_raw_server_open(hosts[i].server) == 0, BOUND_MS));
    stop_servers();
}

/* ---- a body by drops ---- */

static void test_dripping_body(void)
{
    const struct hf_flag_reply drip = {.fault = HF_FAULT_DRIP, .interval_ms = 1000};
    int64_t since_ms = hf_wait_now_ms();
    hf_conn conn;

    start_service();
    hf_flag_service_set_reply(service, &drip);
    start_cache("request_timeout = %lldms\n", (long long)hf_wait_slow_ms(TIMEOUT_MS));
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK(hf_wait_now_ms() - since_ms >= hf_wait_slow_ms(TIMEOUT_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TIMEOUT);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 200);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- a connection that is never made ---- */

static void test_connect(void)
{
    struct full full;
    int64_t since_ms;
    hf_conn conn;

    if (!full_open(&full, 0)) {
        full_close(&full);
        return hf_test_skip("the queue of a listening socket does not fill up here");
    }
    since_ms = hf_wait_now_ms();
    start_cache("connect_timeout = %lldms\nrequest_timeout = 5min\n",
        (long long)hf_wait_slow_ms(TIMEOUT_MS));
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", hf_net_port(full.listen_fd), NULL);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK(hf_wait_now_ms() - since_ms >= hf_wait_slow_ms(TIMEOUT_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TIMEOUT);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 0);
    plugin->fini();
    full_close(&full);
}

/* The shorter of the two counts. */
static void test_connect_within_request(void)
{
    struct full full;
    hf_conn conn;

    if (!full_open(&full, 0)) {
        full_close(&full);
        return hf_test_skip("the queue of a listening socket does not fill up here");
    }
    start_cache("connect_timeout = 5min\nrequest_timeout = 500ms\n");
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", hf_net_port(full.listen_fd), NULL);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TIMEOUT);
    plugin->fini();
    full_close(&full);
}

/* ---- a name server that never answers ---- */

static void test_name(void)
{
    static char reason[256];
    const char *const argv[] = {
        hf_build_path("tests/integration/run_blackhole"), hf_test_plugin_path(), "timeout", NULL};
    char *output = NULL, *took;
    int status;

    status = hf_process_run(argv, 2 * BOUND_MS, &output);
    if (status == 77) {
        snprintf(reason, sizeof(reason), "%s", output);
        reason[strcspn(reason, "\n")] = '\0';
        hf_test_skip(reason);
    } else if (CHECK_INT_EQ(status, 0)) {
        CHECK_STR_CONTAINS(output, "last error: timeout\n");
        took = strstr(output, "timed out after ");
        CHECK(took != NULL && strtoll(took + strlen("timed out after "), NULL, 10) >= TIMEOUT_MS);
        took = strstr(output, "fini took ");
        CHECK(took != NULL);
        if (took)
            CHECK_INT_BETWEEN(
                strtoll(took + strlen("fini took "), NULL, 10), 0, hf_wait_slow_ms(FINI_MS));
    }
    free(output);
}

static const struct hf_test tests[] = {
    {"C68 silence, half an answer, a byte a second: request_timeout holds", test_cold},
    {"C59 C68 a value, then a time-out: the value stays", test_kept},
    {"C54 C68 C75 while all of them hang others are asked, and fini does not wait",
        test_others_and_fini},
    {"C68 a body of one byte a second", test_dripping_body},
    {"C68 a connection that is never made: connect_timeout holds", test_connect},
    {"C68 a connection that is never made: request_timeout counts as well",
        test_connect_within_request},
    {"C68 a name server that never answers", test_name},
};

int main(int argc, char **argv)
{
    return run_tests("timeouts", tests, COUNT(tests), argc, argv);
}

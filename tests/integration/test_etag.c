/* SPDX-License-Identifier: PostgreSQL
 *
 * Conditional requests on the wire: which ETag goes back, and what a 304 is taken for.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/raw_server.h"

#define SHORT_TTL "ttl_min = 100ms\nttl = 300ms\n"
#define DOCUMENT "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}]}"

/* NULL: not sent. */
static const char *condition_of(struct hf_flag_service *of, size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(of, i);

    return request ? hf_flag_request_header(request, "If-None-Match") : "no such request";
}

/* Asks as soon as that is possible, and waits for the end of that request. */
static void ask_now(void)
{
    int64_t before = member("requests");

    CHECK(HF_WAIT_UNTIL(plugin->refresh(hf_flag_service_url(service)) == HF_OK, BOUND_MS));
    CHECK(
        HF_WAIT_UNTIL(member("requests") == before + 1 && member("next_refresh_ms") > 0, BOUND_MS));
}

/* ---- byte by byte ---- */

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONGEST "\"" HUNDRED HUNDRED TEN TEN TEN TEN TEN "0123\"" /* 256 bytes */

static const struct {
    const char *sent;
    bool dropped;
} etags[] = {
    {"\"33a64df551425fcc55e4d42a148795d9f25f89d4\"", false},
    {"W/\"33a64df5\"", false},
    {"\"\"", false},
    {"W/\"\"", false},
    {"\"with blanks in it\"", false},
    {"\"a, b\"", false},
    {"\"semicolon;colon:\"", false},
    {"\"\xc3\xa4\xff\x80\"", false},
    {"\"%00%s%n\\\"", false},
    {"unquoted", false},
    {LONGEST, false},
    {"\"0" LONGEST, true},
    {"*", true},
};

/* Has nothing new after its first answer, where it is asked for that. */
static struct hf_flag_service *start_etag_service(const char *etag, bool dropped)
{
    struct hf_flag_service *started = hf_flag_service_start(NULL);
    char header[512];
    struct hf_flag_reply first = {.body = DOCUMENT, .body_len = sizeof(DOCUMENT) - 1};
    const struct hf_flag_reply same = {.status = 304, .body = ""};

    if (!started)
        abort();
    snprintf(header, sizeof(header), "ETag: %s", etag);
    first.headers = header;
    hf_flag_service_script(started, &first, 1);
    hf_flag_service_set_reply(started, dropped ? &first : &same);
    return started;
}

static void check_etag(struct hf_flag_service *of, hf_conn conn, const char *expected)
{
    uint16_t port = hf_flag_service_port(of);

    CHECK(hf_flag_service_wait_requests(of, 4, BOUND_MS));
    CHECK_STR_EQ(condition_of(of, 0), NULL);
    for (size_t i = 1; i < 4; i++)
        CHECK_STR_EQ(condition_of(of, i), expected);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    if (!expected)
        return;
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(hf_test_status_int(plugin, "127.0.0.1", port, "not_modified") >= 2);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "http_status"), 304);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "failures"), 0);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "last_error", "ok"));
}

static void test_forms(void)
{
    struct hf_flag_service *services[COUNT(etags)];
    hf_conn conns[COUNT(etags)];

    start_cache(SHORT_TTL);
    for (size_t i = 0; i < COUNT(etags); i++) {
        services[i] = start_etag_service(etags[i].sent, etags[i].dropped);
        conns[i] = hf_test_connect(plugin, hf_flag_service_url(services[i]));
    }
    for (size_t i = 0; i < COUNT(etags); i++)
        check_etag(services[i], conns[i], etags[i].dropped ? NULL : etags[i].sent);
    CHECK(hf_test_status_total(plugin, "not_modified") >= 2 * 11);
    plugin->fini();
    for (size_t i = 0; i < COUNT(etags); i++)
        hf_flag_service_stop(services[i]);
}

/* ---- what a 304 does ---- */

/* headers: of the 304. */
static void check_renewal(const char *headers)
{
    const struct hf_flag_reply same = {.status = 304, .body = "", .headers = headers};
    hf_conn conn;

    start_service();
    hf_flag_service_set_headers(service, "ETag: \"x\"");
    hf_flag_service_set_ttl(service, "1800");
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_flag_service_set_status(service, 500);
    ask_now();
    CHECK(has_failed(conn));
    hf_flag_service_set_reply(service, &same);
    ask_now();
    CHECK(!has_failed(conn));
    CHECK(is_known(conn));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STATIC);
    CHECK_INT_BETWEEN(refresh_after_ms(conn), 1800000 / 100 * 80, 1800000 / 100 * 95);
    CHECK_INT_EQ(member("ttl_ms"), 1800000);
    CHECK_INT_EQ(member("failures"), 1);
    CHECK_INT_EQ(member("failures_in_a_row"), 0);
    CHECK_INT_EQ(member("not_modified"), 1);
    ask_now();
    for (size_t i = 1; i < 4; i++)
        CHECK_STR_EQ(condition_of(service, i), "\"x\"");
    CHECK_INT_EQ(requests(), 4);
    stop_all();
}

static void test_renewal(void)
{
    check_renewal(NULL);
    check_renewal("ETag: \"y\"\nRetry-After: 3000");
}

static void test_unconditional(void)
{
    const struct hf_flag_reply script[] = {{.status = 304, .body = "", .headers = "ETag: \"x\""}};
    hf_conn conn;

    start_service();
    hf_flag_service_script(service, script, 1);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK(is_known(conn));
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 2);
    CHECK_STR_EQ(condition_of(service, 1), NULL);
    CHECK_INT_EQ(member("failures"), 0);
    CHECK_INT_EQ(member("not_modified"), 0);
    stop_all();
}

static void test_304_for_ever(void)
{
    const struct hf_flag_reply same = {.status = 304, .body = ""};
    hf_conn conn;

    start_service();
    hf_flag_service_set_reply(service, &same);
    start_cache("defaults = b=on\n");
    conn = connect_service();
    CHECK(hf_flag_service_wait_requests(service, 3, BOUND_MS));
    CHECK(asked_ms(2) - asked_ms(1) >= 2500);
    for (size_t i = 0; i < 3; i++)
        CHECK_STR_EQ(condition_of(service, i), NULL);
    CHECK(HF_WAIT_UNTIL(member("failures") == 2, BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, B).reason, HF_REASON_DEFAULT);
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    CHECK_INT_EQ(member("http_status"), 304);
    stop_all();
}

static void cycle(void)
{
    plugin->on_disconnect(connect_service());
}

/* Each connection is gone before the answer to its request comes. */
static void test_304_cycles(void)
{
    const struct hf_flag_reply same = {.status = 304, .body = "", .delay_ms = 50};

    start_service();
    hf_flag_service_set_reply(service, &same);
    start_cache("linger = 0\n");
    CHECK(HF_WAIT_UNTIL((cycle(), requests() == 1), BOUND_MS));
    CHECK(HF_WAIT_UNTIL((cycle(), hf_test_status_total(plugin, "in_flight") == 0), BOUND_MS));
    CHECK(HF_STAYS((cycle(), requests() == 1), 1000));
    stop_all();
}

/* ---- C72 ---- */

static void test_bad_answers(void)
{
    static const struct hf_flag_reply bad[] = {
        {.status = 500, .headers = "ETag: \"bad\""},
        {.body = "<html>", .body_len = 6, .headers = "ETag: \"bad\""},
        {.body = "{}", .body_len = 2, .headers = "ETag: \"bad\""},
    };
    hf_conn conn;

    for (int known = 0; known <= 1; known++) {
        start_service();
        if (known)
            hf_flag_service_set_headers(service, "ETag: \"x\"");
        else
            hf_flag_service_set_reply(service, &bad[0]);
        start_cache("%s", "");
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        for (size_t i = 0; i < (known ? COUNT(bad) : 2); i++) {
            hf_flag_service_set_reply(service, &bad[i]);
            ask_now();
            CHECK(has_failed(conn));
            CHECK_STR_EQ(condition_of(service, i + 1), known ? "\"x\"" : NULL);
        }
        CHECK_INT_EQ(plugin->is_enabled(conn, A), known);
        stop_all();
    }
}

/* An answer that breaks off has an ETag, but no document. */
static void test_broken_off(void)
{
    static const struct hf_raw_reply replies[] = {
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nETag: \"bad\"\r\nContent-Length: 100\r\n\r\n" DOCUMENT)},
        {HF_RAW_TEXT("HTTP/1.1 200 OK\r\nETag: \"x\"\r\nConnection: close\r\n\r\n" DOCUMENT)},
    };
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, replies, COUNT(replies));
    hf_conn conn;

    start_cache(SHORT_TTL);
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", hf_raw_server_port(server), NULL);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(hf_raw_server_wait(server, 3, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_raw_server_request(server, 2)[0] != '\0', BOUND_MS));
    CHECK(strstr(hf_raw_server_request(server, 1), "If-None-Match") == NULL);
    CHECK_STR_CONTAINS(hf_raw_server_request(server, 2), "\r\nIf-None-Match: \"x\"\r\n");
    plugin->fini();
    hf_raw_server_stop(server);
}

/* ---- answers before the answer ---- */

#define EARLY(status) "HTTP/1.1 " status "\r\nETag: \"early\"\r\nRetry-After: 3000\r\n\r\n"
#define OK_TEXT(fields) "HTTP/1.1 200 OK\r\nConnection: close\r\n" fields "\r\n" DOCUMENT

static void check_early(const struct hf_raw_reply *reply, const char *condition)
{
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, reply, 1);
    hf_conn conn;

    start_cache(SHORT_TTL);
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", hf_raw_server_port(server), NULL);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK(hf_raw_server_wait(server, 2, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_raw_server_request(server, 1)[0] != '\0', BOUND_MS));
    if (condition)
        CHECK_STR_CONTAINS(hf_raw_server_request(server, 1), condition);
    else
        CHECK(strstr(hf_raw_server_request(server, 1), "If-None-Match") == NULL);
    plugin->fini();
    hf_raw_server_stop(server);
}

static void test_early_hints(void)
{
    static const struct hf_raw_reply without[] = {
        {HF_RAW_TEXT(EARLY("103 Early Hints") OK_TEXT(""))},
        {HF_RAW_TEXT(EARLY("100 Continue") EARLY("103 Early Hints") OK_TEXT(""))},
    };
    static const struct hf_raw_reply with = {
        HF_RAW_TEXT(EARLY("103 Early Hints") OK_TEXT("ETag: \"x\"\r\n"))};

    check_early(&without[0], NULL);
    check_early(&without[1], NULL);
    check_early(&with, "\r\nIf-None-Match: \"x\"\r\n");
}

static void test_early_retry_after(void)
{
    static const struct hf_raw_reply reply = {
        HF_RAW_TEXT(EARLY("103 Early Hints") "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")};
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, &reply, 1);
    uint16_t port = hf_raw_server_port(server);
    hf_conn conn;

    start_cache("%s", "");
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", port, NULL);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 503);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "retry_after_ms"), 0);
    CHECK_INT_BETWEEN(hf_test_status_int(plugin, "127.0.0.1", port, "next_refresh_ms"), 0, 5000);
    plugin->fini();
    hf_raw_server_stop(server);
}

/* ---- when it is dropped ---- */

static void test_dropped(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_headers(service, "ETag: \"x\"");
    start_cache("linger = 0\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(
        hf_test_reload(plugin, "flags = a, b\nallow_http = loopback\nlinger = 0\nttl = 1h\n"),
        HF_OK);
    ask_now();
    CHECK_STR_EQ(condition_of(service, 1), "\"x\"");
    CHECK_INT_EQ(hf_test_reload(plugin,
                     "flags = a, b\nallow_http = loopback\nlinger = 0\nclient_version = 2.0\n"),
        HF_OK);
    ask_now();
    CHECK_STR_EQ(condition_of(service, 2), NULL);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    plugin->on_disconnect(conn);
    conn = connect_service();
    CHECK(hf_flag_service_wait_requests(service, 4, BOUND_MS));
    CHECK_STR_EQ(condition_of(service, 3), NULL);
    stop_all();
}

/* ---- C67 ---- */

static void test_max_stale(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_headers(service, "ETag: \"x\"");
    hf_flag_service_set_ttl(service, NULL);
    start_cache("ttl_min = 100ms\nttl = 300ms\nmax_stale = 1s\ndefaults = b=on\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 0);
    hf_flag_service_set_status(service, 404); /* 15 minutes: expiry does not wait for them */
    CHECK(HF_WAIT_UNTIL(is_stale(conn), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    CHECK(hf_test_explain(plugin, conn, A).age_ms >= 1300);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).state, HF_STATE_EXPIRED);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_DEFAULT);
    CHECK(member("next_refresh_ms") > 600000);
    hf_flag_service_set_reply(service, &(struct hf_flag_reply){.status = 304, .body = ""});
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS)); /* a 304 brings it back */
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 0);
    hf_flag_service_set_reply(service, NULL);
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STATIC);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C71 an ETag goes back byte by byte, up to 256 bytes", test_forms},
    {"C71 a 304 with or without an ETag: fresh for the TTL of its 200, failures cleared",
        test_renewal},
    {"C71 a 304 to the first request: one full request", test_unconditional},
    {"C62 C71 304 for ever: one request per backoff window", test_304_for_ever},
    {"C62 C71 304 for ever, where connections come and go", test_304_cycles},
    {"C72 the ETag of an error or of no document is not used", test_bad_answers},
    {"C72 nor is that of an answer that breaks off", test_broken_off},
    {"C71 C72 nor is that of a 1xx answer", test_early_hints},
    {"C65 nor is a Retry-After of a 1xx answer", test_early_retry_after},
    {"C71 C84 a reload of what is asked and a new life drop it", test_dropped},
    {"C67 max_stale passes: the default; a later success: fresh", test_max_stale},
};

int main(int argc, char **argv)
{
    return run_tests("etag", tests, COUNT(tests), argc, argv);
}

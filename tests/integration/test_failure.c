/* SPDX-License-Identifier: PostgreSQL
 *
 * What a failing service changes: nothing of what was known before; what explain() says of it; and
 * what others notice of a slow one. When it is asked again: test_backoff.c.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/name_server.h"

#include "tests/support/certs.h"

#define TTL_MS 500
#define REQUEST_TIMEOUT_MS 1500

/* How a service that has worked stops working. */
enum breakage {
    REPLY, /* it sends the reply */
    GONE, /* nobody listens */
    CERT /* it is started again with another certificate */
};

struct failure {
    enum breakage breakage;
    struct hf_flag_reply reply;
    enum hf_cert cert;
    int32_t last_error, http_status;
    const char *word; /* last_error in status() */
};

#define STATUS(code) \
    { \
        .reply = {.status = (code)}, .last_error = HF_FETCH_HTTP, .http_status = (code), \
        .word = "http" \
    }
#define BODY(code, text, error, name) \
    { \
        .reply = {.status = (code), .body = (text), .body_len = sizeof(text) - 1}, \
        .last_error = (error), .http_status = (code), .word = (name) \
    }
#define FAULT(kind, error, code, name) \
    { \
        .reply = {.fault = (kind), .interval_ms = 200}, .last_error = (error), \
        .http_status = (code), .word = (name) \
    }
#define BAD_CERT(kind) \
    { \
        .breakage = CERT, .cert = (kind), .last_error = HF_FETCH_TLS, .word = "tls" \
    }

static const struct failure failures[] = {
    STATUS(400),
    STATUS(404),
    STATUS(500),
    STATUS(503),
    {.reply = {.status = 303, .headers = "Location: http://127.0.0.1:1/"},
        .last_error = HF_FETCH_HTTP,
        .http_status = 303,
        .word = "http"},
    {.breakage = GONE, .last_error = HF_FETCH_CONNECT, .word = "connect"},
    FAULT(HF_FAULT_RESET, HF_FETCH_CONNECT, 0, "connect"),
    FAULT(HF_FAULT_CLOSE, HF_FETCH_CONNECT, 0, "connect"),
    FAULT(HF_FAULT_TRUNCATE, HF_FETCH_CONNECT, 200, "connect"),
    FAULT(HF_FAULT_SILENCE, HF_FETCH_TIMEOUT, 0, "timeout"),
    FAULT(HF_FAULT_DRIP, HF_FETCH_TIMEOUT, 200, "timeout"),
    BAD_CERT(HF_CERT_SELF_SIGNED),
    BAD_CERT(HF_CERT_WRONG_NAME),
    BAD_CERT(HF_CERT_EXPIRED),
};

#define OFF "{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}],\"ttl_seconds\":1}"

/* Failures that come with a value which must not be taken. */
static const struct failure overwrites[] = {
    BODY(500, OFF, HF_FETCH_HTTP, "http"),
    BODY(404, OFF, HF_FETCH_HTTP, "http"),
    BODY(201, OFF, HF_FETCH_HTTP, "http"),
    BODY(200, OFF "garbage", HF_FETCH_PARSE, "parse"),
    BODY(200, "[" OFF "]", HF_FETCH_PARSE, "parse"),
    BODY(200, "{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}", HF_FETCH_PARSE, "parse"),
    BODY(200, "{\"flags\":null}", HF_FETCH_PARSE, "parse"),
    BODY(200, "{}", HF_FETCH_PARSE, "parse"),
    BODY(200, "<html>Please log in</html>", HF_FETCH_PARSE, "parse"),
    {.reply = {.body = OFF OFF, .body_len = 2 * (sizeof(OFF) - 1), .fault = HF_FAULT_TRUNCATE},
        .last_error = HF_FETCH_CONNECT,
        .http_status = 200,
        .word = "connect"},
};

#define FAILURES_MAX 16

static struct {
    struct hf_flag_service *service;
    uint16_t port;
    hf_conn conn;
} hosts[FAILURES_MAX];

static struct hf_certs *certs;

static void start_host(size_t i, const struct failure *failure, enum hf_cert cert, uint16_t port)
{
    struct hf_flag_service_options options = {.port = port};

    if (failure->breakage == CERT) {
        options.cert_file = hf_certs_cert_file(certs, cert);
        options.key_file = hf_certs_key_file(certs);
    }
    hosts[i].service = hf_flag_service_start(&options);
    if (!hosts[i].service)
        abort();
    hosts[i].port = hf_flag_service_port(hosts[i].service);
    hf_flag_service_set_flag(hosts[i].service, "a", true);
    hf_flag_service_set_flag(hosts[i].service, "b", false);
    hf_flag_service_set_ttl(hosts[i].service, NULL);
}

static void break_host(size_t i, const struct failure *failure)
{
    struct hf_flag_reply reply = failure->reply;

    if (failure->breakage == REPLY) {
        reply.interval_ms = hf_wait_slow_ms(reply.interval_ms); /* as request_timeout */
        hf_flag_service_set_reply(hosts[i].service, &reply);
        return;
    }
    hf_flag_service_stop(hosts[i].service);
    hosts[i].service = NULL;
    if (failure->breakage == CERT)
        start_host(i, failure, failure->cert, hosts[i].port);
}

static void connect_host(size_t i, const struct failure *failure)
{
    char name[64];

    snprintf(name, sizeof(name), "%s127.0.0.1:%u", failure->breakage == CERT ? "" : "http://",
        (unsigned)hosts[i].port);
    hosts[i].conn = hf_test_connect(plugin, name);
    CHECK(hosts[i].conn != HF_NO_CONN);
}

static void start_all(const struct failure *rows, size_t count, const char *settings)
{
    certs = hf_certs_create();
    if (!certs)
        abort();
    start_cache("ca_file = %s\nconnect_timeout = %lldms\nrequest_timeout = %lldms\n"
                "defaults = b=on\nttl_min = 100ms\n%s",
        hf_certs_ca_file(certs), (long long)hf_wait_slow_ms(REQUEST_TIMEOUT_MS),
        (long long)hf_wait_slow_ms(REQUEST_TIMEOUT_MS), settings);
    for (size_t i = 0; i < count; i++)
        start_host(i, &rows[i], HF_CERT_GOOD, 0);
}

static void stop_hosts(size_t count)
{
    plugin->fini();
    for (size_t i = 0; i < count; i++) {
        hf_flag_service_stop(hosts[i].service);
        hosts[i].service = NULL;
    }
    hf_certs_destroy(certs);
}

/* ---- a value, then failures ---- */

static bool is_stale_by(size_t i, int32_t last_error)
{
    struct hf_answer answer = hf_test_explain(plugin, hosts[i].conn, A);

    CHECK(plugin->is_enabled(hosts[i].conn, A) == 1); /* before, during, after */
    return answer.state == HF_STATE_STALE && answer.last_error == last_error;
}

static void check_kept(size_t i, const struct failure *failure)
{
    struct hf_answer answer;
    bool ok = CHECK(HF_WAIT_UNTIL(is_stale_by(i, failure->last_error), BOUND_MS));

    answer = hf_test_explain(plugin, hosts[i].conn, A);
    ok = CHECK_INT_EQ(answer.enabled, 1) && ok;
    ok = CHECK_INT_EQ(answer.reason, HF_REASON_STALE) && ok;
    ok = CHECK_INT_EQ(answer.last_error, failure->last_error) && ok;
    ok = CHECK_INT_EQ(answer.http_status, failure->http_status) && ok;
    ok = CHECK(answer.age_ms >= TTL_MS) && ok;
    ok = CHECK_INT_EQ(plugin->is_enabled(hosts[i].conn, B), 0) && ok;
    ok =
        CHECK(hf_test_status_is(plugin, "127.0.0.1", hosts[i].port, "last_error", failure->word)) &&
        ok;
    if (!ok)
        fprintf(stderr, "row %zu\n", i);
}

static void check_all_kept(const struct failure *rows, size_t count)
{
    start_all(rows, count, "ttl = 500ms\n");
    for (size_t i = 0; i < count; i++)
        connect_host(i, &rows[i]);
    for (size_t i = 0; i < count; i++)
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[i].conn, A) == 1, BOUND_MS));
    for (size_t i = 0; i < count; i++)
        break_host(i, &rows[i]);
    for (size_t i = 0; i < count; i++)
        check_kept(i, &rows[i]);
    stop_hosts(count);
}

static void test_value_kept(void)
{
    check_all_kept(failures, COUNT(failures));
}

static void test_value_not_overwritten(void)
{
    check_all_kept(overwrites, COUNT(overwrites));
}

/* ---- no value, and failures ---- */

static void check_unknown(hf_conn conn, int32_t last_error, int32_t http_status, int64_t bound_ms)
{
    struct hf_answer answer;

    CHECK(HF_WAIT_UNTIL(has_failed(conn), bound_ms));
    answer = hf_test_explain(plugin, conn, B);
    CHECK_INT_EQ(answer.enabled, 1);
    CHECK_INT_EQ(answer.reason, HF_REASON_DEFAULT);
    CHECK_INT_EQ(answer.state, HF_STATE_UNKNOWN);
    CHECK_INT_EQ(answer.last_error, last_error);
    CHECK_INT_EQ(answer.http_status, http_status);
    CHECK_INT_EQ(answer.age_ms, -1);
    CHECK(answer.next_refresh_ms >= 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
}

static void check_all_cold(const struct failure *rows, size_t count)
{
    start_all(rows, count, "");
    for (size_t i = 0; i < count; i++) {
        break_host(i, &rows[i]);
        connect_host(i, &rows[i]);
    }
    for (size_t i = 0; i < count; i++) {
        check_unknown(hosts[i].conn, rows[i].last_error, rows[i].http_status, BOUND_MS);
        CHECK(hf_test_status_is(plugin, "127.0.0.1", hosts[i].port, "last_error", rows[i].word));
        CHECK(hf_test_status_is(plugin, "127.0.0.1", hosts[i].port, "state", "unknown"));
    }
    stop_hosts(count);
}

static void test_cold(void)
{
    check_all_cold(failures, COUNT(failures));
    check_all_cold(overwrites, COUNT(overwrites));
}

/* A resolver without network may take its time to give up; that is not the timeout. */
#define RESOLVER_BOUND_MS 100000

static void test_unresolved_name(void)
{
    hf_conn conn;

    if (!hf_name_server_is_covered())
        return hf_test_skip("names would be looked up elsewhere: no mount namespace here");
    start_cache("defaults = b=on\nconnect_timeout = 2min\nrequest_timeout = 2min\n");
    conn = hf_test_connect(plugin, "no-such-host.invalid");
    CHECK(conn != HF_NO_CONN);
    check_unknown(conn, HF_FETCH_DNS, 0, RESOLVER_BOUND_MS);
    CHECK(hf_test_status_is(plugin, "no-such-host.invalid", 443, "last_error", "dns"));
    CHECK(HF_WAIT_UNTIL(
        hf_test_log_count_level(HF_LOG_WARNING, "no-such-host.invalid") == 1, BOUND_MS));
    stop_all();
}

/* ---- slow services ---- */

#define ON_BODY "{\"flags\":{\"a\":true}}"

/* The answer is not let go before the reads have returned. */
static void test_cold_reads(void)
{
    struct gate gate = gate_open();
    hf_conn conns[50];
    int fd;

    start_cache("request_timeout = 5min\n");
    for (size_t i = 0; i < COUNT(conns); i++)
        conns[i] = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    for (size_t i = 0; i < 1000; i++)
        CHECK_INT_EQ(plugin->is_enabled(conns[i % COUNT(conns)], A), 0);
    CHECK_INT_EQ(gate_try(&gate), -1);
    gate_answer(fd, ON_BODY);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conns[0], A) == 1, BOUND_MS));
    for (size_t i = 0; i < COUNT(conns); i++)
        CHECK_INT_EQ(plugin->is_enabled(conns[i], A), 1);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(gate_try(&gate), -1);
    stop_all();
    gate_close(&gate);
}

static void test_stale_reads(void)
{
    struct gate gate = gate_open();
    struct hf_answer answer;
    hf_conn conn;
    int fd;

    start_cache("request_timeout = 5min\nttl_min = 100ms\nttl = 200ms\n");
    conn = hf_test_connect(plugin, gate.url);
    gate_answer(gate_take(&gate), ON_BODY);
    fd = gate_take(&gate);
    CHECK(HF_WAIT_UNTIL(is_stale(conn), BOUND_MS));
    for (int i = 0; i < 1000; i++)
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.reason, HF_REASON_STALE);
    CHECK_INT_EQ(answer.last_error, HF_FETCH_OK);
    CHECK_INT_EQ(answer.next_refresh_ms, 0);
    CHECK_INT_EQ(gate_try(&gate), -1);
    gate_answer(fd, "{\"flags\":{\"a\":false}}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    stop_all();
    gate_close(&gate);
}

/* While a request is held, another host is refreshed, and everybody may ask anything. */
static void test_slow_host(void)
{
    struct gate gate = gate_open();
    struct pacer pacer;
    hf_conn conn, other;
    int fd;

    start_cache("request_timeout = 5min\nttl_min = 100ms\nttl = 100ms\n");
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    pacer = pacer_start();
    CHECK(pacer_passes(&pacer, 10));
    other = hf_test_connect(plugin, gate.url);
    CHECK_INT_EQ(hf_test_explain(plugin, other, A).next_refresh_ms, 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", gate_port(&gate), "references"), 2);
    plugin->on_disconnect(other);
    CHECK_INT_EQ(plugin->refresh(gate.url), HF_OK); /* being asked */
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
    CHECK(pacer_passes(&pacer, 3));
    CHECK_INT_EQ(gate_try(&gate), -1);
    gate_answer(fd, ON_BODY);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    pacer_stop(&pacer);
    stop_all();
    gate_close(&gate);
}

static void test_not_stuck(void)
{
    static const struct failure rows[] = {
        FAULT(HF_FAULT_RESET, HF_FETCH_CONNECT, 0, "connect"),
        FAULT(HF_FAULT_CLOSE, HF_FETCH_CONNECT, 0, "connect"),
        FAULT(HF_FAULT_TRUNCATE, HF_FETCH_CONNECT, 200, "connect"),
        FAULT(HF_FAULT_SILENCE, HF_FETCH_TIMEOUT, 0, "timeout"),
    };
    struct hf_answer answer;

    start_all(rows, COUNT(rows), "");
    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_flag_service_script(hosts[i].service, &rows[i].reply, 1);
        connect_host(i, &rows[i]);
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));
        answer = hf_test_explain(plugin, hosts[i].conn, A);
        CHECK_INT_BETWEEN(answer.next_refresh_ms, 0, 5000);
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[i].conn, A) == 1, BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, hosts[i].conn, A).last_error, HF_FETCH_OK);
        CHECK_INT_EQ(hf_flag_service_count(hosts[i].service), 2);
    }
    stop_hosts(COUNT(rows));
}

static const struct hf_test tests[] = {
    {"C52 reads of a cold host return before its answer; one request", test_cold_reads},
    {"C53 reads of a stale host return the last value before its answer", test_stale_reads},
    {"C54 a slow host delays no other", test_slow_host},
    {"C55 after an abnormal end the next request is planned", test_not_stuck},
    {"C59 a value, then any failure: the value stays", test_value_kept},
    {"C60 no value, any failure: the default, and explain names the error", test_cold},
    {"C60 a name that cannot be resolved: the default, dns", test_unresolved_name},
    {"C64 a failure's body never overwrites a value", test_value_not_overwritten},
};

int main(int argc, char **argv)
{
    return run_tests("failure", tests, COUNT(tests), argc, argv);
}

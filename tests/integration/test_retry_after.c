/* SPDX-License-Identifier: PostgreSQL
 *
 * Services that say when to come back, and services that say that they do not want us.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/raw_server.h"
#include "tests/support/tmpdir.h"

#include <time.h>

#define FIRST_BACKOFF_MS 5000 /* at most */
#define HOUR_MS 3600000

/* A service that answers in one way, and a connection to it. */
struct host {
    struct hf_flag_service *service;
    hf_conn conn;
};

static struct host start_host(unsigned status, const char *headers)
{
    struct host host = {.service = hf_flag_service_start(NULL)};
    struct hf_flag_reply reply = {.status = status, .body = "", .headers = headers};

    if (!host.service)
        abort();
    hf_flag_service_set_reply(host.service, &reply);
    host.conn = hf_test_connect(plugin, hf_flag_service_url(host.service));
    return host;
}

static int64_t host_member(const struct host *host, const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", hf_flag_service_port(host->service), name);
}

/* ---- one request within the time ---- */

#define READS 200
#define CYCLES 50

static void start_refused(const char *settings, unsigned status, const char *headers)
{
    const struct hf_flag_reply reply = {.status = status, .body = "", .headers = headers};

    start_service();
    hf_flag_service_set_reply(service, &reply);
    start_cache("%s", settings);
}

static void check_one_request(void)
{
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    CHECK(HF_STAYS(requests() == 1, 1000));
}

static void check_reads(unsigned status)
{
    hf_conn conn;
    struct hf_answer answer;
    int64_t since_ms = hf_wait_now_ms();

    start_refused("defaults = b=on\n", status, "Retry-After: 60");
    conn = connect_service();
    for (int i = 0; i < READS; i++)
        CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    for (int i = 0; i < READS; i++)
        CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    answer = hf_test_explain(plugin, conn, B);
    CHECK_INT_EQ(answer.http_status, (int)status);
    CHECK_INT_EQ(answer.last_error, HF_FETCH_HTTP);
    CHECK(answer.next_refresh_ms + (hf_wait_now_ms() - since_ms) >= 60000);
    CHECK(answer.next_refresh_ms <= 90000);
    check_one_request();
    stop_all();
}

static void test_reads(void)
{
    check_reads(429);
    check_reads(503);
}

/* Nobody holds the host in between, and the last one sees what is left of the wait. */
static void check_cycles(const char *settings, unsigned status)
{
    int64_t since_ms = hf_wait_now_ms();
    hf_conn conn;

    start_refused(settings, status, "Retry-After: 60");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    for (int i = 0; i < CYCLES; i++) {
        conn = connect_service();
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
        plugin->on_disconnect(conn);
    }
    conn = connect_service();
    CHECK(worker_has_moved_on());
    CHECK(member("retry_after_ms") + (hf_wait_now_ms() - since_ms) >= 60000);
    CHECK(member("next_refresh_ms") >= member("retry_after_ms"));
    check_one_request();
    stop_all();
}

static void test_cycles(void)
{
    check_cycles("linger = 0\n", 429);
    check_cycles("linger = 0\n", 503);
    check_cycles("", 429);
}

/* The connection has gone before its answer comes. */
static void test_cycles_in_flight(void)
{
    const struct hf_flag_reply reply = {
        .status = 429, .body = "", .headers = "Retry-After: 60", .delay_ms = 300};
    hf_conn conn;

    start_service();
    hf_flag_service_set_reply(service, &reply);
    start_cache("linger = 0\n");
    for (int i = 0; i < CYCLES; i++) {
        conn = connect_service();
        CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
        plugin->on_disconnect(conn);
    }
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK(member("retry_after_ms") > 0);
    check_one_request();
    stop_all();
}

/* ---- its forms ---- */

/* The Date header of these services is years off; only the difference counts. */
#define PAST "Date: Sun, 06 Nov 1994 08:49:37 GMT\n"
#define FUTURE "Date: Mon, 01 Jan 2035 12:00:00 GMT\n"

struct form {
    unsigned status;
    const char *headers;
    int64_t wait_ms; /* 0: ignored, backoff alone */
};

static const struct form forms[] = {
    {429, "Retry-After: 600", 600000},
    {503, "Retry-After: 600", 600000},
    {429, "retry-after:  600  ", 600000},
    {429, "Retry-After: 5\nRetry-After: 600", 600000},
    {429, PAST "Retry-After: Sun, 06 Nov 1994 08:59:37 GMT", 600000},
    {429, PAST "Retry-After: Sunday, 06-Nov-94 08:59:37 GMT", 600000},
    {503, PAST "Retry-After: Sun Nov  6 08:59:37 1994", 600000},
    {429, PAST "Retry-After: 1994-11-06T08:59:37Z", 600000},
    {429, FUTURE "Retry-After: Mon, 01 Jan 2035 12:10:00 GMT", 600000},
    {503, FUTURE "Retry-After: 2035-01-01T12:10:00Z", 600000},
    {429, FUTURE "Retry-After: 2035-01-01T13:09:59.5+01:00", 600000},
    {429, FUTURE "Retry-After: 2035-01-01t04:10:00-08:00", 600000},
    {429, "Retry-After: 3600", HOUR_MS},
    {429, "Retry-After: 7200", HOUR_MS},
    {503, "Retry-After: 99999999999999999999999", HOUR_MS},
    {429, PAST "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", HOUR_MS},
    {429, "Retry-After: 0", 0},
    {429, "Retry-After: -600", 0},
    {429, "Retry-After: 600.5", 0},
    {429, "Retry-After: 600s", 0},
    {429, "Retry-After: soon", 0},
    {429, "Retry-After: 2035-13-01T00:00:00Z", 0},
    {429, "Retry-After: Thu, 99 Foo 2035 00:00:00 GMT", 0},
    {429, PAST "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {429, FUTURE "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT", 0},
    {429, "X-Retry-After: 600", 0},
    {429, "X-Other: 1", 0},
    {500, "Retry-After: 600", 0},
    {502, "Retry-After: 600", 0},
    {400, "Retry-After: 600", 0},
};

/* since_ms: before it was asked. */
static bool check_wait(const struct host *host, int64_t wait_ms, int64_t since_ms)
{
    int64_t left_ms = host_member(host, "retry_after_ms");
    int64_t next_ms = host_member(host, "next_refresh_ms");
    int64_t passed_ms = hf_wait_now_ms() - since_ms;

    if (wait_ms == 0)
        return CHECK_INT_EQ(left_ms, 0) && CHECK_INT_BETWEEN(next_ms, 0, FIRST_BACKOFF_MS);
    return CHECK_INT_BETWEEN(left_ms, wait_ms - passed_ms, wait_ms) &&
        CHECK_INT_BETWEEN(
            next_ms, wait_ms - passed_ms, wait_ms == HOUR_MS ? HOUR_MS : wait_ms * 3 / 2);
}

static void test_forms(void)
{
    static struct host hosts[COUNT(forms)];
    int64_t since_ms = hf_wait_now_ms();

    start_cache("%s", "");
    for (size_t i = 0; i < COUNT(forms); i++)
        hosts[i] = start_host(forms[i].status, forms[i].headers);
    for (size_t i = 0; i < COUNT(forms); i++) {
        CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));
        if (!check_wait(&hosts[i], forms[i].wait_ms, since_ms))
            fprintf(stderr, "%u, %s\n", forms[i].status, forms[i].headers);
    }
    plugin->fini();
    for (size_t i = 0; i < COUNT(forms); i++)
        hf_flag_service_stop(hosts[i].service);
}

/* Without a Date the clock here counts. */
static void test_no_date(void)
{
    time_t until = time(NULL) + 600;
    int64_t since_ms = hf_wait_now_ms(), left_ms;
    struct hf_raw_server *server;
    struct hf_raw_reply reply = {0};
    char text[256], date[64];
    struct tm tm;
    hf_conn conn;

    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&until, &tm));
    reply.len = (size_t)snprintf(text, sizeof(text),
        "HTTP/1.1 429 Slow Down\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    reply.bytes = text;
    server = hf_raw_server_start(NULL, 0, &reply, 1);
    start_cache("%s", "");
    conn = hf_test_connect_to(plugin, "http://127.0.0.1", hf_raw_server_port(server), NULL);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    left_ms = hf_test_status_int(plugin, "127.0.0.1", hf_raw_server_port(server), "retry_after_ms");
    CHECK_INT_BETWEEN(left_ms, 600000 - 1000 - (hf_wait_now_ms() - since_ms), 600000);
    plugin->fini();
    hf_raw_server_stop(server);
}

/* ---- nobody shortens it ---- */

static void test_refresh_and_reload(void)
{
    int64_t since_ms = hf_wait_now_ms();
    hf_conn conn;

    start_refused("", 429, "Retry-After: 600");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    /* A second after the request it is Retry-After alone that refuses. */
    CHECK(HF_STAYS(plugin->refresh(hf_flag_service_url(service)) == HF_E_TOO_SOON, 1500));
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_TOO_SOON);
    CHECK_INT_EQ(hf_test_reload(plugin,
                     "flags = a, b\nallow_http = loopback\nclient = OTHER\nttl = 1s\n"
                     "ttl_min = 100ms\nmax_stale = 1s\n"),
        HF_OK);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(plugin->refresh(hf_flag_service_url(service)), HF_E_TOO_SOON);
    CHECK(member("retry_after_ms") + (hf_wait_now_ms() - since_ms) >= 600000);
    CHECK(member("next_refresh_ms") >= member("retry_after_ms"));
    check_one_request();
    stop_all();
}

static void test_over(void)
{
    hf_conn conn;

    start_refused("", 429, "Retry-After: 3");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    hf_flag_service_set_reply(service, NULL);
    CHECK(HF_WAIT_UNTIL(
        requests() == 2 || plugin->refresh(hf_flag_service_url(service)) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(asked_ms(1) - asked_ms(0) >= 3000);
    CHECK_INT_EQ(member("retry_after_ms"), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

/* ---- who is not wanted ---- */

static void test_refusals(void)
{
    static const unsigned statuses[] = {401, 403, 404};
    struct host hosts[COUNT(statuses)];
    int64_t since_ms = hf_wait_now_ms();

    start_cache("%s", "");
    for (size_t i = 0; i < COUNT(statuses); i++)
        hosts[i] = start_host(statuses[i], "Retry-After: 1");
    for (size_t i = 0; i < COUNT(statuses); i++) {
        CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));
        CHECK_INT_BETWEEN(host_member(&hosts[i], "next_refresh_ms"),
            900000 - (hf_wait_now_ms() - since_ms), 990000);
        CHECK_INT_EQ(host_member(&hosts[i], "requests"), 1);
    }
    plugin->fini();
    for (size_t i = 0; i < COUNT(statuses); i++)
        hf_flag_service_stop(hosts[i].service);
}

/* Under allow_http = any no token goes out over http. That its file can be read all the same is no
 * change of the token. */
static void test_withheld_token(void)
{
    char *directory = hf_tmpdir_create(), *file;
    hf_conn conn;

    if (!directory)
        abort();
    file = hf_tmpdir_write(directory, "127.0.0.1", "not-for-http");
    start_refused("", 401, NULL);
    CHECK_INT_EQ(hf_test_reload(
                     plugin, "flags = a, b\nallow_http = any\ntoken_file = %s/{host}\n", directory),
        HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK(hf_flag_request_header(hf_flag_service_request(service, 0), "Authorization") == NULL);
    CHECK(HF_STAYS(requests() == 1, 4000)); /* longer than from one look to the next */
    CHECK(member("next_refresh_ms") > 600000);
    stop_all();
    free(file);
    hf_tmpdir_remove(directory);
}

static const struct hf_test tests[] = {
    {"C61 200 reads against 429 or 503 with Retry-After: 60: one request", test_reads},
    {"C61 50 connections that come and go: one request", test_cycles},
    {"C61 50 connections that are gone before the answer: one request", test_cycles_in_flight},
    {"C65 seconds, HTTP dates and RFC 3339, capped at 1 h; nonsense, the past, other statuses",
        test_forms},
    {"C65 a date without a Date header counts by the clock here", test_no_date},
    {"C65 C84 neither refresh nor reload shortens it", test_refresh_and_reload},
    {"C63 C65 when it is over, refresh asks, and all is well", test_over},
    {"C66 401, 403, 404: asked again after 15 minutes", test_refusals},
    {"C33 C62 C66 a token that is withheld is rejected once, not each second", test_withheld_token},
};

int main(int argc, char **argv)
{
    return run_tests("retry_after", tests, COUNT(tests), argc, argv);
}

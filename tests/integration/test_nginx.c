/* SPDX-License-Identifier: PostgreSQL
 *
 * A real web server as the flag service: its own ETags, gzip, rate limit.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/nginx.h"

static const char on_document[] =
    "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}],\"ttl_seconds\":1}";
static const char off_document[] =
    "{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}],\"ttl_seconds\":1}";

static hf_conn connect_nginx(const struct hf_nginx *nginx)
{
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", hf_nginx_port(nginx));
    return hf_test_connect(plugin, url);
}

static int64_t nginx_member(const struct hf_nginx *nginx, const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", hf_nginx_port(nginx), name);
}

/* The i-th line of the log, from 0, for the caller to free; NULL: there are not so many. */
static char *log_line(struct hf_nginx *nginx, size_t i)
{
    char *log = hf_nginx_log(nginx), *rest = log, *line = NULL, *found = NULL;

    for (size_t n = 0; n <= i && rest; n++)
        line = strsep(&rest, "\n");
    if (rest && line) /* a whole line */
        found = strdup(line);
    free(log);
    return found;
}

/* A field of that line, from 0, for the caller to free. */
static char *log_field(struct hf_nginx *nginx, size_t line, size_t i)
{
    char *text = NULL, *rest, *field = NULL;

    CHECK(HF_WAIT_UNTIL((text = log_line(nginx, line)) != NULL, BOUND_MS));
    rest = text;
    for (size_t n = 0; n <= i && rest; n++)
        field = strsep(&rest, "|");
    field = strdup(field ? field : "");
    free(text);
    return field;
}

enum { PROTOCOL, STATUS, IF_NONE_MATCH, ACCEPT_ENCODING, ETAG, CONTENT_ENCODING };

static void check_field(struct hf_nginx *nginx, size_t line, size_t i, const char *expected)
{
    char *field = log_field(nginx, line, i);

    CHECK_STR_EQ(field, expected);
    free(field);
}

static void test_etag(void)
{
    struct hf_nginx *nginx = hf_nginx_start(&(struct hf_nginx_options){.listen = NULL});
    int64_t requests_before;
    hf_conn conn;
    char *etag;

    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, on_document);
    start_cache("ttl_min = 1s\n");
    conn = connect_nginx(nginx);
    CHECK(HF_WAIT_UNTIL(nginx_member(nginx, "not_modified") >= 2, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK(is_known(conn) || is_stale(conn));
    CHECK_INT_EQ(nginx_member(nginx, "failures"), 0);
    CHECK_INT_EQ(nginx_member(nginx, "http_status"), 304);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_OK);
    check_field(nginx, 0, STATUS, "200");
    check_field(nginx, 0, IF_NONE_MATCH, "-");
    etag = log_field(nginx, 0, ETAG);
    CHECK_INT_EQ(etag[0], '\\'); /* of \x22: nginx writes quotes so */
    for (size_t i = 1; i <= 2; i++) {
        check_field(nginx, i, STATUS, "304");
        check_field(nginx, i, IF_NONE_MATCH, etag);
    }
    free(etag);

    requests_before = nginx_member(nginx, "requests");
    hf_nginx_write(nginx, off_document);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    CHECK(nginx_member(nginx, "requests") > requests_before);
    plugin->fini();
    hf_nginx_stop(nginx);
}

static void test_gzip(void)
{
    struct hf_nginx *nginx = hf_nginx_start(&(struct hf_nginx_options){.server = "gzip on;"});
    char *accepted;
    hf_conn conn;

    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, on_document);
    start_cache("%s", "");
    conn = connect_nginx(nginx);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    check_field(nginx, 0, CONTENT_ENCODING, "gzip");
    accepted = log_field(nginx, 0, ACCEPT_ENCODING);
    CHECK_STR_CONTAINS(accepted, "gzip");
    free(accepted);
    plugin->fini();
    hf_nginx_stop(nginx);
}

/* Compressing makes nginx's ETags weak, W/"...": they come back as they are, over HTTP/1.1 and
 * HTTP/2. */
static void check_weak_etag(const struct hf_nginx_options *options, const char *more,
    const char *scheme, const char *protocol)
{
    struct hf_nginx *nginx = hf_nginx_start(options);
    char url[64], *etag;
    hf_conn conn;

    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, on_document);
    start_cache("ttl_min = 1s\n%s", more);
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scheme, hf_nginx_port(nginx));
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(nginx_member(nginx, "not_modified") >= 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(nginx_member(nginx, "failures"), 0);
    check_field(nginx, 0, PROTOCOL, protocol);
    check_field(nginx, 0, CONTENT_ENCODING, "gzip");
    etag = log_field(nginx, 0, ETAG);
    CHECK(strncmp(etag, "W/", 2) == 0);
    check_field(nginx, 1, STATUS, "304");
    check_field(nginx, 1, IF_NONE_MATCH, etag);
    free(etag);
    plugin->fini();
    hf_nginx_stop(nginx);
}

static void test_weak_etag(void)
{
    struct hf_certs *certs = hf_certs_create();
    struct hf_nginx_options options = {.server = "gzip on;"};
    char server[1024], line[512];

    check_weak_etag(&options, "", "http", "HTTP/1.1");
    snprintf(server, sizeof(server), "gzip on; ssl_certificate %s; ssl_certificate_key %s;",
        hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs));
    snprintf(line, sizeof(line), "ca_file = %s\n", hf_certs_ca_file(certs));
    options.listen = "ssl http2";
    options.server = server;
    check_weak_etag(&options, line, "https", "HTTP/2.0");
    hf_certs_destroy(certs);
}

/* The first request passes; the next ones are too many, and say nothing new. */
static void test_rate_limit(void)
{
    struct hf_nginx *nginx = hf_nginx_start(&(struct hf_nginx_options){
        .http = "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m; limit_req_status 429;",
        .server = "limit_req zone=z; add_header Retry-After 60 always;"});
    int64_t requests_then;
    hf_conn conn;

    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, on_document);
    start_cache("ttl_min = 1s\n");
    conn = connect_nginx(nginx);
    CHECK(HF_WAIT_UNTIL(nginx_member(nginx, "http_status") == 429, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    requests_then = nginx_member(nginx, "requests");
    CHECK_INT_BETWEEN(nginx_member(nginx, "retry_after_ms"), 1, 60000);
    CHECK_INT_BETWEEN(nginx_member(nginx, "next_refresh_ms"), 20000, 90000); /* no plain backoff */
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_TOO_SOON);
    CHECK(HF_STAYS(nginx_member(nginx, "requests") == requests_then, 1500));
    CHECK(HF_WAIT_UNTIL(is_stale(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    plugin->fini();
    hf_nginx_stop(nginx);
}

/* No document, then one; the server restarts in between. */
static void test_restart(void)
{
    struct hf_nginx *nginx = hf_nginx_start(&(struct hf_nginx_options){.listen = NULL});
    struct hf_nginx_options again = {.listen = NULL};
    hf_conn conn;

    if (!CHECK(nginx != NULL))
        return;
    again.port = hf_nginx_port(nginx);
    start_cache("ttl_min = 1s\n");
    conn = connect_nginx(nginx);
    CHECK(HF_WAIT_UNTIL(nginx_member(nginx, "http_status") == 404, BOUND_MS));
    CHECK_INT_BETWEEN(nginx_member(nginx, "next_refresh_ms"), 14 * 60 * 1000, 17 * 60 * 1000);
    hf_nginx_stop(nginx);

    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS)); /* a second after the last */
    CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, A).last_error == HF_FETCH_CONNECT, BOUND_MS));
    nginx = hf_nginx_start(&again);
    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, on_document);
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS)); /* after its backoff */
    CHECK_INT_EQ(nginx_member(nginx, "failures_in_a_row"), 0);
    plugin->fini();
    hf_nginx_stop(nginx);
}

static const struct hf_test tests[] = {
    {"C71 nginx: its ETags come back to it byte by byte, and 304 keeps the values", test_etag},
    {"C42 nginx: a compressed document", test_gzip},
    {"C71 nginx: weak ETags of compressed documents, HTTP/2 included", test_weak_etag},
    {"C61 C65 nginx: 429 by limit_req, and nobody asks before its time", test_rate_limit},
    {"C63 C66 nginx: 404, down, and back", test_restart},
};

int main(int argc, char **argv)
{
    return run_tests("nginx", tests, COUNT(tests), argc, argv);
}

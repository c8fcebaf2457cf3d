/* SPDX-License-Identifier: PostgreSQL
 *
 * nginx as the other tests use it: does it serve, log and fail as they expect?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/certs.h"
#include "tests/support/exchange.h"
#include "tests/support/fds.h"
#include "tests/support/nginx.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000
#define OF_HOST " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
#define GET "GET /any/path" OF_HOST

static const char document[] = "{\"flags\":[],\"ttl_seconds\":900}";

static struct hf_nginx *start(const struct hf_nginx_options *options)
{
    struct hf_nginx *nginx = hf_nginx_start(options);

    CU_ASSERT_PTR_NOT_NULL_FATAL(nginx);
    hf_nginx_write(nginx, document);
    return nginx;
}

/* The answer to a request with further header lines (or ""), for the caller to free. */
static char *get(struct hf_nginx *nginx, const char *headers)
{
    char request[512], *text;

    snprintf(request, sizeof(request), GET "%s\r\n", headers);
    text = hf_exchange(hf_nginx_port(nginx), request);
    return text ? text : strdup("");
}

static bool log_is(struct hf_nginx *nginx, const char *expected)
{
    char *log = hf_nginx_log(nginx);
    bool same = strcmp(log, expected) == 0;

    free(log);
    return same;
}

/* The value of its ETag without quotes; "": none. */
static void read_etag(const char *answer, char etag[64])
{
    const char *at = strstr(answer, "\r\nETag: \"");

    snprintf(etag, 64, "%.*s", at ? (int)strcspn(at + 9, "\"") : 0, at ? at + 9 : "");
}

static void test_etag_and_log(void)
{
    struct hf_nginx *nginx = start(&(struct hf_nginx_options){.port = 0});
    char *text = get(nginx, ""), etag[64], other[64], header[128], log[512];

    CHECK_STR_CONTAINS(text, "HTTP/1.1 200 OK\r\n");
    CHECK_STR_CONTAINS(text, "\r\nContent-Type: application/json\r\n");
    CHECK_STR_CONTAINS(text, "\r\n\r\n{\"flags\":[],\"ttl_seconds\":900}");
    read_etag(text, etag);
    CHECK(strlen(etag) > 0);
    free(text);

    snprintf(header, sizeof(header), "If-None-Match: \"%s\"\r\n", etag);
    text = get(nginx, header);
    CHECK_STR_CONTAINS(text, "HTTP/1.1 304 Not Modified\r\n");
    CHECK(strstr(text, "flags") == NULL);
    free(text);

    snprintf(log, sizeof(log),
        "HTTP/1.1|200|-|-|\\x22%s\\x22|-\nHTTP/1.1|304|\\x22%s\\x22|-|\\x22%s\\x22|-\n", etag, etag,
        etag);
    CHECK(HF_WAIT_UNTIL(log_is(nginx, log), BOUND_MS));

    hf_nginx_write(nginx, "{\"flags\":[]}");
    text = get(nginx, header);
    CHECK_STR_CONTAINS(text, "HTTP/1.1 200 OK\r\n");
    CHECK_STR_CONTAINS(text, "\r\n\r\n{\"flags\":[]}");
    read_etag(text, other);
    CHECK(strcmp(etag, other) != 0);
    free(text);
    hf_nginx_stop(nginx);
}

static void test_directives(void)
{
    struct hf_nginx *nginx = start(&(struct hf_nginx_options){
        .http = "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m; limit_req_status 429;",
        .server =
            "gzip on; location = /limited { limit_req zone=z; try_files /flags.json =404; }"});
    static const char *const statuses[] = {"HTTP/1.1 200 ", "HTTP/1.1 429 "};
    char *text = get(nginx, "Accept-Encoding: gzip\r\n");

    CHECK_STR_CONTAINS(text, "\r\nContent-Encoding: gzip\r\n");
    CHECK_STR_CONTAINS(text, "\r\nETag: W/\""); /* nginx weakens it */
    CHECK(HF_WAIT_UNTIL(
        (free(text), text = hf_nginx_log(nginx), strstr(text, "|gzip|W/") != NULL), BOUND_MS));
    CHECK_STR_CONTAINS(text, "HTTP/1.1|200|-|gzip|W/\\x22");
    CHECK_STR_CONTAINS(text, "\\x22|gzip\n");
    free(text);
    for (size_t i = 0; i < 2; i++) {
        text = hf_exchange(hf_nginx_port(nginx), "GET /limited" OF_HOST "\r\n");
        CHECK_STR_CONTAINS(text, statuses[i]);
        free(text);
    }
    hf_nginx_stop(nginx);
}

static void test_tls_and_http2(void)
{
    static const struct {
        const char *listen;
        bool http2;
    } rows[] = {{"ssl", false}, {"ssl http2", true}};
    struct hf_certs *certs = hf_certs_create();
    char server[512], arguments[512], address[64];

    CU_ASSERT_PTR_NOT_NULL_FATAL(certs);
    snprintf(server, sizeof(server), "ssl_certificate %s; ssl_certificate_key %s;",
        hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs));
    snprintf(
        arguments, sizeof(arguments), "-CAfile %s -verify_return_error", hf_certs_ca_file(certs));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_nginx *nginx =
            start(&(struct hf_nginx_options){.listen = rows[i].listen, .server = server});
        const char *const offer[] = {
            "openssl", "s_client", "-connect", address, "-alpn", "h2,http/1.1", NULL};
        int status;
        char *text = hf_exchange_tls(hf_nginx_port(nginx), GET "\r\n", arguments, &status);

        CHECK_INT_EQ(status, 0);
        CHECK_STR_CONTAINS(text, document);
        free(text);
        snprintf(address, sizeof(address), "127.0.0.1:%u", hf_nginx_port(nginx));
        hf_process_run(offer, BOUND_MS, &text);
        CHECK_STR_CONTAINS(
            text, rows[i].http2 ? "ALPN protocol: h2\n" : "ALPN protocol: http/1.1\n");
        free(text);
        hf_nginx_stop(nginx);
    }
    hf_certs_destroy(certs);
}

/* Told at once, and no other server at that port is taken for ours. */
static void test_failures(void)
{
    struct hf_nginx *nginx = start(&(struct hf_nginx_options){.port = 0});
    struct hf_nginx_options taken = {.port = hf_nginx_port(nginx)};
    struct hf_nginx_options wrong = {.server = "no_such_directive on;"};

    CHECK(hf_nginx_start(&wrong) == NULL);
    CHECK(hf_nginx_start(&taken) == NULL);
    hf_nginx_stop(nginx);
}

/* One after the other on the same port: the first is gone when stop returns. */
static void test_stop(void)
{
    int fds = hf_fds_count(0);
    struct hf_nginx_options options = {.port = 0};
    struct hf_nginx *nginx = start(&options);
    char *text = get(nginx, "");

    CHECK_STR_CONTAINS(text, document);
    free(text);
    options.port = hf_nginx_port(nginx);
    hf_nginx_stop(nginx);
    text = hf_exchange(options.port, GET "\r\n");
    CHECK_STR_EQ(text, NULL);
    free(text);
    nginx = start(&options);
    text = get(nginx, "");
    CHECK_STR_CONTAINS(text, document);
    free(text);
    hf_nginx_stop(nginx);
    CHECK_INT_EQ(hf_fds_count(0), fds);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"nginx: a document, its ETag, the log", test_etag_and_log},
        {"nginx: directives of the test", test_directives},
        {"nginx: TLS, with HTTP/2 and without", test_tls_and_http2},
        {"nginx: a bad configuration, a port that is taken", test_failures},
        {"nginx: stops, starts again, leaves no descriptor", test_stop},
    };

    return hf_suite_run("support nginx", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

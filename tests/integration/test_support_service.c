/* SPDX-License-Identifier: PostgreSQL
 *
 * The flag service as the tests of a careful client need it: client certificates, old TLS, ETags.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/certs.h"
#include "tests/support/exchange.h"
#include "tests/support/flag_service.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BOUND_MS 20000
#define GET "GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

static struct hf_certs *certs;

static struct hf_flag_service *start(const char *client_ca, const char *priority)
{
    return hf_flag_service_start(
        &(struct hf_flag_service_options){.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
            .key_file = hf_certs_key_file(certs),
            .client_ca_file = client_ca,
            .tls_priority = priority});
}

/* What openssl and the service said to each other, with further arguments for openssl. */
__attribute__((format(printf, 3, 4))) static char *ask(
    struct hf_flag_service *service, int *status, const char *format, ...)
{
    char more[1024], arguments[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof(more), format, args);
    va_end(args);
    snprintf(arguments, sizeof(arguments), "-CAfile %s -verify_return_error %s",
        hf_certs_ca_file(certs), more);
    return hf_exchange_tls(hf_flag_service_port(service), GET "\r\n", arguments, status);
}

static void test_client_certificates(void)
{
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};
    const struct {
        const char *certificate; /* NULL: none */
        bool good;
        const char *says;
    } rows[] = {
        {hf_certs_client_file(certs), true, "\"ttl_seconds\":900"},
        {hf_certs_untrusted_client_file(certs), false, "alert unknown ca"},
        {hf_certs_cert_file(certs, HF_CERT_SELF_SIGNED), false, "alert unknown ca"},
        {NULL, false, "alert handshake failure"},
    };
    struct hf_flag_service *service = start(hf_certs_ca_file(certs), NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    for (size_t i = 0; i < COUNT(versions) * COUNT(rows); i++) {
        size_t row = i % COUNT(rows);
        int status;
        char *text = ask(service, &status, rows[row].certificate ? "%s -cert %s -key %s" : "%s",
            versions[i / COUNT(rows)], rows[row].certificate, hf_certs_key_file(certs));

        CHECK_INT_EQ(status == 0, rows[row].good);
        if (i < COUNT(rows) || rows[row].good) /* in TLS 1.3 a reset may outrun the alert */
            CHECK_STR_CONTAINS(text, rows[row].says);
        CHECK_INT_EQ(strstr(text, "HTTP/1.1 200 OK") != NULL, rows[row].good);
        CHECK_INT_EQ(hf_flag_service_count(service), i / COUNT(rows) + 1);
        free(text);
    }
    hf_flag_service_stop(service);
}

/* The untrusted certificate is sound: it is only its authority that is another one. */
static void test_certificates_of_clients(void)
{
    const char *const trusted[] = {"openssl", "verify", "-purpose", "sslclient", "-CAfile",
        hf_certs_ca_file(certs), hf_certs_client_file(certs), NULL};
    const char *const untrusted[] = {"openssl", "verify", "-purpose", "sslclient", "-CAfile",
        hf_certs_ca_file(certs), hf_certs_untrusted_client_file(certs), NULL};
    const char *const issuer[] = {"openssl", "x509", "-noout", "-issuer", "-checkend", "0", "-in",
        hf_certs_untrusted_client_file(certs), NULL};
    char *output;

    CHECK_INT_EQ(hf_process_run(trusted, BOUND_MS, NULL), 0);
    CHECK(hf_process_run(untrusted, BOUND_MS, NULL) > 0);
    CHECK_INT_EQ(hf_process_run(issuer, BOUND_MS, &output), 0);
    CHECK_STR_CONTAINS(output, "CN = Test authority");
    free(output);
}

static void test_old_tls(void)
{
    static const char old[] = "-cipher ALL:@SECLEVEL=0";
    static const struct {
        const char *version;
        bool good;
    } rows[] = {{"-tls1", false}, {"-tls1_1", true}, {"-tls1_2", false}, {"-tls1_3", false}};
    struct hf_flag_service *service = start(NULL, HF_TLS_1_1_ONLY);
    struct hf_flag_service *other = start(NULL, NULL);
    int status;

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = ask(service, &status, "%s %s", rows[i].version, old);

        CHECK_INT_EQ(status == 0, rows[i].good);
        CHECK_INT_EQ(strstr(text, "HTTP/1.1 200 OK") != NULL, rows[i].good);
        free(text);
    }
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    free(ask(service, &status, "%s", "")); /* openssl as it is does not stoop to it */
    CHECK(status != 0);
    free(ask(other, &status, "%s", ""));
    CHECK_INT_EQ(status, 0);
    hf_flag_service_stop(service);
    hf_flag_service_stop(other);
}

static void test_bad_tls_options(void)
{
    CHECK(start("/no/such/file", NULL) == NULL);
    CHECK(start(NULL, "NO-SUCH-PRIORITY") == NULL);
}

/* The answer to a request with one more header line (or ""), for the caller to free. */
static char *get(struct hf_flag_service *service, const char *header)
{
    char request[512], *text;

    snprintf(request, sizeof(request), GET "%s\r\n", header);
    text = hf_exchange(hf_flag_service_port(service), request);
    return text ? text : strdup("");
}

static void check_etag(
    struct hf_flag_service *service, const char *header, const char *status, const char *etag)
{
    char *text = get(service, header);

    CHECK_STR_CONTAINS(text, status);
    CHECK_STR_CONTAINS(text, etag);
    CHECK_INT_EQ(strstr(text, "ETag: ") != NULL, *etag != '\0');
    CHECK_INT_EQ(strstr(text, "{\"flags\":") != NULL, strcmp(status, "HTTP/1.1 200 ") == 0);
    free(text);
}

static void test_etags(void)
{
    static const char ok[] = "HTTP/1.1 200 ", same[] = "HTTP/1.1 304 ", none[] = "";
    static const char first[] = "If-None-Match: W/\"a:1\"\r\n", etag[] = "ETag: W/\"a:1\"\r\n";
    struct hf_flag_service *service = hf_flag_service_start(NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    check_etag(service, first, ok, none);
    hf_flag_service_set_etag(service, "W/\"a:1\"");
    check_etag(service, "", ok, etag);
    check_etag(service, first, same, etag);
    check_etag(service, "If-None-Match: \"a:1\"\r\n", ok, etag); /* not the same bytes */
    check_etag(service, "If-None-Match: *\r\n", ok, etag);
    hf_flag_service_set_etag_on_304(service, false);
    check_etag(service, first, same, none);
    check_etag(service, "", ok, etag);
    CHECK_INT_EQ(hf_flag_service_not_modified(service), 2);
    hf_flag_service_set_etag(service, "\"2\"");
    check_etag(service, first, ok, "ETag: \"2\"\r\n");
    hf_flag_service_set_etag(service, NULL);
    check_etag(service, "If-None-Match: \"2\"\r\n", ok, none);
    CHECK_INT_EQ(hf_flag_service_not_modified(service), 2);
    CHECK_INT_EQ(hf_flag_service_count(service), 9);
    hf_flag_service_stop(service);
}

/* Errors carry no ETag; a 200 that breaks does, and is never a 304; other headers stay. */
static void test_etags_of_other_replies(void)
{
    static const char known[] = "If-None-Match: \"1\"\r\n";
    const struct hf_flag_reply script[] = {{.status = 503},
        {.fault = HF_FAULT_TRUNCATE, .body = "0123456789", .body_len = 10},
        {.headers = "X-Of-Reply: 7"}};
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    char *text;

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    hf_flag_service_set_etag(service, "\"1\"");
    hf_flag_service_script(service, script, COUNT(script));
    text = get(service, known);
    CHECK_STR_CONTAINS(text, "HTTP/1.1 503 ");
    CHECK(strstr(text, "ETag") == NULL);
    free(text);
    text = get(service, known);
    CHECK_STR_CONTAINS(text, "HTTP/1.1 200 ");
    CHECK_STR_CONTAINS(text, "ETag: \"1\"\r\n");
    CHECK_STR_CONTAINS(text, "\r\n\r\n01234");
    CHECK(strstr(text, "56789") == NULL);
    free(text);
    text = get(service, known);
    CHECK_STR_CONTAINS(text, "HTTP/1.1 304 ");
    CHECK_STR_CONTAINS(text, "X-Of-Reply: 7\r\n");
    free(text);
    CHECK_INT_EQ(hf_flag_service_not_modified(service), 1);
    hf_flag_service_stop(service);
}

/* The first request of a connection begins with it, the next one when it has arrived. */
static void test_begin_of_requests(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_request *first, *second;
    int64_t before = hf_wait_now_ms();
    char *text;

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    hf_flag_service_set_delay(service, 200);
    text =
        hf_exchange(hf_flag_service_port(service), "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" GET "\r\n");
    CHECK_STR_CONTAINS(text, "HTTP/1.1 200 ");
    free(text);
    first = hf_flag_service_request(service, 0);
    second = hf_flag_service_request(service, 1);
    if (CHECK(first != NULL) && CHECK(second != NULL)) {
        CHECK_INT_BETWEEN(first->began_ms, before, first->time_ms);
        CHECK_INT_EQ(second->began_ms, second->time_ms);
        CHECK(second->began_ms - first->began_ms >= 200);
    }
    hf_flag_service_stop(service);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"certificates: of clients, trusted and not", test_certificates_of_clients},
        {"flag service: wants a client certificate of its authority", test_client_certificates},
        {"flag service: TLS 1.1 and nothing else", test_old_tls},
        {"flag service: TLS options that are none", test_bad_tls_options},
        {"flag service: when a request began", test_begin_of_requests},
        {"flag service: ETag and 304", test_etags},
        {"flag service: ETags of errors and of broken answers", test_etags_of_other_replies},
    };
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = hf_suite_run("support service", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

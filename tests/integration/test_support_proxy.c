/* SPDX-License-Identifier: PostgreSQL
 *
 * The HTTP proxy that other tests rest on: what it passes on, what it keeps, what it refuses.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/certs.h"
#include "tests/support/exchange.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/http_proxy.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000
#define CREDENTIALS "Basic dXNlcjpwYXNzd29yZA==" /* of user:password */
#define OF_USER "Proxy-Authorization: " CREDENTIALS "\r\n"
#define PLAIN "GET http://flags.example:81/f?x=1 HTTP/1.1\r\nHost: flags.example:81\r\n"
#define TUNNEL "CONNECT flags.example:443 HTTP/1.1\r\nHost: flags.example:443\r\n"

static struct hf_flag_service *service;

static struct hf_http_proxy *start(struct hf_http_proxy_options *options)
{
    struct hf_http_proxy *proxy = hf_http_proxy_start(options);

    CU_ASSERT_PTR_NOT_NULL_FATAL(proxy);
    return proxy;
}

static void check_exchange(struct hf_http_proxy *proxy, const char *request, const char *answer)
{
    char *text = hf_exchange(hf_http_proxy_port(proxy), request);

    CHECK_STR_CONTAINS(text, answer);
    free(text);
}

static void check_authority(struct hf_http_proxy *proxy, const char *expected)
{
    char *authority = hf_http_proxy_authority(proxy);

    CHECK_STR_EQ(authority, expected);
    free(authority);
}

static void test_plain(void)
{
    struct hf_http_proxy_options options = {.credentials = CREDENTIALS};
    const struct hf_flag_request *request;
    struct hf_http_proxy *proxy;

    service = hf_flag_service_start(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    options.target_port = hf_flag_service_port(service);
    proxy = start(&options);
    check_authority(proxy, "");
    check_exchange(
        proxy, PLAIN OF_USER "Proxy-Connection: keep-alive\r\nX-Mine: 7\r\n\r\n", "HTTP/1.1 200 ");
    request = hf_flag_service_request(service, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    CHECK_STR_CONTAINS(request->path, "/f?x=1");
    CHECK_STR_EQ(hf_flag_request_header(request, "Host"), "flags.example:81");
    CHECK_STR_EQ(hf_flag_request_header(request, "X-Mine"), "7");
    CHECK_STR_EQ(hf_flag_request_header(request, "Proxy-Authorization"), NULL);
    CHECK_STR_EQ(hf_flag_request_header(request, "Proxy-Connection"), NULL);
    CHECK_STR_CONTAINS(hf_http_proxy_request(proxy, 0), OF_USER);
    check_authority(proxy, "flags.example:81");
    CHECK_INT_EQ(hf_http_proxy_plain(proxy), 1);
    CHECK_INT_EQ(hf_http_proxy_connects(proxy), 0);
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
}

/* Also when the client does not wait for the 200. */
static void test_tunnel(void)
{
    struct hf_http_proxy_options options = {.connect_headers = "ETag: \"of the proxy\"\r\n"};
    struct hf_http_proxy *proxy;
    char *text;

    service = hf_flag_service_start(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    options.target_port = hf_flag_service_port(service);
    proxy = start(&options);
    text = hf_exchange(hf_http_proxy_port(proxy),
        TUNNEL OF_USER "\r\nGET /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK_STR_CONTAINS(
        text, "HTTP/1.1 200 Connection established\r\nETag: \"of the proxy\"\r\n\r\nHTTP/1.1 200 ");
    CHECK_STR_CONTAINS(text, "{\"flags\":");
    free(text);
    check_authority(proxy, "flags.example:443");
    CHECK_INT_EQ(hf_http_proxy_connects(proxy), 1);
    CHECK_INT_EQ(hf_http_proxy_plain(proxy), 0);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    CHECK_STR_EQ(hf_flag_service_request(service, 0)->path, "/t");
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
}

/* openssl's client, by way of the proxy, to a name that only the proxy could have looked up. */
static void test_tls_tunnel(void)
{
    struct hf_http_proxy_options options = {.credentials = CREDENTIALS};
    struct hf_certs *certs = hf_certs_create();
    struct hf_http_proxy *proxy;
    char arguments[1024], *text;
    int status;

    CU_ASSERT_PTR_NOT_NULL_FATAL(certs);
    service = hf_flag_service_start(
        &(struct hf_flag_service_options){.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
            .key_file = hf_certs_key_file(certs)});
    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    options.target_port = hf_flag_service_port(service);
    proxy = start(&options);
    snprintf(arguments, sizeof(arguments),
        "-proxy 127.0.0.1:%u -proxy_user user -proxy_pass pass:password "
        "-connect flags.example:443 -CAfile %s -verify_return_error",
        hf_http_proxy_port(proxy), hf_certs_ca_file(certs));
    text = hf_exchange_tls(options.target_port,
        "GET /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", arguments, &status);
    CHECK_INT_EQ(status, 0);
    CHECK_STR_CONTAINS(text, "{\"flags\":");
    free(text);
    check_authority(proxy, "flags.example:443");
    CHECK_INT_EQ(hf_http_proxy_connects(proxy), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
    hf_certs_destroy(certs);
}

static void test_credentials(void)
{
    static const char refused[] = "HTTP/1.1 407 Proxy Authentication Required\r\n";
    static const char *const wrong[] = {"", "Proxy-Authorization: Basic dXNlcjp3cm9uZw==\r\n",
        "Proxy-Authorization: BASIC DXNLCJPWYXNZD29YZA==\r\n", /* base64 knows upper case */
        "Proxy-Authorization: " CREDENTIALS "x\r\n", "Authorization: " CREDENTIALS "\r\n"};
    struct hf_http_proxy_options options = {.credentials = CREDENTIALS};
    struct hf_http_proxy *proxy;
    char request[512];

    service = hf_flag_service_start(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    options.target_port = hf_flag_service_port(service);
    proxy = start(&options);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(request, sizeof(request), PLAIN "%s\r\n", wrong[i]);
        check_exchange(proxy, request, refused);
        snprintf(request, sizeof(request), TUNNEL "%s\r\n", wrong[i]);
        check_exchange(proxy, request, "\r\nProxy-Authenticate: Basic ");
    }
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    CHECK_INT_EQ(hf_http_proxy_plain(proxy), 5);
    CHECK_INT_EQ(hf_http_proxy_connects(proxy), 5);
    check_exchange(proxy, PLAIN "proxy-AUTHORIZATION: " CREDENTIALS "\r\n\r\n", "HTTP/1.1 200 ");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
}

static void test_refusal(void)
{
    static const char *const here[] = {"127.0.0.1"};
    struct hf_http_proxy_options none = {.target_port = 0};
    struct hf_http_proxy_options closed = {.target_port = hf_net_free_port(here, 1)};
    struct hf_http_proxy *refusing = start(&none), *proxy = start(&closed);

    check_exchange(refusing, PLAIN "\r\n", "HTTP/1.1 502 Bad Gateway\r\n");
    check_exchange(refusing, TUNNEL "\r\n", "HTTP/1.1 502 Bad Gateway\r\n");
    check_exchange(proxy, PLAIN "\r\n", "HTTP/1.1 502 Bad Gateway\r\n");
    check_exchange(proxy, TUNNEL "\r\n", "HTTP/1.1 502 Bad Gateway\r\n");
    CHECK_INT_EQ(hf_http_proxy_count(refusing), 2);
    hf_http_proxy_stop(refusing);
    hf_http_proxy_stop(proxy);
}

/* A tunnel that is in use and a client that says only half of its request do not hold up stop. */
static void test_stop(void)
{
    static const char half[] = "CONNECT flags.exa";
    int fds = hf_fds_count(0), tunnel, client;
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy;

    service = hf_flag_service_start(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    options.target_port = hf_flag_service_port(service);
    proxy = start(&options);
    tunnel = hf_net_connect("127.0.0.1", hf_http_proxy_port(proxy));
    CHECK_INT_EQ(hf_net_wait(tunnel, POLLOUT, -1, hf_wait_slow_ms(BOUND_MS)), 1);
    CHECK_INT_EQ(send(tunnel, TUNNEL "\r\n", strlen(TUNNEL "\r\n"), MSG_NOSIGNAL),
        (ssize_t)strlen(TUNNEL "\r\n"));
    CHECK_INT_EQ(hf_net_wait(tunnel, POLLIN, -1, hf_wait_slow_ms(BOUND_MS)), 1);
    client = hf_net_connect("127.0.0.1", hf_http_proxy_port(proxy));
    CHECK_INT_EQ(hf_net_wait(client, POLLOUT, -1, hf_wait_slow_ms(BOUND_MS)), 1);
    CHECK_INT_EQ(send(client, half, strlen(half), MSG_NOSIGNAL), (ssize_t)strlen(half));
    CHECK(HF_WAIT_UNTIL(hf_http_proxy_count(proxy) == 2, BOUND_MS));
    CHECK_INT_EQ(hf_http_proxy_connects(proxy), 1);
    CHECK_STR_EQ(hf_http_proxy_request(proxy, 1), "");
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
    close(tunnel);
    close(client);
    CHECK_INT_EQ(hf_fds_count(0), fds);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"http proxy: a plain request, without what was for the proxy", test_plain},
        {"http proxy: a tunnel, and headers of its own", test_tunnel},
        {"http proxy: TLS through a tunnel", test_tls_tunnel},
        {"http proxy: wrong credentials", test_credentials},
        {"http proxy: refuses, or has nobody to ask", test_refusal},
        {"http proxy: stop ends what is open, nothing leaks", test_stop},
    };

    return hf_suite_run("support proxy", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

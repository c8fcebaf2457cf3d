/* SPDX-License-Identifier: PostgreSQL
 *
 * Asking through an HTTP proxy. The service's certificate is for localhost, which is a name and no
 * loopback literal: requests to it go through a proxy.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/http_proxy.h"
#include "tests/support/tmpdir.h"

#define PASSWORD "proxy-secret-7351"
#define CREDENTIALS "Basic dXNlcjpwcm94eS1zZWNyZXQtNzM1MQ==" /* of user:PASSWORD */

static struct hf_certs *certs;

static void start_https(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};

    service = hf_flag_service_start(&options);
    if (!service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
}

static void check_never_shown(const char *secret)
{
    char *json = hf_test_status(plugin, HF_STATUS_JSON);
    char *metrics = hf_test_status(plugin, HF_STATUS_PROMETHEUS);

    CHECK(!hf_test_log_contains(secret));
    CHECK(strstr(json, secret) == NULL);
    CHECK(strstr(metrics, secret) == NULL);
    CHECK(strstr(hf_test_error(), secret) == NULL);
    free(json);
    free(metrics);
}

/* The tunnel's ends see what is for them: the proxy where to, the service all the rest. */
static void test_tunnel(void)
{
    struct hf_http_proxy_options options = {.credentials = CREDENTIALS,
        .connect_headers = "ETag: \"of the proxy\"\r\nRetry-After: 3000\r\n"};
    char *directory = hf_tmpdir_create(), *file = hf_tmpdir_write(directory, "token", "secret-1");
    struct hf_http_proxy *proxy;
    const char *header;
    hf_conn conn;

    start_https();
    options.target_port = hf_flag_service_port(service);
    proxy = hf_http_proxy_start(&options);
    hf_flag_service_set_ttl(service, NULL);
    start_cache("ca_file = %s\nproxy = http://user:" PASSWORD "@127.0.0.1:%u\nttl = 1s\n"
                "token_file = %s\nallowed_hosts = localhost\n",
        hf_certs_ca_file(certs), hf_http_proxy_port(proxy), file);
    conn = hf_test_connect_to(plugin, "localhost", 0, "4711");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));

    header = hf_http_proxy_request(proxy, 0);
    CHECK_STR_CONTAINS(header, "CONNECT localhost:443 HTTP/1.1\r\n");
    CHECK(strcasestr(header, "\r\nAuthorization:") == NULL);
    CHECK(strcasestr(header, "x-databricks-org-id") == NULL);
    CHECK_STR_EQ(hf_flag_request_header(hf_flag_service_request(service, 0), "Authorization"),
        "Bearer secret-1");
    CHECK_STR_EQ(
        hf_flag_request_header(hf_flag_service_request(service, 0), "x-databricks-org-id"), "4711");
    for (size_t i = 0; i < 2; i++) {
        const struct hf_flag_request *request = hf_flag_service_request(service, i);
        CHECK_STR_EQ(hf_flag_request_header(request, "Proxy-Authorization"), NULL);
        CHECK_STR_EQ(hf_flag_request_header(request, "If-None-Match"), NULL);
    }
    check_never_shown(PASSWORD);
    check_never_shown("secret-1");
    stop_all();
    hf_http_proxy_stop(proxy);
    free(file);
    hf_tmpdir_remove(directory);
}

/* A 503 through a proxy whose own answer has a Retry-After. */
static void test_headers_of_the_proxy(void)
{
    struct hf_http_proxy_options options = {.connect_headers = "Retry-After: 3000\r\n"};
    struct hf_http_proxy *proxy;
    hf_conn conn;

    start_https();
    options.target_port = hf_flag_service_port(service);
    proxy = hf_http_proxy_start(&options);
    hf_flag_service_set_status(service, 503);
    start_cache(
        "ca_file = %s\nproxy = 127.0.0.1:%u\n", hf_certs_ca_file(certs), hf_http_proxy_port(proxy));
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 503);
    CHECK_INT_EQ(hf_test_status_int(plugin, "localhost", 443, "retry_after_ms"), 0);
    stop_all();
    hf_http_proxy_stop(proxy);
}

static void check_failure(
    const struct hf_http_proxy_options *options, const char *user, int32_t error, const char *said)
{
    struct hf_http_proxy *proxy = hf_http_proxy_start(options);
    char *message;
    hf_conn conn;

    start_cache("proxy = http://%s127.0.0.1:%u\n", user, hf_http_proxy_port(proxy));
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, error);
    message = hf_test_status_string(plugin, "localhost", 443, "last_message");
    CHECK_STR_CONTAINS(message, said);
    free(message);
    check_never_shown(PASSWORD);
    plugin->fini();
    hf_http_proxy_stop(proxy);
}

static void test_failures(void)
{
    static const struct hf_http_proxy_options closed = {.credentials = "Basic eDp5",
                                                  .target_port = 9},
                                              broken = {.target_port = 0};

    check_failure(&closed, "user:" PASSWORD "@", HF_FETCH_CONNECT,
        "its answer was 407, it wants another user or password");
    check_failure(&broken, "", HF_FETCH_CONNECT, "its answer was 502");
}

/* Not even the error for a bad value shows it. */
static void test_bad_values(void)
{
    static const char *const rows[] = {"http://user:" PASSWORD "@", "ftp://user:" PASSWORD "@h:1",
        "user:" PASSWORD "@host", "http://user:" PASSWORD "@h:1 ", "user:" PASSWORD "@h:0",
        "http://user:" PASSWORD "@[::1:8080", "http://user:" PASSWORD "@h:1\x01"};

    hf_test_log_clear();
    for (size_t i = 0; i < COUNT(rows); i++) {
        int32_t result = hf_test_init(plugin, "flags = a\nproxy = %s\n", rows[i]);

        if (result == HF_OK) /* blanks at the end are cut */
            plugin->fini();
        else
            CHECK_STR_CONTAINS(hf_test_error(), "proxy = \"");
        CHECK_INT_EQ(result, strchr(rows[i], ' ') ? HF_OK : HF_E_INVALID);
        CHECK(strstr(hf_test_error(), PASSWORD) == NULL);
    }
    CHECK(!hf_test_log_contains(PASSWORD));
}

/* Loopback goes nowhere else, whatever the environment says; a name does; the setting wins. */
static void test_environment(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "ALL_PROXY"};
    static const char *const literals[] = {"127.0.0.1", "127.0.0.9", "::1"};
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy = hf_http_proxy_start(&options), *other;
    char url[64];
    hf_conn conn;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", hf_http_proxy_port(proxy));
    for (size_t i = 0; i < COUNT(names); i++)
        setenv(names[i], url, 1);
    start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
    for (size_t i = 0; i < 2 * COUNT(literals); i++) {
        bool tls = i >= COUNT(literals);
        struct hf_flag_service_options at = {.address = literals[i % COUNT(literals)],
            .cert_file = tls ? hf_certs_cert_file(certs, HF_CERT_GOOD) : NULL,
            .key_file = tls ? hf_certs_key_file(certs) : NULL};

        service = hf_flag_service_start(&at);
        conn = connect_service();
        CHECK(hf_flag_service_wait_requests(service, tls && i % 3 == 1 ? 0 : 1, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS)); /* 127.0.0.9: not in the certificate */
        CHECK_INT_EQ(hf_http_proxy_count(proxy), 0);
        plugin->on_disconnect(conn);
        hf_flag_service_stop(service);
    }
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_http_proxy_count(proxy), 1);
    plugin->fini();

    other = hf_http_proxy_start(&options);
    start_cache("proxy = http://127.0.0.1:%u\n", hf_http_proxy_port(other));
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_http_proxy_count(proxy), 1);
    CHECK_INT_EQ(hf_http_proxy_count(other), 1);
    plugin->fini();
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    hf_http_proxy_stop(proxy);
    hf_http_proxy_stop(other);
}

static const struct hf_test tests[] = {
    {"C32 C70 a tunnel: each end sees what is for it, and no secret is shown", test_tunnel},
    {"C32 C65 headers of the proxy's own answer do not count", test_headers_of_the_proxy},
    {"C32 C59 C70 a proxy that refuses: 407, 502", test_failures},
    {"C83 C70 bad proxies are refused without their passwords", test_bad_values},
    {"C32 loopback never goes through a proxy; names do; the setting wins", test_environment},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("http proxy", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

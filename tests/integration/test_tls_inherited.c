/* SPDX-License-Identifier: PostgreSQL
 *
 * Descriptors of a request by https, directly and through a proxy, are not for the programs that
 * the host starts meanwhile.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/integration/inherited.h"
#include "tests/support/certs.h"
#include "tests/support/http_proxy.h"

static struct hf_certs *certs;

/* False: skipped. */
static bool can_fork(void)
{
#if defined(__SANITIZE_THREAD__)
    hf_test_skip("ThreadSanitizer does not survive forks of processes with threads");
    return false;
#endif
    if (getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("valgrind takes what a child leaves alone for leaks");
        return false;
    }
    return true;
}

static void start_https(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};

    service = hf_flag_service_start(&options);
    if (!service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
}

/* The service has the request, and does not answer. */
static void test_transfer(void)
{
    char *expected;
    hf_conn conn;

    if (!can_fork())
        return;
    expected = inherited_start();
    start_https();
    start_cache("ca_file = %s\nrequest_timeout = 5min\n", hf_certs_ca_file(certs));
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    hf_test_connect_to(plugin, hf_flag_service_url(service), 0, "1");
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK_INT_EQ(hf_test_status_total(plugin, "in_flight"), 1);
    check_inherits_nothing(expected);
    stop_all();
    inherited_end(expected);
}

/* The other end does not answer the client's hello. The TLS library opens the file with the
 * authorities for the first request, without close-on-exec; an earlier one has made it do so. */
static void test_handshake(void)
{
    char *expected, url[64];
    struct gate gate;
    hf_conn conn;
    int fd = -1;

    if (!can_fork())
        return;
    expected = inherited_start();
    gate = gate_open();
    start_https();
    start_cache(
        "ca_file = %s\nconnect_timeout = 5min\nrequest_timeout = 5min\n", hf_certs_ca_file(certs));
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", gate_port(&gate));
    hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(
        (fd = accept4(gate.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0, BOUND_MS));
    CHECK_INT_EQ(hf_net_wait(fd, POLLIN, -1, hf_wait_slow_ms(BOUND_MS)), 1);
    check_inherits_nothing(expected);
    stop_all();
    close(fd);
    gate_close(&gate);
    inherited_end(expected);
}

static void test_tunnel(void)
{
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy;
    char *expected;

    if (!can_fork())
        return;
    expected = inherited_start();
    start_https();
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    options.target_port = hf_flag_service_port(service);
    proxy = hf_http_proxy_start(&options);
    start_cache("ca_file = %s\nproxy = 127.0.0.1:%u\nrequest_timeout = 5min\n",
        hf_certs_ca_file(certs), hf_http_proxy_port(proxy));
    hf_test_connect(plugin, "localhost");
    CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
    CHECK_INT_EQ(hf_http_proxy_count(proxy), 1);
    check_inherits_nothing(expected);
    plugin->fini();
    hf_http_proxy_stop(proxy);
    hf_flag_service_stop(service);
    inherited_end(expected);
}

static const struct hf_test tests[] = {
    {"C79 a child that execs during a request by https inherits nothing", test_transfer},
    {"C79 nor during a TLS handshake", test_handshake},
    {"C79 nor during a request through a proxy's tunnel", test_tunnel},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("tls inherited", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

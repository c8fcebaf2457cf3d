/* SPDX-License-Identifier: PostgreSQL
 *
 * HTTP/2 as libcurl speaks it must not make two requests of one, nor tie hosts to one connection.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/h2_server.h"

static struct hf_certs *certs;

/* libcurl by itself sends what was refused so again, five times. */
static void test_refused(void)
{
    static const uint32_t codes[] = {HF_H2_REFUSED_STREAM, HF_H2_HTTP_1_1_REQUIRED};

    for (size_t i = 0; i < COUNT(codes); i++) {
        struct hf_h2_server *server = hf_h2_server_start(
            hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs), codes[i]);
        hf_conn conn;
        char *message;

        if (!CHECK(server != NULL))
            return;
        start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
        conn = hf_test_connect_to(plugin, "127.0.0.1", hf_h2_server_port(server), NULL);
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_CONNECT);
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 0);
        message =
            hf_test_status_string(plugin, "127.0.0.1", hf_h2_server_port(server), "last_message");
        CHECK_STR_EQ(message, "the service refused the request by HTTP/2, before it had read it");
        free(message);
        plugin->fini();
        CHECK_INT_EQ(hf_h2_server_requests(server), 1);
        hf_h2_server_stop(server);
    }
}

/* The second host asks while the first one's connection, which could be shared, is open: it is
 * served once that one is closed. */
static void test_own_connections(void)
{
    struct hf_h2_server *server = hf_h2_server_start(
        hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs), HF_H2_SILENCE);
    hf_conn first, second;

    if (!CHECK(server != NULL))
        return;
    start_cache("ca_file = %s\nservice = https://127.0.0.1:%u\nrequest_timeout = 2s\n",
        hf_certs_ca_file(certs), hf_h2_server_port(server));
    first = hf_test_connect(plugin, "one.example");
    CHECK(HF_WAIT_UNTIL(hf_h2_server_requests(server) == 1, BOUND_MS));
    second = hf_test_connect(plugin, "two.example");
    CHECK(HF_WAIT_UNTIL(hf_h2_server_requests(server) >= 2, BOUND_MS));
    CHECK(hf_h2_server_connections(server) >= 2);
    CHECK(HF_WAIT_UNTIL(has_failed(first) && has_failed(second), BOUND_MS));
    plugin->fini();
    hf_h2_server_stop(server);
}

static const struct hf_test tests[] = {
    {"C62 a service that refuses by HTTP/2 sees one request", test_refused},
    {"C54 two hosts at one HTTP/2 service have a connection each", test_own_connections},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("http2", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

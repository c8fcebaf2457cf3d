/* SPDX-License-Identifier: PostgreSQL
 *
 * https: how the plugin shows a service who it is, and what is said when that fails.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/integration/once.h"
#include "tests/support/certs.h"
#include "tests/support/pty.h"

#define TLS_1_2_ONLY "NORMAL:-VERS-ALL:+VERS-TLS1.2"

static struct hf_certs *certs;

/* A service that refuses clients in the handshake. */
static void start_strict_service(const char *tls_priority)
{
    struct hf_flag_service_options options = {.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
        .key_file = hf_certs_key_file(certs),
        .client_ca_file = hf_certs_ca_file(certs),
        .tls_priority = tls_priority};

    service = hf_flag_service_start(&options);
    if (!service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
}

/* The settings for a certificate and a key; NULL: without. Caller frees. */
static char *client_lines(const char *certificate, const char *key)
{
    char *lines;

    if (asprintf(&lines, "ca_file = %s\n%s%s\n%s%s\n", hf_certs_ca_file(certs),
            certificate ? "client_cert_file = " : "", certificate ? certificate : "",
            key ? "client_key_file = " : "", key ? key : "") < 0)
        abort();
    return lines;
}

static hf_conn ask_as(const char *certificate, const char *key)
{
    char *lines = client_lines(certificate, key);
    hf_conn conn;

    start_cache("%s", lines);
    free(lines);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    return conn;
}

static char *last_message(void)
{
    return hf_test_status_string(
        plugin, "127.0.0.1", hf_flag_service_port(service), "last_message");
}

static void test_served(void)
{
    static const char *const priorities[] = {NULL, TLS_1_2_ONLY};

    for (size_t i = 0; i < COUNT(priorities); i++) {
        hf_conn conn;

        start_strict_service(priorities[i]);
        conn = ask_as(hf_certs_client_file(certs), hf_certs_key_file(certs));
        CHECK(is_known(conn));
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
        plugin->fini();
        conn = ask_as(hf_certs_client_with_key_file(certs), NULL);
        CHECK(is_known(conn));
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
        CHECK_INT_EQ(requests(), 2);
        stop_all();
    }
}

/* Up to TLS 1.2 a client is told during the handshake. */
static void test_refused(void)
{
    const struct {
        const char *certificate, *said;
    } rows[] = {
        {NULL, "handshake failure"},
        {hf_certs_untrusted_client_file(certs), "unknown ca"},
        {hf_certs_cert_file(certs, HF_CERT_SELF_SIGNED), "unknown ca"},
    };

    start_strict_service(TLS_1_2_ONLY);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *key = rows[i].certificate ? hf_certs_key_file(certs) : NULL;
        hf_conn conn = ask_as(rows[i].certificate, key);
        char *message = last_message();

        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_DEFAULT);
        CHECK_STR_CONTAINS(message, rows[i].said);
        free(message);
        plugin->fini();
    }
    CHECK_INT_EQ(requests(), 0);
    hf_flag_service_stop(service);
}

/* In TLS 1.3 the client has long finished when the service looks at its certificate: it is told by
 * an alert, or loses the connection before it has read that. Either way it is said what may be
 * wrong. */
static void test_refused_late(void)
{
    const char *const rows[] = {NULL, hf_certs_untrusted_client_file(certs)};

    start_strict_service(NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_conn conn = ask_as(rows[i], rows[i] ? hf_certs_key_file(certs) : NULL);
        int32_t error = hf_test_explain(plugin, conn, A).last_error;
        char *message = last_message();

        CHECK_STR_CONTAINS(message, "it may want ");
        CHECK_STR_CONTAINS(message, "client_cert_file");
        CHECK_INT_EQ(error, strstr(message, "alert") ? HF_FETCH_TLS : HF_FETCH_CONNECT);
        free(message);
        plugin->fini();
    }
    CHECK_INT_EQ(requests(), 0);
    hf_flag_service_stop(service);
}

/* A service that hangs up when it has a request, and never asked who we are. */
static void test_hangs_up(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};
    char *message;
    hf_conn conn;

    service = hf_flag_service_start(&options);
    hf_flag_service_set_fault(service, HF_FAULT_CLOSE);
    conn = ask_as(NULL, NULL);
    message = last_message();
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_CONNECT);
    CHECK_STR_CONTAINS(message, "hung up after the TLS handshake");
    free(message);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

static void test_bad_files(void)
{
    const struct {
        const char *certificate, *key;
    } rows[] = {
        {hf_certs_client_file(certs), hf_certs_encrypted_key_file(certs)},
        {hf_certs_client_file(certs), NULL}, /* there is no key in it */
        {hf_certs_client_file(certs), hf_certs_ca_file(certs)}, /* nor in that */
        {hf_certs_ca_file(certs), hf_certs_key_file(certs)}, /* they do not belong together */
        {hf_certs_key_file(certs), hf_certs_key_file(certs)}, /* no certificate */
    };

    start_strict_service(NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_conn conn = ask_as(rows[i].certificate, rows[i].key);
        char *message = last_message();

        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
        CHECK_STR_CONTAINS(message, rows[i].key ? rows[i].key : rows[i].certificate);
        CHECK_STR_CONTAINS(message, "without a password");
        free(message);
        plugin->fini();
    }
    CHECK_INT_EQ(requests(), 0);
    hf_flag_service_stop(service);
}

/* The TLS library asks for the password of a key on the controlling terminal, if it may: the worker
 * would wait there for ever. */
static void test_no_question(void)
{
    char *lines = client_lines(hf_certs_client_file(certs), hf_certs_encrypted_key_file(certs));
    char *settings;
    struct hf_pty *pty;

    start_strict_service(NULL);
    if (asprintf(&settings, "flags = a\n%s", lines) < 0)
        abort();
    pty = hf_pty_start(once_argv(settings, hf_flag_service_url(service)), NULL, 200, 50);
    if (CHECK(pty != NULL) && CHECK_INT_EQ(hf_pty_wait_exit(pty, BOUND_MS), 0)) {
        CHECK_STR_CONTAINS(hf_pty_output(pty), "error=3 "); /* HF_FETCH_TLS */
        CHECK(strcasestr(hf_pty_output(pty), "pass phrase") == NULL);
    }
    hf_pty_destroy(pty);
    hf_flag_service_stop(service);
    free(settings);
    free(lines);
}

static const struct hf_test tests[] = {
    {"C32 a service that wants a client's certificate has it, with the key beside it or in it",
        test_served},
    {"C32 without one, or with one that it does not trust: the error says tls", test_refused},
    {"C32 the same where it comes after the handshake: what may be wrong is said",
        test_refused_late},
    {"C32 C59 a service that hangs up: connect, whatever it wants", test_hangs_up},
    {"C32 a certificate and a key that cannot be used: tls, and nothing is sent", test_bad_files},
    {"C32 an encrypted key: nobody is asked for its password on the terminal", test_no_question},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("tls client", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * https: whom the plugin trusts, how it shows who it is, and where a token may go.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/nginx.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"

static struct hf_certs *certs;

static const char document[] =
    "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}],\"ttl_seconds\":900}";

static struct hf_flag_service *start_https(enum hf_cert cert)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, cert), .key_file = hf_certs_key_file(certs)};
    struct hf_flag_service *https = hf_flag_service_start(&options);

    if (!https)
        abort();
    hf_flag_service_set_flag(https, "a", true);
    return https;
}

/* "last_message" of the host that listens on that port of 127.0.0.1, for the caller to free. */
static char *message_of(uint16_t port)
{
    return hf_test_status_string(plugin, "127.0.0.1", port, "last_message");
}

static void check_message(uint16_t port, const char *part)
{
    char *message = message_of(port);

    CHECK_STR_CONTAINS(message, part);
    free(message);
}

static void test_good(void)
{
    struct hf_flag_service *https = start_https(HF_CERT_GOOD);
    hf_conn conn;

    start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
    conn = hf_test_connect(plugin, hf_flag_service_host(https)); /* https is the default */
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    plugin->fini();
    hf_flag_service_stop(https);
}

/* The certificate names two addresses and one name; 127.0.0.2 is not among them. */
static void test_names(void)
{
    static const struct {
        const char *address, *name;
        bool good;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "localhost", true},
        {"127.0.0.1", "LocalHost.", true},
        {"::1", "[::1]", true},
        {"::1", "[0:0::0:1]", true},
        {"127.0.0.2", "127.0.0.2", false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_flag_service_options options = {.address = rows[i].address,
            .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
            .key_file = hf_certs_key_file(certs)};
        hf_conn conn;

        service = hf_flag_service_start(&options);
        hf_flag_service_set_flag(service, "a", true);
        start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
        conn = hf_test_connect_to(plugin, rows[i].name, hf_flag_service_port(service), NULL);
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        if (!CHECK_INT_EQ(plugin->is_enabled(conn, A), rows[i].good))
            fprintf(stderr, "            in: %s\n", rows[i].name);
        CHECK_INT_EQ(requests(), rows[i].good);
        CHECK_INT_EQ(
            hf_test_explain(plugin, conn, A).last_error, rows[i].good ? HF_FETCH_OK : HF_FETCH_TLS);
        stop_all();
    }
}

static void test_untrusted(void)
{
    static const struct {
        enum hf_cert cert;
        bool with_ca;
        const char *said;
    } rows[] = {
        {HF_CERT_WRONG_NAME, true,
            "the certificate is for DNS:elsewhere.invalid, not for 127.0.0.1"},
        {HF_CERT_EXPIRED, true, "expired"},
        {HF_CERT_SELF_SIGNED, true, "self-signed"},
        {HF_CERT_GOOD, false, "certificate"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_flag_service *https = start_https(rows[i].cert);
        hf_conn conn;

        if (rows[i].with_ca)
            start_cache("defaults = b=on\nca_file = %s\n", hf_certs_ca_file(certs));
        else
            start_cache("defaults = b=on\n");
        conn = hf_test_connect(plugin, hf_flag_service_host(https));
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
        CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
        check_message(hf_flag_service_port(https), rows[i].said);
        CHECK_INT_EQ(hf_flag_service_count(https), 0);
        plugin->fini();
        hf_flag_service_stop(https);
    }
}

/* A value, then another certificate at the same address. */
static void replace_certificate(enum hf_cert bad)
{
    struct hf_flag_service *https = start_https(HF_CERT_GOOD), *other;
    struct hf_flag_service_options options = {.port = hf_flag_service_port(https),
        .cert_file = hf_certs_cert_file(certs, bad),
        .key_file = hf_certs_key_file(certs)};
    hf_conn conn;

    hf_flag_service_set_ttl(https, NULL);
    start_cache("ca_file = %s\nttl = 500ms\n", hf_certs_ca_file(certs));
    conn = hf_test_connect(plugin, hf_flag_service_host(https));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_flag_service_stop(https);
    other = hf_flag_service_start(&options);
    if (CHECK(other != NULL)) {
        CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, A).last_error == HF_FETCH_TLS, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(is_stale(conn), BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STALE);
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    }
    plugin->fini();
    hf_flag_service_stop(other);
}

static void test_value_stays(void)
{
    static const enum hf_cert bad[] = {HF_CERT_WRONG_NAME, HF_CERT_EXPIRED, HF_CERT_SELF_SIGNED};

    for (size_t i = 0; i < COUNT(bad); i++)
        replace_certificate(bad[i]);
}

/* nginx with TLS; more: directives. */
__attribute__((format(printf, 2, 3))) static struct hf_nginx *start_nginx(
    const char *listen, const char *more, ...)
{
    char server[4096], lines[2048];
    struct hf_nginx_options options = {.listen = listen, .server = server};
    struct hf_nginx *nginx;
    va_list args;

    va_start(args, more);
    vsnprintf(lines, sizeof(lines), more, args);
    va_end(args);
    snprintf(server, sizeof(server), "ssl_certificate %s; ssl_certificate_key %s; %s",
        hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs), lines);
    nginx = hf_nginx_start(&options);
    if (!nginx)
        abort();
    hf_nginx_write(nginx, document);
    return nginx;
}

static hf_conn connect_nginx(const struct hf_nginx *nginx)
{
    return hf_test_connect_to(plugin, "127.0.0.1", hf_nginx_port(nginx), NULL);
}

/* Whether somebody who speaks it is served: otherwise a refusal would mean nothing. */
static bool speaks_old_tls(uint16_t port)
{
    char address[64];
    const char *const argv[] = {"openssl", "s_client", "-connect", address, "-tls1_1", "-cipher",
        "ALL:@SECLEVEL=0", "-brief", NULL};

    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    return hf_process_run(argv, BOUND_MS, NULL) == 0;
}

static void test_old_tls(void)
{
    struct hf_nginx *nginx =
        start_nginx("ssl", "ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;");
    hf_conn conn;
    char *log;

    CHECK(speaks_old_tls(hf_nginx_port(nginx)));
    start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
    conn = connect_nginx(nginx);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
    plugin->fini();
    log = hf_nginx_log(nginx);
    CHECK(strstr(log, "|200|") == NULL);
    free(log);
    hf_nginx_stop(nginx);
}

static void test_client_certificate(void)
{
    struct hf_nginx *nginx = start_nginx(
        "ssl", "ssl_verify_client on; ssl_client_certificate %s;", hf_certs_ca_file(certs));
    const struct {
        const char *certificate, *key;
        bool good;
    } rows[] = {
        {hf_certs_client_file(certs), hf_certs_key_file(certs), true},
        {hf_certs_client_with_key_file(certs), NULL, true},
        {hf_certs_cert_file(certs, HF_CERT_SELF_SIGNED), hf_certs_key_file(certs), false},
        {hf_certs_client_file(certs), hf_certs_encrypted_key_file(certs), false},
        {hf_certs_client_file(certs), NULL, false}, /* there is no key in it */
        {NULL, NULL, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char lines[1024] = "", line[512];
        hf_conn conn;

        if (rows[i].certificate) {
            snprintf(line, sizeof(line), "client_cert_file = %s\n", rows[i].certificate);
            strcat(lines, line);
        }
        if (rows[i].key) {
            snprintf(line, sizeof(line), "client_key_file = %s\n", rows[i].key);
            strcat(lines, line);
        }
        start_cache("ca_file = %s\n%s", hf_certs_ca_file(certs), lines);
        conn = connect_nginx(nginx);
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        CHECK_INT_EQ(is_known(conn), rows[i].good);
        CHECK_INT_EQ(plugin->is_enabled(conn, A), rows[i].good);
        plugin->fini();
    }
    hf_nginx_stop(nginx);
}

static void test_protocol(void)
{
    static const char *const rows[][2] = {{"ssl http2", "HTTP/2.0|200|"}, {"ssl", "HTTP/1.1|200|"}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_nginx *nginx = start_nginx(rows[i][0], "%s", "");
        char *log = NULL;
        hf_conn conn;

        start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
        conn = connect_nginx(nginx);
        CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
        CHECK(HF_WAIT_UNTIL(
            (free(log), log = hf_nginx_log(nginx), strstr(log, rows[i][1]) != NULL), BOUND_MS));
        free(log);
        plugin->fini();
        hf_nginx_stop(nginx);
    }
}

/* Neither the token nor anything else reaches where a redirect points. */
static void test_redirects(void)
{
    static const unsigned statuses[] = {301, 302, 303, 307, 308};
    struct hf_flag_service *https = start_https(HF_CERT_GOOD), *second = start_https(HF_CERT_GOOD);
    char *directory = hf_tmpdir_create(), *file = hf_tmpdir_write(directory, "token", "secret-1\n");
    char location[256];

    snprintf(location, sizeof(location), "Location: %s/flags", hf_flag_service_url(second));
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct hf_flag_reply reply = {.status = statuses[i], .headers = location};
        const struct hf_flag_request *request;
        hf_conn conn;

        hf_flag_service_clear_log(https);
        hf_flag_service_set_reply(https, &reply);
        start_cache("ca_file = %s\ntoken_file = %s\nallowed_hosts = 127.0.0.1\n",
            hf_certs_ca_file(certs), file);
        conn = hf_test_connect(plugin, hf_flag_service_host(https));
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_HTTP);
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, statuses[i]);
        check_message(hf_flag_service_port(https), "redirects are not followed");
        request = hf_flag_service_request(https, 0);
        if (CHECK(request != NULL))
            CHECK_STR_EQ(hf_flag_request_header(request, "Authorization"), "Bearer secret-1");
        plugin->fini();
        CHECK_INT_EQ(hf_flag_service_count(https), 1);
        CHECK_INT_EQ(hf_flag_service_count(second), 0);
    }
    hf_flag_service_stop(https);
    hf_flag_service_stop(second);
    free(file);
    hf_tmpdir_remove(directory);
}

static const struct hf_test tests[] = {
    {"C32 a good certificate, by the setting ca_file", test_good},
    {"C32 names and literal addresses, each as the certificate has them", test_names},
    {"C32 a wrong name, an expired one, a self-signed one, an unknown authority", test_untrusted},
    {"C32 C59 a value, then a wrong certificate: the value stays", test_value_stays},
    {"C32 a service that speaks TLS 1.1 at most", test_old_tls},
    {"C32 a service that asks for our certificate", test_client_certificate},
    {"C32 HTTP/2 is spoken where the service speaks it, else HTTP/1.1", test_protocol},
    {"C31 a redirect is a failure, and the token stays here", test_redirects},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("tls", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

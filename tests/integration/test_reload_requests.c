/* SPDX-License-Identifier: PostgreSQL
 *
 * reload of what a request is made of: where it goes, what it carries, whom it trusts. What failed
 * before may work now and is asked again at once; what a service has forbidden stays forbidden; and
 * what was known stays known. test_reload.c has the rest of reload.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/http_proxy.h"
#include "tests/support/nginx.h"
#include "tests/support/tmpdir.h"

#define SETTINGS "flags = a, b\nallow_http = loopback\n"
#define DEFAULT_PATH "/api/2.0/connector-service/feature-flags/GOLANG/1.0.0"
#define ENV "HF_TEST_RELOAD_TOKEN"

static struct hf_certs *certs;
static char *directory;

static const char *header_of(size_t i, const char *name)
{
    const struct hf_flag_request *request = hf_flag_service_request(service, i);

    return request ? hf_flag_request_header(request, name) : "there is no such request";
}

static const char *path_of(size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(service, i);

    return request ? request->path : "there is no such request";
}

static bool has_status(hf_conn conn, int32_t status)
{
    return hf_test_explain(plugin, conn, A).http_status == status;
}

/* A file with a token, in the directory that the program removes at its end. */
static char *token_file(const char *name, const char *token)
{
    char *path = hf_tmpdir_write(directory, name, token);

    if (!path)
        abort();
    return path;
}

/* ---- all or nothing ---- */

static const struct bad_value {
    const char *line, *key, *part; /* part: what else the error says */
} bad_values[] = {
    {"token_file = /run/one-token", "token_file", "expected allowed_hosts"},
    {"token_env = " ENV, "token_env", "expected allowed_hosts"},
    {"token_env = NO-NAME", "token_env", "token_env = not shown"},
    {"token_env = " ENV "\ntoken_file = /run/{host}", "token_env", "token_file is set as well"},
    {"allowed_hosts = good.example, bad host", "allowed_hosts", "\"bad host\" is neither"},
    {"allowed_hosts = *", "allowed_hosts", "allowed_hosts = \"*\": "},
    {"ca_file = /nowhere/ca.pem", "ca_file", "ca_file = \"/nowhere/ca.pem\": "},
    {"client_cert_file = /nowhere/us", "client_cert_file", "client_cert_file = \"/nowhere/us\": "},
    {"client_key_file = /dev/null", "client_key_file", "client_key_file = \"/dev/null\": "},
    {"proxy = gopher://p.example:70", "proxy", "proxy = \"gopher://p.example:70\": "},
    {"endpoint = flags", "endpoint", "endpoint = \"flags\": "},
    {"endpoint = /{colour}", "endpoint", "endpoint = \"/{colour}\": "},
    {"service = gopher://f.example", "service", "service = \"gopher://f.example\": "},
    {"client = a/b", "client", "client = \"a/b\": "},
    {"client_version = ..", "client_version", "client_version = \"..\": "},
    {"allow_http = perhaps", "allow_http", "allow_http = \"perhaps\": "},
};

/* The good ones around it would be seen in the answers and in the next request. */
static int32_t reload_with_bad(const struct bad_value *row)
{
    const char *good = strcmp(row->key, "endpoint") == 0 ? "client = OTHER" : "endpoint = /other";

    return hf_test_reload(plugin,
        "flags = a, b\noverrides = a=off\n%s\n%s\ndefaults = b=on\nttl = 5min\n", row->line, good);
}

static void test_all_or_nothing(void)
{
    hf_conn conn;

    start_service();
    start_cache("request_timeout = 5min\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    for (size_t i = 0; i < COUNT(bad_values); i++) {
        CHECK_INT_EQ(reload_with_bad(&bad_values[i]), HF_E_INVALID);
        CHECK_STR_CONTAINS(hf_test_error(), bad_values[i].key);
        CHECK_STR_CONTAINS(hf_test_error(), bad_values[i].part);
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
        CHECK_INT_EQ(plugin->is_enabled(conn, B), 0);
        CHECK_INT_EQ(plugin->is_enabled(HF_NO_CONN, B), 0);
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STATIC);
    }
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(hf_flag_service_url(service)) == HF_OK, BOUND_MS));
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK_STR_EQ(path_of(1), DEFAULT_PATH);
    CHECK_STR_EQ(header_of(1, "Authorization"), NULL);
    stop_all();
}

/* ---- another token after a 401 ---- */

/* token_env: nothing but the reload can tell that there is another token. */
static void test_token_from_environment(void)
{
    const struct hf_flag_reply refused = {.status = 401};
    hf_conn conn;

    start_service();
    hf_flag_service_script(service, &refused, 1);
    setenv(ENV, "old-token", 1);
    start_cache("token_env = " ENV "\nallowed_hosts = 127.0.0.1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_status(conn, 401), BOUND_MS));
    CHECK(hf_test_explain(plugin, conn, A).next_refresh_ms > 800000);
    setenv(ENV, "new-token", 1);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "token_env = " ENV "\nallowed_hosts = 127.0.0.1\n"), HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(requests(), 2);
    CHECK_STR_EQ(header_of(0, "Authorization"), "Bearer old-token");
    CHECK_STR_EQ(header_of(1, "Authorization"), "Bearer new-token");
    CHECK_INT_EQ(member("failures_in_a_row"), 0);
    CHECK_INT_EQ(member("failures"), 1);
    stop_all();
}

/* From one source of tokens to another: each reload is followed by a request with its token. */
static void test_token_from_file(void)
{
    const struct hf_flag_reply refused[] = {{.status = 401}, {.status = 403}, {.status = 401}};
    char *old = token_file("old", "old-token\n"), *new = token_file("new", "new-token\n");
    hf_conn conn;

    start_service();
    hf_flag_service_script(service, refused, COUNT(refused));
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_status(conn, 401), BOUND_MS));
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "token_file = %s\nallowed_hosts = 127.0.0.1\n", old),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(has_status(conn, 403), BOUND_MS));
    setenv(ENV, "third-token", 1);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "token_env = " ENV "\nallowed_hosts = 127.0.0.1\n"), HF_OK);
    CHECK(HF_WAIT_UNTIL(has_status(conn, 401), BOUND_MS));
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "token_file = %s\nallowed_hosts = 127.0.0.1\n", new),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 4);
    CHECK_STR_EQ(header_of(0, "Authorization"), NULL);
    CHECK_STR_EQ(header_of(1, "Authorization"), "Bearer old-token");
    CHECK_STR_EQ(header_of(2, "Authorization"), "Bearer third-token");
    CHECK_STR_EQ(header_of(3, "Authorization"), "Bearer new-token");
    stop_all();
    free(old);
    free(new);
}

/* A token that cannot be read keeps requests from being sent; a reload to a file that is there
 * lifts that. */
static void test_unreadable_token(void)
{
    char *there = token_file("there", "a-token");
    hf_conn conn;

    start_service();
    start_cache("token_file = %s/absent\nallowed_hosts = 127.0.0.1\n", directory);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TOKEN);
    CHECK_INT_EQ(requests(), 0);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "token_file = %s\nallowed_hosts = 127.0.0.1\n", there),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
    stop_all();
    free(there);
}

/* Sends bytes as they are; returns once the client has hung up. */
static void gate_send(int fd, const char *bytes)
{
    char rest[256];

    CHECK_INT_EQ(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
}

/* The values are fresh when the token is rejected: that must not delay the next request. */
static void test_known_values(void)
{
    struct gate gate = gate_open();
    hf_conn conn;
    int fd;

    setenv(ENV, "old-token", 1);
    start_cache("request_timeout = 5min\ntoken_env = " ENV "\nallowed_hosts = 127.0.0.1\n");
    conn = hf_test_connect(plugin, gate.url);
    gate_answer(gate_take(&gate), "{\"flags\":{\"a\":true},\"ttl_seconds\":900}");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->refresh(gate.url) == HF_OK, BOUND_MS));
    gate_send(gate_take(&gate), "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    CHECK(HF_WAIT_UNTIL(has_status(conn, 401), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);

    setenv(ENV, "new-token", 1);
    CHECK_INT_EQ(
        hf_test_reload(plugin,
            SETTINGS "request_timeout = 5min\ntoken_env = " ENV "\nallowed_hosts = 127.0.0.1\n"),
        HF_OK);
    fd = gate_take(&gate);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STATIC);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 401);
    gate_answer(fd, "{\"flags\":{\"a\":false},\"ttl_seconds\":900}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 0, BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_OK);
    stop_all();
    gate_close(&gate);
}

/* ---- another place to ask after a 404 ---- */

static void test_other_place(void)
{
    static const struct hf_flag_reply missing = {.status = 404};
    static const struct {
        const char *line, *path;
    } rows[] = {
        {"endpoint = /flags?of={client}\n", "/flags?of=GOLANG"},
        {"client = JDBC\n", "/api/2.0/connector-service/feature-flags/JDBC/1.0.0"},
        {"client_version = 2.1.0-rc1\n", "/api/2.0/connector-service/feature-flags/GOLANG/2.1.0"},
    };
    hf_conn conn;

    for (size_t i = 0; i < COUNT(rows); i++) {
        start_service();
        hf_flag_service_script(service, &missing, 1);
        start_cache("%s", "");
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(has_status(conn, 404), BOUND_MS));
        CHECK(hf_test_explain(plugin, conn, A).next_refresh_ms > 800000);
        CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "%s", rows[i].line), HF_OK);
        CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
        CHECK_INT_EQ(requests(), 2);
        CHECK_STR_EQ(path_of(0), DEFAULT_PATH);
        CHECK_STR_EQ(path_of(1), rows[i].path);
        stop_all();
    }
}

static void test_other_service(void)
{
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 404);
    hf_flag_service_set_flag(other, "a", true);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_status(conn, 404), BOUND_MS));
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "service = %s\n", hf_flag_service_url(other)), HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(hf_flag_service_count(other), 1);
    CHECK_INT_EQ(member("references"), 1);
    stop_all();
    hf_flag_service_stop(other);
}

/* http is not permitted any more: nothing is sent, and what is known stays. */
static void test_http_is_forbidden(void)
{
    hf_conn conn;

    start_service();
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_reload(plugin, "flags = a, b\nallow_http = off\n"), HF_OK);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(hf_flag_service_url(service)) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_REFUSED);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK(HF_WAIT_UNTIL(!has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

/* ---- whom to trust, what to show, which way to go ---- */

#define PATIENT "connect_timeout = 5min\nrequest_timeout = 5min\n" /* handshakes under valgrind */

static void test_ca_file(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};
    hf_conn conn;

    service = hf_flag_service_start(&options);
    hf_flag_service_set_flag(service, "a", true);
    start_cache(PATIENT);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS PATIENT "ca_file = %s\n", hf_certs_ca_file(certs)), HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    stop_all();
}

static void test_client_certificate(void)
{
    char server[512], url[64];
    struct hf_nginx *nginx;
    hf_conn conn;

    snprintf(server, sizeof(server),
        "ssl_certificate %s; ssl_certificate_key %s; ssl_verify_client on; "
        "ssl_client_certificate %s;",
        hf_certs_cert_file(certs, HF_CERT_GOOD), hf_certs_key_file(certs), hf_certs_ca_file(certs));
    nginx = hf_nginx_start(&(struct hf_nginx_options){.listen = "ssl", .server = server});
    if (!CHECK(nginx != NULL))
        return;
    hf_nginx_write(nginx, "{\"flags\":{\"a\":true}}");
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", hf_nginx_port(nginx));
    start_cache(PATIENT "ca_file = %s\n", hf_certs_ca_file(certs));
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(has_status(conn, 400), BOUND_MS));
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS PATIENT "ca_file = %s\nclient_cert_file = %s\n",
                     hf_certs_ca_file(certs), hf_certs_client_with_key_file(certs)),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    plugin->fini();
    hf_nginx_stop(nginx);
}

/* The name is one that only a proxy can reach. */
static void test_proxy(void)
{
    struct hf_http_proxy_options broken = {.target_port = 0}, good = {.target_port = 0};
    struct hf_http_proxy *first, *second;
    hf_conn conn;

    start_service();
    good.target_port = hf_flag_service_port(service);
    first = hf_http_proxy_start(&broken);
    second = hf_http_proxy_start(&good);
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\nallow_http = any\nproxy = 127.0.0.1:%u\n",
                     hf_http_proxy_port(first)),
        HF_OK);
    conn = hf_test_connect(plugin, "http://flags.invalid");
    CHECK(HF_WAIT_UNTIL(has_status(conn, 502), BOUND_MS));
    CHECK_INT_EQ(hf_test_reload(plugin, "flags = a, b\nallow_http = any\nproxy = 127.0.0.1:%u\n",
                     hf_http_proxy_port(second)),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(hf_http_proxy_count(first), 1);
    CHECK_INT_EQ(hf_http_proxy_count(second), 1);
    stop_all();
    hf_http_proxy_stop(first);
    hf_http_proxy_stop(second);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 one bad value among good ones, for each setting of requests: nothing changes",
            test_all_or_nothing},
        {"C84 C66 after a 401 another token_env: asked again at once", test_token_from_environment},
        {"C84 C66 after 401 and 403 another token_file: asked again at once", test_token_from_file},
        {"C84 C28 from a token that cannot be read to one that can", test_unreadable_token},
        {"C84 C64 a 401 while values are fresh, another token: asked at once, values stay",
            test_known_values},
        {"C84 C66 after a 404 another endpoint, client, client_version: asked at once",
            test_other_place},
        {"C84 C18 after a 404 another service: asked there at once", test_other_service},
        {"C84 C33 allow_http is taken away and given back", test_http_is_forbidden},
        {"C84 C32 another ca_file", test_ca_file},
        {"C84 C32 another client_cert_file", test_client_certificate},
        {"C84 C32 another proxy", test_proxy},
    };
    int status;

    certs = hf_certs_create();
    directory = hf_tmpdir_create();
    if (!certs || !directory)
        return 1;
    status = run_tests("reload_requests", tests, COUNT(tests), argc, argv);
    hf_tmpdir_remove(directory);
    hf_certs_destroy(certs);
    return status;
}

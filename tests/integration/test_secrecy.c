/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything that can be read is read, and searched for what nobody may read: tokens and a proxy's
 * password, as they are and in base64. The services give back in every answer what they were sent.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/integration/secrets.h"
#include "tests/support/certs.h"
#include "tests/support/http_proxy.h"
#include "tests/support/tmpdir.h"

static struct hf_certs *certs;
static char *directory;

static void check_everything(void)
{
    char *json = hf_test_status(plugin, HF_STATUS_JSON);
    char *metrics = hf_test_status(plugin, HF_STATUS_PROMETHEUS);

    CHECK(strstr(json, "last_message") != NULL);
    check_text("the status as JSON", json);
    check_text("the status for Prometheus", metrics);
    check_text("the error text", hf_test_error());
    for (size_t i = 0; i < COUNT(secrets); i++)
        CHECK(!hf_test_log_contains(secrets[i]));
    free(json);
    free(metrics);
}

/* What a service may say. Each row has the token in it, where one can be. */
static const struct hf_flag_reply replies[] = {
    {.status = 200},
    {.status = 200, .body = "{\"flags\":\"" TOKEN "\"}", .body_len = 11 + sizeof(TOKEN)},
    {.status = 200, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 200, .headers = "ETag: \"" TOKEN "\""},
    {.status = 302, .headers = "Location: https://x.example/?token=" TOKEN},
    {.status = 302, .headers = "Location: https://u:" TOKEN "@x.example/"},
    {.status = 303, .headers = "Location: /login#" TOKEN},
    {.status = 302, .headers = "Location: /x/" TOKEN "/y"},
    {.status = 302, .headers = "Location: https://x.example/" TOKEN_64},
    {.status = 303, .headers = "Location: //x.example/" TOKEN},
    {.status = 401, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 403, .headers = "WWW-Authenticate: Bearer error=\"" TOKEN "\""},
    {.status = 404, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 429, .headers = "Retry-After: " TOKEN, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 503, .headers = "Retry-After: 60 " TOKEN},
    {.status = 500, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.fault = HF_FAULT_CLOSE},
    {.fault = HF_FAULT_BOMB, .bomb_mib = 2},
};

static int32_t give(void *ctx, const char *host, char *buf, size_t size)
{
    (void)ctx;
    (void)host;
    memcpy(buf, TOKEN, size < sizeof(TOKEN) - 1 ? size : sizeof(TOKEN) - 1);
    return sizeof(TOKEN) - 1;
}

/* One life of the plugin with a token from `source` and the service's reply. */
static void live_with(const char *source, const struct hf_flag_reply *reply)
{
    struct hf_host host = hf_test_host();
    hf_conn conn;

    host.get_token = give;
    start_service();
    hf_flag_service_set_reply(service, reply);
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init_with(plugin, &host,
                     "flags = a, b\nallow_http = loopback\nallowed_hosts = 127.0.0.1\n%s", source),
        HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    CHECK_STR_EQ(hf_flag_request_header(hf_flag_service_request(service, 0), "Authorization"),
        "Bearer " TOKEN);
    check_everything();
    CHECK_INT_EQ(hf_test_reload(plugin, "flags = a, b\nttl = soon\n%s", source), HF_E_INVALID);
    check_text("the error of reload", hf_test_error());
    stop_all();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\n%s\nbad = 1\n", source), HF_E_INVALID);
    check_text("the error of init", hf_test_error());
    for (size_t i = 0; i < COUNT(secrets); i++)
        CHECK(!hf_test_log_contains(secrets[i]));
}

static void test_plugin(void)
{
    char *file = hf_tmpdir_write(directory, "token", TOKEN "\n"), from_file[512];
    const char *const sources[] = {"", "token_env = HF_TEST_TOKEN\n", from_file};

    setenv("HF_TEST_TOKEN", TOKEN, 1);
    snprintf(from_file, sizeof(from_file), "token_file = %s\n", file);
    for (size_t i = 0; i < COUNT(sources); i++)
        for (size_t j = 0; j < COUNT(replies); j++)
            live_with(sources[i], &replies[j]);
    unsetenv("HF_TEST_TOKEN");
    free(file);
}

/* The name of the variable is the token: somebody has mistaken the setting. */
static void test_mistaken_setting(void)
{
    hf_conn conn;

    start_service();
    start_cache("token_env = " TOKEN "\nallowed_hosts = 127.0.0.1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TOKEN);
    check_everything();
    stop_all();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a\ntoken = " TOKEN "\n"), HF_E_INVALID);
    check_text("the error of init", hf_test_error());
}

/* TLS that fails, a name that is none, a proxy that refuses. */
static void test_on_the_way(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_WRONG_NAME),
        .key_file = hf_certs_key_file(certs)};
    struct hf_http_proxy_options proxy_options = {.credentials = "Basic eDp5"};
    struct hf_http_proxy *proxy = hf_http_proxy_start(&proxy_options);
    char *file = hf_tmpdir_write(directory, "token", TOKEN);
    hf_conn tls, name;

    service = hf_flag_service_start(&options);
    start_cache("token_file = %s\nallowed_hosts = 127.0.0.1, db.example\nca_file = %s\n"
                "proxy = http://user:" PASSWORD "@127.0.0.1:%u\n",
        file, hf_certs_ca_file(certs), hf_http_proxy_port(proxy));
    tls = connect_service();
    name = hf_test_connect(plugin, "db.example");
    CHECK(HF_WAIT_UNTIL(has_failed(tls) && has_failed(name), BOUND_MS));
    CHECK_STR_CONTAINS(hf_http_proxy_request(proxy, 0), PASSWORD_64);
    check_everything();
    stop_all();
    hf_http_proxy_stop(proxy);
    free(file);
}

/* Answers that are hardly HTTP: what libcurl says of them is shown. */
static void test_garbage(void)
{
    static const char *const answers[] = {
        TOKEN "\r\n\r\n",
        "HTTP/" TOKEN " 200 OK\r\n\r\n",
        "HTTP/1.1 " TOKEN "\r\n\r\n",
        "HTTP/1.1 418 " TOKEN "\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" TOKEN "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: " TOKEN "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: " TOKEN "\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: " TOKEN "\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" TOKEN "\r\n",
        "HTTP/1.1 200 OK\r\nLocation: https://x.example/" TOKEN "\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 no\r\nWWW-Authenticate: " TOKEN " x=\"" TOKEN "\"\r\n\r\n",
    };
    char *file = hf_tmpdir_write(directory, "token", TOKEN);

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct gate gate = gate_open();
        hf_conn conn;
        int fd;

        start_cache("token_file = %s\nallowed_hosts = 127.0.0.1\n", file);
        conn = hf_test_connect(plugin, gate.url);
        fd = gate_take(&gate);
        CHECK_INT_EQ(send(fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL), strlen(answers[i]));
        close(fd);
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        check_everything();
        plugin->fini();
        gate_close(&gate);
    }
    free(file);
}

/* Nobody is asked where the name is not found; and nothing is said of a token then. */
static void test_no_such_name(void)
{
    char *file = hf_tmpdir_write(directory, "token", TOKEN);
    hf_conn conn;

    start_cache("token_file = %s\nallowed_hosts = *.invalid\n", file);
    conn = hf_test_connect(plugin, "db.invalid");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    check_everything();
    plugin->fini();
    free(file);
}

static const struct hf_test tests[] = {
    {"C70 the plugin shows no token, from whatever source, whatever the service says", test_plugin},
    {"C70 nor one that was written where its variable's name belongs", test_mistaken_setting},
    {"C70 nor a proxy's password, nor anything when TLS or a name fails", test_on_the_way},
    {"C41 C70 nor what a service that hardly speaks HTTP gives back", test_garbage},
    {"C60 C70 nor anything when a name is not found", test_no_such_name},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    directory = hf_tmpdir_create();
    if (!certs || !directory)
        return 1;
    status = run_tests("secrecy", tests, COUNT(tests), argc, argv);
    hf_tmpdir_remove(directory);
    hf_certs_destroy(certs);
    return status;
}

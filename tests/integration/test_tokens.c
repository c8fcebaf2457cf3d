/* SPDX-License-Identifier: PostgreSQL
 *
 * Tokens on their way: which request carries which, what happens without one, and how a new one is
 * noticed. test_get_token.c has those of the host program.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/tmpdir.h"

static char *directory;

static void write_token(const char *name, const char *token)
{
    free(hf_tmpdir_write(directory, name, token));
}

/* start_cache with token_file = DIRECTORY/NAME and loopback allowed. */
__attribute__((format(printf, 2, 3))) static void start_with_file(
    const char *name, const char *format, ...)
{
    char lines[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(lines, sizeof(lines), format, args);
    va_end(args);
    start_cache(
        "token_file = %s/%s\nallowed_hosts = 127.0.0.1, 127.0.0.2\n%s", directory, name, lines);
}

static const char *sent_token(struct hf_flag_service *to, size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(to, i);

    return request ? hf_flag_request_header(request, "Authorization") : "no request";
}

static size_t count_headers(struct hf_flag_service *of, size_t i, const char *name)
{
    const struct hf_flag_request *request = hf_flag_service_request(of, i);
    size_t count = 0;

    for (size_t j = 0; request && j < request->header_count; j++)
        count += strcasecmp(request->header_names[j], name) == 0;
    return count;
}

static int32_t last_error(hf_conn conn)
{
    return hf_test_explain(plugin, conn, A).last_error;
}

static void test_https_and_loopback(void)
{
    struct hf_certs *certs = hf_certs_create();
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};
    struct hf_flag_service *https = hf_flag_service_start(&options);
    hf_conn conn;

    start_service();
    write_token("token", "token-1\n");
    start_with_file("token", "ca_file = %s\n", hf_certs_ca_file(certs));
    conn = hf_test_connect(plugin, hf_flag_service_url(https));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(https, 0), "Bearer token-1");
    CHECK_INT_EQ(count_headers(https, 0, "Authorization"), 1);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), "Bearer token-1");
    CHECK_INT_EQ(count_headers(service, 0, "Authorization"), 1);
    stop_all();

    /* Under `any` nothing is sent by http, not even here; https has its token. */
    start_service();
    hf_flag_service_clear_log(https);
    CHECK_INT_EQ(hf_test_init(plugin,
                     "flags = a, b\nallow_http = any\ntoken_file = %s/token\nallowed_hosts = "
                     "127.0.0.1\nca_file = %s\n",
                     directory, hf_certs_ca_file(certs)),
        HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), NULL);
    conn = hf_test_connect(plugin, hf_flag_service_url(https));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(https, 0), "Bearer token-1");
    stop_all();
    hf_flag_service_stop(https);
    hf_certs_destroy(certs);
}

static void test_each_host_its_own(void)
{
    struct hf_flag_service_options at = {.address = "127.0.0.2"};
    struct hf_flag_service *other = hf_flag_service_start(&at);
    hf_conn first, second;

    start_service();
    hf_flag_service_set_flag(other, "a", true);
    write_token("127.0.0.1", "first");
    write_token("127.0.0.2", "second");
    start_cache("token_file = %s/{host}\n", directory);
    first = connect_service();
    second = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK(HF_WAIT_UNTIL(is_known(first) && is_known(second), BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), "Bearer first");
    CHECK_STR_EQ(sent_token(other, 0), "Bearer second");
    stop_all();
    hf_flag_service_stop(other);
}

static void test_read_anew(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    write_token("token", "token-1");
    start_with_file("token", "ttl = 500ms\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    write_token("token", "token-2");
    CHECK(HF_WAIT_UNTIL(
        strcmp(sent_token(service, requests() - 1), "Bearer token-2") == 0, BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), "Bearer token-1");
    stop_all();
}

/* Nothing is sent without the token; when it is there, it is noticed long before the backoff would
 * be over: after five failures that is 40 s at least. */
static void test_missing(void)
{
    hf_conn conn;
    char *message;
    int64_t next_ms;

    start_service();
    start_with_file("missing", "%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(last_error(conn), HF_FETCH_TOKEN);
    for (int failures = 2; failures <= 5; failures++) {
        CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(member("failures_in_a_row") == failures, BOUND_MS));
    }
    message =
        hf_test_status_string(plugin, "127.0.0.1", hf_flag_service_port(service), "last_message");
    CHECK_STR_CONTAINS(message, "nothing was sent: the file ");
    CHECK_STR_CONTAINS(message, "/missing cannot be read: No such file or directory");
    free(message);
    CHECK_INT_EQ(requests(), 0);
    CHECK_INT_EQ(member("requests"), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);

    next_ms = hf_test_explain(plugin, conn, A).next_refresh_ms;
    CHECK(next_ms > 30000);
    write_token("missing", "token-1");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), "Bearer token-1");
    CHECK_INT_EQ(member("failures_in_a_row"), 0);
    stop_all();
}

/* 401 and 403: the same token is not tried again for a quarter of an hour, another one is. */
static void test_rejected(void)
{
    static const unsigned statuses[] = {401, 403};

    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct hf_answer answer;
        hf_conn conn;
        int64_t written_ms;

        start_service();
        hf_flag_service_set_status(service, statuses[i]);
        write_token("token", "token-1");
        start_with_file("token", "%s", "");
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        answer = hf_test_explain(plugin, conn, A);
        CHECK_INT_EQ(answer.http_status, statuses[i]);
        CHECK_INT_BETWEEN(answer.next_refresh_ms, 14 * 60000, 17 * 60000);
        if (i == 0) { /* missing, then written again, and the same */
            char *path = hf_tmpdir_path(directory, "token");

            unlink(path);
            free(path);
            CHECK(HF_STAYS(requests() == 1, 4000));
            write_token("token", "token-1 \n");
            CHECK(HF_STAYS(requests() == 1, 4000));
        }

        hf_flag_service_set_status(service, 200);
        written_ms = hf_wait_now_ms();
        write_token("token", "token-2");
        CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
        CHECK_INT_EQ(requests(), 2);
        CHECK_STR_EQ(sent_token(service, 1), "Bearer token-2");
        CHECK_INT_BETWEEN(asked_ms(1) - written_ms, 0, hf_wait_slow_ms(5000));
        stop_all();
    }
}

/* The change happens while nobody is connected. */
static void test_rejected_and_left(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 401);
    write_token("token", "token-1");
    start_with_file("token", "linger = 0\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    plugin->on_disconnect(conn);
    hf_flag_service_set_status(service, 200);
    write_token("token", "token-2");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_not_found(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 404);
    write_token("token", "token-1");
    start_with_file("token", "%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_BETWEEN(hf_test_explain(plugin, conn, A).next_refresh_ms, 14 * 60000, 17 * 60000);
    write_token("token", "token-2");
    CHECK(HF_STAYS(requests() == 1, 4000));
    stop_all();
}

/* Nothing can change by itself where no token is configured: no looks, 15 min. */
static void test_none_configured(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 401);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(count_headers(service, 0, "Authorization"), 0);
    CHECK_INT_BETWEEN(hf_test_explain(plugin, conn, A).next_refresh_ms, 14 * 60000, 17 * 60000);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", hf_flag_service_port(service), "last_message",
        "401: this service wants a token, and none is configured (see token_file)"));
    hf_flag_service_set_status(service, 200);
    CHECK(HF_STAYS(requests() == 1, 4000));
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    stop_all();
}

/* What stands beside the hosts' names in a path is the operator's; a name cannot leave it. */
static void test_names_in_paths(void)
{
    static const char *const names[] = {
        "..", "../127.0.0.1", "127.0.0.1/../secret", "a/b", ".", "...", "%2e%2e", "a\\b"};

    start_service();
    start_cache("token_file = %s/{host}\n", directory);
    for (size_t i = 0; i < COUNT(names); i++)
        if (!CHECK(hf_test_connect(plugin, names[i]) == HF_NO_CONN))
            printf("            name: %s\n", names[i]);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    stop_all();
}

static void test_environment(void)
{
    hf_conn conn;

    start_service();
    setenv("HF_TEST_TOKEN", "token-e", 1);
    start_cache("token_env = HF_TEST_TOKEN\nallowed_hosts = 127.0.0.1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(service, 0), "Bearer token-e");
    plugin->fini();
    unsetenv("HF_TEST_TOKEN");
    start_cache("token_env = HF_TEST_TOKEN\nallowed_hosts = 127.0.0.1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(last_error(conn), HF_FETCH_TOKEN);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- allowed_hosts ---- */

static void test_allowed_hosts(void)
{
    hf_conn conn;
    char *status;

    start_service();
    start_cache("allowed_hosts = flags.example, *.allowed.example\n");
    for (int i = 0; i < 3; i++)
        CHECK(connect_service() == HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "allowed.example") == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 4);
    status = hf_test_status(plugin, HF_STATUS_JSON);
    CHECK_STR_CONTAINS(status, "\"not_allowed\":4");
    free(status);
    CHECK_INT_EQ(hf_test_log_count("is not among the hosts of allowed_hosts"), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    conn = hf_test_connect(plugin, "x.allowed.example");
    CHECK(conn != HF_NO_CONN);
    CHECK_INT_EQ(requests(), 0);
    plugin->fini();

    CHECK_INT_EQ(
        hf_test_init(plugin, "flags = a\ntoken_file = %s/token\n", directory), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "token_file names one token for every host");
    CHECK_STR_CONTAINS(hf_test_error(), "allowed_hosts");
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a\ntoken_env = HF_TEST_TOKEN\n"), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "token_env names one token for every host");
    stop_all();
}

static const struct hf_test tests[] = {
    {"C28 C33 over https and to loopback literals, but under `any` never by http",
        test_https_and_loopback},
    {"C28 each host gets its own token", test_each_host_its_own},
    {"C28 the file is read anew for each request", test_read_anew},
    {"C28 C66 without the token nothing is sent; once it is there, soon", test_missing},
    {"C66 401 and 403: another token is noticed within 5 s, the same one is not tried",
        test_rejected},
    {"C66 a token that changes while nobody is connected", test_rejected_and_left},
    {"C66 404: asked again after 15 min, whatever the token", test_not_found},
    {"C66 401 where no token is configured: asked again after 15 min, or by refresh",
        test_none_configured},
    {"C23 C28 no name of a host leads to another file", test_names_in_paths},
    {"C28 a token from the environment", test_environment},
    {"C34 a host outside allowed_hosts: no reference, no request", test_allowed_hosts},
};

int main(int argc, char **argv)
{
    int status;

    directory = hf_tmpdir_create();
    if (!directory)
        return 1;
    status = run_tests("tokens", tests, COUNT(tests), argc, argv);
    hf_tmpdir_remove(directory);
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Which requests go through which proxy, if any: the setting, the environment, loopback; and what
 * is said of a proxy that is not there. localhost is a name and no loopback literal.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/integration/once.h"
#include "tests/support/certs.h"
#include "tests/support/http_proxy.h"
#include "tests/support/name_server.h"
#include "tests/support/process.h"

static struct hf_certs *certs;

/* address: NULL for 127.0.0.1. */
static struct hf_flag_service *start(const char *address, bool tls)
{
    struct hf_flag_service_options options = {.address = address,
        .cert_file = tls ? hf_certs_cert_file(certs, HF_CERT_GOOD) : NULL,
        .key_file = tls ? hf_certs_key_file(certs) : NULL};
    struct hf_flag_service *started = hf_flag_service_start(&options);

    if (!started)
        abort();
    hf_flag_service_set_flag(started, "a", true);
    return started;
}

/* target_port 0: it refuses everything. */
static struct hf_http_proxy *start_proxy(const struct hf_http_proxy_options *options)
{
    struct hf_http_proxy *proxy = hf_http_proxy_start(options);

    if (!proxy)
        abort();
    return proxy;
}

/* "proxy = URL", and what allows all that is asked here. */
static void start_cache_with_proxy(const char *proxy)
{
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\nallow_http = any\nca_file = %s\nproxy = %s\n",
                     hf_certs_ca_file(certs), proxy),
        HF_OK);
}

static void url_of(char url[64], const struct hf_http_proxy *proxy)
{
    snprintf(url, 64, "http://127.0.0.1:%u", hf_http_proxy_port(proxy));
}

/* ---- the environment, each row in a process of its own ---- */

struct choice {
    const char *variable; /* that names the proxy */
    const char *more; /* in the environment; NULL */
    bool tls;
    bool through;
};

static void check_choice(const struct choice *choice, struct hf_http_proxy *proxy)
{
    struct hf_flag_service *asked = start(NULL, choice->tls);
    size_t before = hf_http_proxy_count(proxy);
    char variable[128], url[64], name[64], settings[512], *output;
    const char *const env[] = {variable, choice->more, NULL};
    struct hf_process *process;

    url_of(url, proxy);
    snprintf(variable, sizeof(variable), "%s=%s", choice->variable, url);
    snprintf(name, sizeof(name), "%s://localhost:%u", choice->tls ? "https" : "http",
        hf_flag_service_port(asked));
    snprintf(settings, sizeof(settings), "flags = a\nallow_http = any\nca_file = %s\n",
        hf_certs_ca_file(certs));
    process = hf_process_start(
        &(struct hf_process_options){.argv = once_argv(settings, name), .env = env, .merge = true});
    if (CHECK(process != NULL) && CHECK(hf_process_wait_exit(process, BOUND_MS, NULL))) {
        output = hf_process_output(process, HF_STDOUT);
        CHECK_STR_CONTAINS(output, choice->through ? "on=0 " : "error=0 status=200 on=1 ");
        if (!CHECK_INT_EQ(hf_http_proxy_count(proxy) - before, choice->through))
            fprintf(stderr, "            in: %s %s\n", variable, name);
        CHECK_INT_EQ(hf_flag_service_count(asked), !choice->through);
        free(output);
    }
    hf_process_destroy(process);
    hf_flag_service_stop(asked);
}

static void test_environment(void)
{
    static const struct choice rows[] = {
        {"https_proxy", NULL, true, true},
        {"HTTPS_PROXY", NULL, true, true},
        {"https_proxy", NULL, false, false},
        {"http_proxy", NULL, false, true},
        {"http_proxy", NULL, true, false},
        {"all_proxy", NULL, true, true},
        {"ALL_PROXY", NULL, false, true},
        {"https_proxy", "no_proxy=localhost", true, false},
        {"https_proxy", "NO_PROXY=elsewhere.example", true, true},
    };
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy = start_proxy(&options);

    for (size_t i = 0; i < COUNT(rows); i++)
        check_choice(&rows[i], proxy);
    hf_http_proxy_stop(proxy);
}

/* What libcurl does not understand, it repeats. */
static void test_bad_environment(void)
{
    static const char *const rows[] = {"http://user:hidden@127.0.0.1:99999", "user:hidden@h:x",
        "ftp://user:hidden@127.0.0.1:1", "http://user:hidden/x@127.0.0.1:1", "http://user:hidden"};

    for (size_t i = 0; i < COUNT(rows); i++) {
        char variable[128], *output;
        const char *const env[] = {variable, "HF_VERBOSE=1", NULL};
        struct hf_process *process;

        snprintf(variable, sizeof(variable), "https_proxy=%s", rows[i]);
        process = hf_process_start(&(struct hf_process_options){
            .argv = once_argv("flags = a\n", "localhost"), .env = env, .merge = true});
        if (CHECK(process != NULL) && CHECK(hf_process_wait_exit(process, BOUND_MS, NULL))) {
            output = hf_process_output(process, HF_STDOUT);
            CHECK_STR_CONTAINS(output, "warning: asking for the flags of https://localhost failed");
            CHECK_STR_CONTAINS(output, "\"last_message\":\"the proxy's URL, which is not shown");
            CHECK(strstr(output, "hidden") == NULL);
            free(output);
        }
        hf_process_destroy(process);
    }
}

/* What the environment would leave out as well. */
static void test_setting_wins(void)
{
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy = start_proxy(&options), *other = start_proxy(&options);
    char url[64];
    hf_conn conn;

    url_of(url, other);
    setenv("https_proxy", url, 1);
    setenv("no_proxy", "*", 1);
    url_of(url, proxy);
    start_cache_with_proxy(url);
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_http_proxy_count(proxy), 1);
    CHECK_INT_EQ(hf_http_proxy_count(other), 0);
    plugin->fini();
    unsetenv("https_proxy");
    unsetenv("no_proxy");
    hf_http_proxy_stop(proxy);
    hf_http_proxy_stop(other);
}

/* ---- loopback ---- */

static void test_loopback(void)
{
    static const struct {
        const char *address;
        bool tls;
    } rows[] = {
        {"127.0.0.1", false},
        {"127.0.0.1", true},
        {"127.0.0.9", false},
        {"::1", false},
        {"::1", true},
    };
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy = start_proxy(&options);
    char url[64];

    url_of(url, proxy);
    start_cache_with_proxy(url);
    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_conn conn;

        service = start(rows[i].address, rows[i].tls);
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
        hf_flag_service_stop(service);
    }
    CHECK_INT_EQ(hf_http_proxy_count(proxy), 0);
    plugin->fini();
    hf_http_proxy_stop(proxy);
}

/* What counts is where the request goes, not what the upstream is called. */
static void test_setting_service(void)
{
    static const struct {
        const char *asked, *upstream;
        bool through;
    } rows[] = {{"127.0.0.1", "db.example", false}, {"localhost", "127.0.0.1", true}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_http_proxy_options options = {.target_port = 0};
        struct hf_http_proxy *proxy;
        char text[128];
        hf_conn conn;

        service = start(NULL, true);
        options.target_port = hf_flag_service_port(service);
        proxy = start_proxy(&options);
        snprintf(text, sizeof(text), "http://127.0.0.1:%u\nservice = https://%s:%u",
            hf_http_proxy_port(proxy), rows[i].asked, hf_flag_service_port(service));
        start_cache_with_proxy(text);
        conn = hf_test_connect(plugin, rows[i].upstream);
        CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
        CHECK_INT_EQ(hf_http_proxy_count(proxy), rows[i].through);
        stop_all();
        hf_http_proxy_stop(proxy);
    }
}

/* ---- plain http: the proxy sees all of the request, and so no token ---- */

static void test_plain(void)
{
    struct hf_http_proxy_options options = {.target_port = 0};
    char text[256], *line;
    struct hf_http_proxy *proxy;
    hf_conn conn;

    start_service();
    options.target_port = hf_flag_service_port(service);
    proxy = start_proxy(&options);
    setenv("HF_TEST_TOKEN", "secret-1", 1);
    snprintf(text, sizeof(text),
        "http://127.0.0.1:%u\ntoken_env = HF_TEST_TOKEN\nallowed_hosts = localhost",
        hf_http_proxy_port(proxy));
    start_cache_with_proxy(text);
    unsetenv("HF_TEST_TOKEN");
    snprintf(text, sizeof(text), "http://localhost:%u", hf_flag_service_port(service));
    conn = hf_test_connect(plugin, text);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    if (asprintf(&line, "GET %s/api/", text) < 0)
        abort();
    CHECK_STR_CONTAINS(hf_http_proxy_request(proxy, 0), line);
    CHECK(strcasestr(hf_http_proxy_request(proxy, 0), "Authorization:") == NULL);
    CHECK(strstr(hf_http_proxy_request(proxy, 0), "secret-1") == NULL);
    free(line);
    stop_all();
    hf_http_proxy_stop(proxy);
}

static void test_plain_refused(void)
{
    struct hf_http_proxy_options options = {.credentials = "Basic eDp5"};
    struct hf_http_proxy *proxy = start_proxy(&options);
    char url[64];
    hf_conn conn;

    url_of(url, proxy);
    start_cache_with_proxy(url);
    conn = hf_test_connect(plugin, "http://localhost:8080");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_HTTP);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 407);
    CHECK(hf_test_status_is(plugin, "localhost", 8080, "last_message",
        "407: the proxy wants another user or password (setting proxy)"));
    plugin->fini();
    hf_http_proxy_stop(proxy);
}

/* ---- no proxy there ---- */

static void check_absent(const char *proxy, int32_t error, const char *said)
{
    char *message;
    hf_conn conn;

    start_cache_with_proxy(proxy);
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, error);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).http_status, 0);
    message = hf_test_status_string(plugin, "localhost", 443, "last_message");
    CHECK_STR_CONTAINS(message, said);
    CHECK(strstr(message, "hidden") == NULL);
    CHECK(!hf_test_log_contains("hidden"));
    free(message);
    plugin->fini();
}

static void test_down(void)
{
    static const char *const here[] = {"127.0.0.1"};
    char proxy[64], said[32];
    unsigned port = hf_net_free_port(here, 1);

    snprintf(proxy, sizeof(proxy), "http://user:hidden@127.0.0.1:%u", port);
    snprintf(said, sizeof(said), "127.0.0.1 port %u", port);
    check_absent(proxy, HF_FETCH_CONNECT, said);
}

static void test_no_such_name(void)
{
    if (!hf_name_server_is_covered()) {
        hf_test_skip("look-ups of names cannot be kept on this machine here");
        return;
    }
    check_absent("http://user:hidden@proxy.invalid:3128", HF_FETCH_DNS, "proxy.invalid");
}

/* A value that came through a proxy outlives the proxy. */
static void test_goes_away(void)
{
    struct hf_http_proxy_options options = {.target_port = 0};
    struct hf_http_proxy *proxy;
    char text[64];
    hf_conn conn;

    service = start(NULL, true);
    hf_flag_service_set_ttl(service, NULL);
    options.target_port = hf_flag_service_port(service);
    proxy = start_proxy(&options);
    snprintf(text, sizeof(text), "127.0.0.1:%u\nttl = 500ms", hf_http_proxy_port(proxy));
    start_cache_with_proxy(text);
    conn = hf_test_connect(plugin, "localhost");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_http_proxy_stop(proxy);
    CHECK(HF_WAIT_UNTIL(is_stale(conn) && has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_CONNECT);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STALE);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C32 the variables of the environment, each for its scheme", test_environment},
    {"C70 a proxy of the environment that is none: its password is not shown",
        test_bad_environment},
    {"C32 the setting wins over the environment, exceptions included", test_setting_wins},
    {"C32 loopback literals are asked directly whatever the setting says", test_loopback},
    {"C32 with the setting service: what counts is who is asked", test_setting_service},
    {"C32 C33 plain http through a proxy takes no token along", test_plain},
    {"C32 C60 a proxy that refuses a plain request: 407", test_plain_refused},
    {"C32 C60 no proxy listens there: connect", test_down},
    {"C32 C60 the proxy's name leads nowhere: dns", test_no_such_name},
    {"C32 C59 the proxy goes away: the value stays", test_goes_away},
};

int main(int argc, char **argv)
{
    static const char *const variables[] = {"http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"};
    int status;

    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("http proxy choice", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Which entry a host's name leads to, and what the service sees of a request: method, path,
 * headers, port. Where names must not be resolved, the setting `service` sends all requests to one
 * service. Names that are refused, and plain http: test_names.c.
 */
#include "tests/integration/cache_fixture.h"

#include "tests/support/certs.h"

#define PATH "/api/2.0/connector-service/feature-flags/GOLANG/1.0.0"

/* With all requests sent to the one service, whatever the host. */
static void start_for_any_host(void)
{
    start_service();
    start_cache("service = %s\n", hf_flag_service_url(service));
}

static const char *header(size_t request, const char *name)
{
    const struct hf_flag_request *found = hf_flag_service_request(service, request);

    return found ? hf_flag_request_header(found, name) : "no such request";
}

static const char *path(size_t request)
{
    const struct hf_flag_request *found = hf_flag_service_request(service, request);

    return found ? found->path : "no such request";
}

/* ---- one host, many spellings ---- */

static void test_spellings(void)
{
    static const char *const spellings[] = {"dbc-1.example", "DBC-1.Example",
        "https://dbc-1.example", "HTTPS://dbc-1.example/", "dbc-1.example/", "dbc-1.example.",
        "dbc-1.example:443", "https://DBC-1.example.:443/"};
    hf_conn conn = HF_NO_CONN;

    start_for_any_host();
    for (size_t i = 0; i < COUNT(spellings); i++)
        CHECK((conn = hf_test_connect(plugin, spellings[i])) != HF_NO_CONN);
    CHECK(hf_test_connect_to(plugin, "dbc-1.example", 443, NULL) != HF_NO_CONN);
    CHECK(hf_test_connect_to(plugin, "dbc-1.example:443", 443, "") != HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "dbc-1.example", 443, "references"),
        (long long)COUNT(spellings) + 2);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
    CHECK(hf_test_connect_to(plugin, "dbc-1.example:443", 8443, NULL) == HF_NO_CONN);
    CHECK(hf_test_log_contains("the port in it is not the port given with it"));
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 1);
    stop_all();
}

/* ---- what keeps entries apart ---- */

static void test_ports(void)
{
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn first, second, third;

    start_service();
    start_cache("%s", "");
    hf_flag_service_set_flag(other, "b", true);
    first = connect_service();
    second = hf_test_connect(plugin, hf_flag_service_url(other));
    third = hf_test_connect_to(plugin, "http://127.0.0.1", hf_flag_service_port(other), NULL);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 2);
    CHECK(HF_WAIT_UNTIL(is_known(first) && is_known(second), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(first, B), 0);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 0);
    CHECK_INT_EQ(plugin->is_enabled(second, B), 1);
    CHECK_INT_EQ(plugin->is_enabled(third, B), 1);
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(hf_flag_service_count(other), 1);
    stop_all();
    hf_flag_service_stop(other);
}

/* On the same port, http and https are two entries; this service speaks TLS. */
static void test_schemes(void)
{
    struct hf_certs *certs = hf_certs_create();
    const struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
        .key_file = hf_certs_key_file(certs),
    };
    hf_conn http, https;
    char url[64];

    service = hf_flag_service_start(&options);
    hf_flag_service_set_flag(service, "a", true);
    start_cache("ca_file = %s\n", hf_certs_ca_file(certs));
    snprintf(url, sizeof(url), "http://%s", hf_flag_service_host(service));
    https = hf_test_connect(plugin, hf_flag_service_host(service));
    http = hf_test_connect(plugin, url);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 2);
    CHECK(HF_WAIT_UNTIL(is_known(https) && has_failed(http), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(https, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(http, A), 0);
    CHECK_INT_EQ(requests(), 1);
    CHECK_STR_EQ(path(0), PATH);
    stop_all();
    hf_certs_destroy(certs);
}

/* One service answers for all; scheme, name and port still make entries of their own. */
static void test_service_setting(void)
{
    static const char *const hosts[] = {"dbc-1.example", "dbc-1.example:8443",
        "http://dbc-1.example", "http://dbc-1.example:443", "dbc-2.example"};
    hf_conn conn;

    start_for_any_host();
    for (size_t i = 0; i < COUNT(hosts); i++) {
        hf_flag_service_set_flag(service, "b", i % 2 == 1);
        conn = hf_test_connect(plugin, hosts[i]);
        CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
        CHECK_INT_EQ(plugin->is_enabled(conn, B), i % 2 == 1);
    }
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), (long long)COUNT(hosts));
    CHECK_INT_EQ(requests(), (long long)COUNT(hosts));
    for (size_t i = 0; i < COUNT(hosts); i++)
        CHECK_STR_EQ(header(i, "Host"), hf_flag_service_host(service));
    stop_all();
}

/* {host} is the upstream's name, without its port. */
static void test_service_template(void)
{
    hf_conn conn;

    start_service();
    start_cache("service = http://{host}:%u\n", hf_flag_service_port(service));
    conn = hf_test_connect(plugin, "127.0.0.1:5432");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(header(0, "Host"), hf_flag_service_host(service));
    CHECK(hf_test_status_has(plugin, "127.0.0.1", 5432));
    stop_all();
}

static void test_two_hosts(void)
{
    const struct hf_flag_service_options elsewhere = {.address = "127.0.0.2"};
    struct hf_flag_service *other = hf_flag_service_start(&elsewhere);
    hf_conn first, second, third;

    start_service();
    start_cache("linger = 0\n");
    hf_flag_service_set_flag(other, "b", true);
    first = connect_service();
    second = hf_test_connect(plugin, hf_flag_service_url(other));
    third = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK(HF_WAIT_UNTIL(is_known(first) && is_known(second), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(first, B), 0);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 0);
    CHECK_INT_EQ(plugin->is_enabled(second, B), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", 0, "references"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.2", 0, "references"), 2);
    plugin->on_disconnect(first);
    CHECK(!hf_test_status_has(plugin, "127.0.0.1", 0));
    CHECK_INT_EQ(plugin->is_enabled(third, B), 1);
    stop_all();
    hf_flag_service_stop(other);
}

static void test_two_orgs(void)
{
    const char *url;
    hf_conn conns[3];

    start_service();
    start_cache("%s", "");
    url = hf_flag_service_url(service);
    conns[0] = hf_test_connect_to(plugin, url, 0, "1111");
    CHECK(HF_WAIT_UNTIL(is_known(conns[0]), BOUND_MS));
    hf_flag_service_set_flag(service, "a", false);
    conns[1] = hf_test_connect_to(plugin, url, 0, "2222");
    CHECK(HF_WAIT_UNTIL(is_known(conns[1]), BOUND_MS));
    conns[2] = hf_test_connect_to(plugin, url, 0, "1111");
    CHECK_INT_EQ(plugin->is_enabled(conns[0], A), 1);
    CHECK_INT_EQ(plugin->is_enabled(conns[1], A), 0);
    CHECK_INT_EQ(plugin->is_enabled(conns[2], A), 1);
    CHECK_INT_EQ(requests(), 2);
    CHECK_STR_EQ(header(0, "x-databricks-org-id"), "1111");
    CHECK_STR_EQ(header(1, "x-databricks-org-id"), "2222");
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1#1111", 0, "references"), 2);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1#2222", 0, "references"), 1);
    stop_all();
}

static void test_one_org_on_two_hosts(void)
{
    hf_conn first, second;

    start_for_any_host();
    first = hf_test_connect_to(plugin, "dbc-1.example", 0, "1111");
    CHECK(HF_WAIT_UNTIL(is_known(first), BOUND_MS));
    hf_flag_service_set_flag(service, "a", false);
    second = hf_test_connect_to(plugin, "dbc-2.example", 0, "1111");
    CHECK(HF_WAIT_UNTIL(is_known(second), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(first, A), 1);
    CHECK_INT_EQ(plugin->is_enabled(second, A), 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 2);
    CHECK_STR_EQ(header(0, "x-databricks-org-id"), "1111");
    CHECK_STR_EQ(header(1, "x-databricks-org-id"), "1111");
    stop_all();
}

/* ---- the request ---- */

static void test_request_line(void)
{
    hf_conn conn;

    start_service();
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(hf_flag_service_request(service, 0)->method, "GET");
    CHECK_STR_EQ(path(0), PATH);
    plugin->fini();
    start_cache("client = Python\nclient_version = 3.1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(path(1), "/api/2.0/connector-service/feature-flags/Python/3.1");
    stop_all();
}

/* A query is sent only where the setting `endpoint` asks for one. */
static void test_endpoint(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_body(service, "{\"flags\":{\"a\":true}}");
    start_cache("endpoint = /api/2.0/feature-flags?flags={flags}\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(path(0), "/api/2.0/feature-flags?flags=a,b");
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    stop_all();
}

static void test_version_suffix(void)
{
    hf_conn conn;

    start_service();
    start_cache("client_version = 1.2.0-rc1\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(path(0), "/api/2.0/connector-service/feature-flags/GOLANG/1.2.0");
    stop_all();
}

static void check_user_agent(const char *name, const char *version, const char *rest)
{
    struct hf_host host = hf_test_host();
    char expected[128];
    hf_conn conn;

    host.name = name;
    host.version = version;
    snprintf(expected, sizeof(expected), "hostflags/%s%s", plugin->version, rest);
    start_service();
    CHECK_INT_EQ(hf_test_init_with(plugin, &host, "flags = a\nallow_http = loopback\n"), HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(header(0, "User-Agent"), expected);
    stop_all();
}

static void test_user_agent(void)
{
    check_user_agent("test", "1.0", " (test 1.0)");
    check_user_agent("odyssey", NULL, " (odyssey)");
    check_user_agent(NULL, NULL, "");
    check_user_agent("evil\r\nX-Injected: 1", "1)", " (evilX-Injected:1 1)");
}

static void test_no_double_slash(void)
{
    char url[64];
    hf_conn conn;

    start_service();
    snprintf(url, sizeof(url), "%s/", hf_flag_service_url(service));
    start_cache("%s", "");
    conn = hf_test_connect(plugin, url);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(path(0), PATH);
    plugin->fini();
    start_cache("service = %s\n", url);
    conn = hf_test_connect(plugin, "dbc-1.example/");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(path(1), PATH);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C17 spellings of one host are one entry; its ports must agree", test_spellings},
    {"C18 another port is another entry, and asked there", test_ports},
    {"C18 http and https are two entries", test_schemes},
    {"C18 service: asked there, while the entries stay apart", test_service_setting},
    {"C18 service = http://{host}:port follows the host", test_service_template},
    {"C19 two hosts have flags and counts of their own", test_two_hosts},
    {"C20 two org ids on one host have flags and requests of their own", test_two_orgs},
    {"C21 one org id on two hosts: two entries", test_one_org_on_two_hosts},
    {"C25 GET, exactly the path with client and version, no query", test_request_line},
    {"C25 the setting endpoint replaces the path", test_endpoint},
    {"C26 a version's suffix is stripped", test_version_suffix},
    {"C27 the User-Agent names hostflags and the host program", test_user_agent},
    {"C30 no double slash in the path", test_no_double_slash},
};

int main(int argc, char **argv)
{
    return run_tests("request", tests, COUNT(tests), argc, argv);
}

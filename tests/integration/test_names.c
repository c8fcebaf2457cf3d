/* SPDX-License-Identifier: PostgreSQL
 *
 * Names of hosts that are refused, literal addresses, org ids, and where plain http may go.
 */
#include "tests/integration/cache_fixture.h"

#define PATH "/api/2.0/connector-service/feature-flags/GOLANG/1.0.0"

/* With all requests sent to the one service, whatever the host. */
static void start_for_any_host(void)
{
    start_service();
    start_cache("defaults = b=on\nservice = %s\n", hf_flag_service_url(service));
}

/* Afterwards a good name still gets its flags, and its request is the only one. */
static void check_all_refused(const char *const *names, size_t count)
{
    hf_conn conn;

    for (size_t i = 0; i < count; i++) {
        conn = hf_test_connect(plugin, names[i]);
        if (!CHECK(conn == HF_NO_CONN))
            fprintf(stderr, "taken: \"%s\"\n", names[i]);
        CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
        CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    }
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), (long long)count);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "gets no flags"), 1);
    conn = hf_test_connect(plugin, "dbc-1.example");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
}

static void test_no_name(void)
{
    static const char *const names[] = {NULL, "", " ", "\t", "https://", "http:///", ":443", "/"};

    start_for_any_host();
    check_all_refused(names, COUNT(names));
    stop_all();
}

static void test_bad_names(void)
{
    static const char *const names[] = {"user:secret@dbc-1.example", "user@dbc-1.example",
        "https://user:secret@dbc-1.example", "dbc-1.example/path", "dbc-1.example//",
        "dbc-1.example?query", "dbc-1.example#fragment", "dbc-1.example\\",
        "https:\\\\dbc-1.example", "dbc 1.example", " dbc-1.example", "dbc-1.example ",
        "dbc-1.example\r\nX-Injected: 1", "dbc-1.example\n", "dbc-1\x01.example",
        "dbc-1\xe2\x80\x8b.example", "dbc-1\x7f.example", "dbc..1.example", ".dbc-1.example",
        "ftp://dbc-1.example", "file:///etc/passwd", "dbc-1.example:", "dbc-1.example:https",
        "dbc-1.example:0", "dbc-1.example:65536", "dbc-1.example:-1", "dbc-1.example:443:443",
        "[::1", "::1]", "[::1]x", "[127.0.0.1]", "[::g]", "1.2.3.256", "1.2.3", "0x7f000001",
        "m\xc3\xbcnchen.example", "dbc%2d1.example"};

    start_for_any_host();
    check_all_refused(names, COUNT(names));
    stop_all();
}

static void test_long_name(void)
{
    char longest[64 * 4], too_long[sizeof(longest) + 1];
    const char *const names[] = {too_long};

    memset(longest, 'x', sizeof(longest));
    for (size_t i = 63; i < sizeof(longest); i += 64)
        longest[i] = '.';
    longest[253] = '\0';
    snprintf(too_long, sizeof(too_long), "%sx", longest);
    start_for_any_host();
    check_all_refused(names, COUNT(names));
    CHECK(hf_test_connect(plugin, longest) != HF_NO_CONN);
    CHECK(hf_test_status_has(plugin, longest, 443));
    stop_all();
}

/* Each on its own, since only the first refusal within a minute is logged. */
static void test_secrets(void)
{
    static const char *const names[] = {"https://user:secret@dbc-1.example",
        "user:secret@dbc-1.example", "https://user:se@cret@dbc-1.example/",
        "https://secret@dbc-1.example:99999"};

    for (size_t i = 0; i < COUNT(names); i++) {
        start_for_any_host();
        CHECK(hf_test_connect(plugin, names[i]) == HF_NO_CONN);
        CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "dbc-1.example"), 1);
        CHECK_INT_EQ(hf_test_log_count("user"), 0);
        CHECK_INT_EQ(hf_test_log_count("secret"), 0);
        CHECK_INT_EQ(hf_test_log_count("cret@"), 0);
        stop_all();
    }
}

static void test_query(void)
{
    static const char *const names[] = {"https://dbc-1.example/sql?token=secret",
        "dbc-1.example?secret", "https://dbc-1.example/secret", "dbc-1.example#secret",
        "https://dbc-1.example/?a=b@secret", "https://user:se?cret@dbc-1.example"};

    for (size_t i = 0; i < COUNT(names); i++) {
        start_for_any_host();
        CHECK(hf_test_connect(plugin, names[i]) == HF_NO_CONN);
        CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "gets no flags"), 1);
        CHECK_INT_EQ(hf_test_log_count("secret"), 0);
        CHECK_INT_EQ(hf_test_log_count("cret@"), 0);
        CHECK_INT_EQ(hf_test_log_count("user"), 0);
        stop_all();
    }
}

/* What is logged is one line, whatever the name. */
static void test_log_is_one_line(void)
{
    start_for_any_host();
    CHECK(hf_test_connect(plugin, "dbc-1\r\nERROR: forged\x1b[2J.example") == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "dbc-1"), 1);
    CHECK_INT_EQ(hf_test_log_count("\n"), 0);
    CHECK_INT_EQ(hf_test_log_count("\r"), 0);
    CHECK_INT_EQ(hf_test_log_count("\x1b"), 0);
    stop_all();
}

/* ---- literal addresses and international names ---- */

static void test_ipv4(void)
{
    hf_conn bare, with_port;

    start_service();
    start_cache("service = http://{host}:%u\n", hf_flag_service_port(service));
    bare = hf_test_connect(plugin, "127.0.0.1");
    with_port = hf_test_connect(plugin, "127.0.0.1:8443");
    CHECK(HF_WAIT_UNTIL(is_known(bare) && is_known(with_port), BOUND_MS));
    CHECK(hf_test_status_has(plugin, "127.0.0.1", 443));
    CHECK(hf_test_status_has(plugin, "127.0.0.1", 8443));
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_ipv6_names(void)
{
    hf_conn conn;

    start_for_any_host();
    conn = hf_test_connect(plugin, "[2001:DB8::1]");
    CHECK(hf_test_connect(plugin, "2001:db8:0::1") != HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "https://[2001:db8::1]:443/") != HF_NO_CONN);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "2001:db8::1", 443, "references"), 3);
    CHECK(hf_test_connect(plugin, "[2001:db8::1]:8443") != HF_NO_CONN);
    CHECK(hf_test_status_has(plugin, "2001:db8::1", 8443));
    stop_all();
}

static void test_ipv6_request(void)
{
    const struct hf_flag_service_options options = {.address = "::1"};
    int fd = hf_net_listen("::1", 0);
    hf_conn direct, by_template;

    if (fd < 0) {
        hf_test_skip("this machine has no address ::1");
        return;
    }
    close(fd);
    service = hf_flag_service_start(&options);
    start_cache("%s", "");
    direct = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(direct), BOUND_MS));
    CHECK_STR_EQ(hf_flag_service_request(service, 0)->client, "::1");
    plugin->fini();
    start_cache("service = http://{host}:%u\n", hf_flag_service_port(service));
    by_template = hf_test_connect(plugin, "::1");
    CHECK(HF_WAIT_UNTIL(is_known(by_template), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    stop_all();
}

static void test_punycode(void)
{
    hf_conn conn;

    start_for_any_host();
    conn = hf_test_connect(plugin, "XN--bcher-kva.example");
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(hf_test_status_has(plugin, "xn--bcher-kva.example", 443));
    stop_all();
}

/* ---- org ids ---- */

static void test_bad_org_ids(void)
{
    static const char *const org_ids[] = {"12a", "-1", " 1", "1 ", "1.0", "+1", "0x10",
        "1\r\nX-Injected: 1", "123456789012345678901", "\xd9\xa1"};
    hf_conn plain;

    start_for_any_host();
    plain = hf_test_connect(plugin, "dbc-1.example");
    CHECK(HF_WAIT_UNTIL(is_known(plain), BOUND_MS));
    for (size_t i = 0; i < COUNT(org_ids); i++)
        CHECK(hf_test_connect_to(plugin, "dbc-1.example", 0, org_ids[i]) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "dbc-1.example", 0, "references"), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), (long long)COUNT(org_ids));
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "org id"), 1);
    stop_all();
}

static void test_no_org_id(void)
{
    hf_conn plain, with;

    start_for_any_host();
    plain = hf_test_connect_to(plugin, "dbc-1.example", 0, "");
    CHECK(hf_test_connect_to(plugin, "dbc-1.example", 0, NULL) != HF_NO_CONN);
    CHECK(HF_WAIT_UNTIL(is_known(plain), BOUND_MS));
    with = hf_test_connect_to(plugin, "dbc-1.example", 0, "12345678901234567890");
    CHECK(HF_WAIT_UNTIL(is_known(with), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    CHECK(!hf_flag_request_header(hf_flag_service_request(service, 0), "x-databricks-org-id"));
    CHECK_STR_EQ(hf_flag_request_header(hf_flag_service_request(service, 1), "x-databricks-org-id"),
        "12345678901234567890");
    CHECK_INT_EQ(hf_test_status_int(plugin, "dbc-1.example#", 0, "references"), 2);
    stop_all();
}

/* ---- plain http ---- */

static int32_t init_http(const char *allow, const char *more)
{
    hf_test_log_clear();
    return hf_test_init(plugin, "flags = a, b\ndefaults = b=on\nallow_http = %s\n%s", allow, more);
}

static void check_http_refused(hf_conn conn)
{
    struct hf_answer answer;

    CHECK(conn != HF_NO_CONN);
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    answer = hf_test_explain(plugin, conn, B);
    CHECK_INT_EQ(answer.last_error, HF_FETCH_REFUSED);
    CHECK_INT_EQ(answer.http_status, 0);
    CHECK_INT_EQ(answer.enabled, 1);
    CHECK_INT_EQ(answer.reason, HF_REASON_DEFAULT);
    CHECK(HF_WAIT_UNTIL(hf_test_log_count_level(HF_LOG_WARNING, "allow_http") == 1, BOUND_MS));
    CHECK_INT_EQ(requests(), 0);
}

static void test_http_off(void)
{
    start_service();
    CHECK_INT_EQ(init_http("off", ""), HF_OK);
    check_http_refused(connect_service());
    CHECK(hf_test_status_is(
        plugin, "127.0.0.1", hf_flag_service_port(service), "last_error", "refused"));
    plugin->fini();
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\ndefaults = b=on\n"), HF_OK); /* the default */
    check_http_refused(connect_service());
    stop_all();
}

/* A name may lead anywhere: only a literal is surely loopback. */
static void test_http_loopback(void)
{
    const struct hf_flag_service_options elsewhere = {.address = "127.9.8.7"};
    struct hf_flag_service *other = hf_flag_service_start(&elsewhere);
    char name[64];
    hf_conn conn;

    start_service();
    CHECK_INT_EQ(init_http("loopback", ""), HF_OK);
    snprintf(name, sizeof(name), "http://localhost:%u", hf_flag_service_port(service));
    check_http_refused(hf_test_connect(plugin, name));
    conn = hf_test_connect(plugin, hf_flag_service_url(other));
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(other), 1);
    CHECK_INT_EQ(requests(), 0);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    stop_all();
    hf_flag_service_stop(other);
}

/* The setting `service` is no way around it. */
static void test_http_service(void)
{
    char line[64];

    start_service();
    snprintf(line, sizeof(line), "service = http://localhost:%u", hf_flag_service_port(service));
    CHECK_INT_EQ(init_http("loopback", line), HF_OK);
    check_http_refused(hf_test_connect(plugin, "dbc-1.example"));
    stop_all();
}

static void test_http_any(void)
{
    char name[64];
    hf_conn conn;

    start_service();
    CHECK_INT_EQ(init_http("any", ""), HF_OK);
    snprintf(name, sizeof(name), "http://localhost:%u", hf_flag_service_port(service));
    conn = hf_test_connect(plugin, name);
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_STR_EQ(hf_flag_service_request(service, 0)->path, PATH);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C22 no name: refused and counted, no shared entry", test_no_name},
    {"C23 bad names: refused, counted, logged once", test_bad_names},
    {"C23 a name over 253 bytes is refused", test_long_name},
    {"C23 what is logged of a refused name holds no user info", test_secrets},
    {"C23 what is logged of a refused name holds no path and no query", test_query},
    {"C23 what is logged of a refused name is one line", test_log_is_one_line},
    {"C24 IPv4 literals, with and without port", test_ipv4},
    {"C24 IPv6 literals, with and without brackets and port", test_ipv6_names},
    {"C24 an IPv6 literal is asked", test_ipv6_request},
    {"C24 an international name as punycode", test_punycode},
    {"C29 an org id that is no number is refused and shares nothing", test_bad_org_ids},
    {"C29 no org id: no header", test_no_org_id},
    {"C33 plain http is refused unless allow_http permits it", test_http_off},
    {"C33 allow_http = loopback: literals of 127.0.0.0/8 only", test_http_loopback},
    {"C33 allow_http = loopback holds for the setting service, too", test_http_service},
    {"C33 allow_http = any: any name", test_http_any},
};

int main(int argc, char **argv)
{
    return run_tests("names", tests, COUNT(tests), argc, argv);
}

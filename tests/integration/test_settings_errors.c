/* SPDX-License-Identifier: PostgreSQL
 *
 * Bad settings: init says which key, which value, and what would be valid; and nothing is left
 * half-started. The grammar of each value is tested in the unit tests; here it is what an operator
 * sees through init.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/settled.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct hf_plugin *plugin;

/* ---- what is wrong, and what the error has to name ---- */

struct mistake {
    const char *settings;
    const char *key, *value, *valid;
};

static const struct mistake mistakes[] = {
    {"colour = blue", "colour", "", "flags"},
    {"tttl = 5min", "tttl", "", "ttl"},
    {"max_host = 5", "max_host", "", "max_hosts"},
    {"ttl = soon", "ttl", "soon", "ms"},
    {"ttl = 5", "ttl", "5", "ms"},
    {"ttl = 5 parsecs", "ttl", "5 parsecs", "min"},
    {"ttl = -5min", "ttl", "-5min", "min"},
    {"ttl = 50ms", "ttl", "50ms", "100ms"},
    {"ttl = 8d", "ttl", "8d", "7d"},
    {"ttl = 99999999999999999999d", "ttl", "99999999999999999999d", "7d"},
    {"ttl = ", "ttl", "", "7d"},
    {"ttl_min = 2h\nttl_max = 1h", "ttl_m", "h", "ttl_m"},
    {"linger = 31d", "linger", "31d", "7d"},
    {"max_stale = 31d", "max_stale", "31d", "30d"},
    {"connect_timeout = 6min", "connect_timeout", "6min", "5min"},
    {"request_timeout = 10ms", "request_timeout", "10ms", "100ms"},
    {"max_response_size = 1", "max_response_size", "1", "kB"},
    {"max_response_size = 65MB", "max_response_size", "65MB", "64MB"},
    {"max_response_size = 1GB", "max_response_size", "1GB", "MB"},
    {"max_in_flight = 0", "max_in_flight", "0", "1024"},
    {"max_in_flight = 1025", "max_in_flight", "1025", "1024"},
    {"max_hosts = 0", "max_hosts", "0", "1048576"},
    {"max_hosts = 1048577", "max_hosts", "1048577", "1048576"},
    {"max_hosts = many", "max_hosts", "many", "1048576"},
    {"max_connections = 16777217", "max_connections", "16777217", "16777216"},
    {"max_connections = 5kB", "max_connections", "5kB", "16777216"},
    {"enabled = maybe", "enabled", "maybe", "off"},
    {"prefetch = 2", "prefetch", "2", "off"},
    {"allow_http = always", "allow_http", "always", "loopback"},
    {"protocol = gopher", "protocol", "gopher", "databricks"},
    {"flags = a, b, a", "flags", "a", ""},
    {"flags = a,, b", "flags", "", ""},
    {"flags = ", "flags", "", ""},
    {"flags = a\ndefaults = b=on", "defaults", "b", "flags"},
    {"flags = a\noverrides = b=off", "overrides", "b", "flags"},
    {"flags = a\ndefaults = a=perhaps", "defaults", "perhaps", "off"},
    {"flags = a\noverrides = a", "overrides", "a", "="},
    {"flags = a\noverrides = a=on, a=off", "overrides", "a", ""},
    {"ca_file = /nonexistent/ca.pem", "ca_file", "/nonexistent/ca.pem", "No such file"},
    {"ca_file = /", "ca_file", "/", "file"},
    {"ttl = 5min\nttl = 6min", "ttl", "", ""},
};

static void print_if_wrong(bool right, const struct mistake *mistake)
{
    if (!right)
        printf("            after \"%s\": \"%s\"\n", mistake->settings, hf_test_error());
}

static void check_mistake(const struct mistake *mistake)
{
    int32_t result = hf_test_init(plugin, "%s\n", mistake->settings);
    bool right = CHECK_INT_EQ(result, HF_E_INVALID);

    right = CHECK_STR_CONTAINS(hf_test_error(), mistake->key) && right;
    right = CHECK_STR_CONTAINS(hf_test_error(), mistake->value) && right;
    right = CHECK_STR_CONTAINS(hf_test_error(), mistake->valid) && right;
    print_if_wrong(right, mistake);
    if (result == HF_OK)
        plugin->fini();
}

static void test_mistakes(void)
{
    for (size_t i = 0; i < COUNT(mistakes); i++)
        check_mistake(&mistakes[i]);
}

/* 64 flags are fine, 65 are not. */
static void test_too_many_flags(void)
{
    char flags[65 * 8] = "";

    for (int i = 0; i < 64; i++)
        sprintf(flags + strlen(flags), "%sf%d", i ? "," : "", i);
    CHECK_INT_EQ(hf_test_init(plugin, "flags = %s\n", flags), HF_OK);
    CHECK_INT_EQ(plugin->flag_index("f63"), 63);
    plugin->fini();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = %s,f64\n", flags), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "flags");
    CHECK_STR_CONTAINS(hf_test_error(), "64");
}

static void test_second_init(void)
{
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\n"), HF_OK);
    CHECK_INT_EQ(hf_test_init(plugin, "flags = c\n"), HF_E_STATE);
    CHECK_STR_CONTAINS(hf_test_error(), "initialised");
    CHECK_INT_EQ(plugin->flag_index("b"), 1);
    CHECK_INT_EQ(plugin->flag_index("c"), HF_E_NOTFOUND);
    plugin->fini();
}

/* ---- nothing half-started ---- */

static void test_nothing_half_started(void)
{
    struct hf_flag_service *service = hf_settled_service();
    int fds = hf_fds_count(0), threads = hf_fds_threads(0);
    hf_conn conn;

    for (size_t i = 0; i < COUNT(mistakes); i++) {
        if (hf_test_init(plugin, "%s\n", mistakes[i].settings) == HF_OK)
            plugin->fini(); /* test_mistakes reports it */
        CHECK(hf_test_connect(plugin, hf_flag_service_url(service)) == HF_NO_CONN);
    }
    CHECK_INT_EQ(plugin->status(HF_STATUS_JSON, NULL, 0), 0);
    CHECK_INT_EQ(plugin->flag_index("a"), HF_E_NOTFOUND);
    CHECK_INT_EQ(hf_fds_count(0), fds);
    CHECK_INT_EQ(hf_fds_threads(0), threads);
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    hf_flag_service_set_flag(service, "a", true);
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a\nallow_http = loopback\n"), HF_OK);
    CHECK_STR_EQ(hf_test_error(), "");
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    plugin->fini();
    hf_flag_service_stop(service);
}

/* A success does not start anything either: hosts daemonise after they have loaded their plugins.
 * */
static void test_init_starts_nothing(void)
{
    int fds = hf_fds_count(0);

    hf_settle();
    CHECK_INT_EQ(hf_test_init(plugin, "flags = a\n"), HF_OK);
    CHECK_INT_EQ(hf_fds_count(0), fds);
    CHECK_INT_EQ(hf_fds_threads(0), hf_threads_alone);
    plugin->fini();
    CHECK_INT_EQ(hf_fds_count(0), fds);
    CHECK_INT_EQ(hf_fds_threads(0), hf_threads_alone);
}

/* ---- the error buffer ---- */

#define ROOM 64

static void test_error_buffers(void)
{
    const struct hf_setting bad = {"ttl", "soon"};
    char whole[512], buffer[ROOM];

    CHECK_INT_EQ(plugin->init(NULL, &bad, 1, whole, sizeof(whole)), HF_E_INVALID);
    CHECK(strlen(whole) > ROOM);
    for (size_t size = 0; size < ROOM; size++) {
        memset(buffer, '#', sizeof(buffer));
        CHECK_INT_EQ(plugin->init(NULL, &bad, 1, buffer, size), HF_E_INVALID);
        if (size > 0 && CHECK(memchr(buffer, '\0', size) != NULL)) {
            CHECK_INT_EQ(strlen(buffer), size - 1);
            CHECK(strncmp(buffer, whole, size - 1) == 0);
        }
        for (size_t i = size; i < sizeof(buffer); i++)
            CHECK(buffer[i] == '#');
    }
    CHECK_INT_EQ(plugin->init(NULL, &bad, 1, NULL, 0), HF_E_INVALID);
    CHECK_INT_EQ(plugin->init(NULL, &bad, 1, NULL, 100), HF_E_INVALID);
}

/* An unprintable or endless value must not spoil the line that the operator reads. */
static void test_ugly_values(void)
{
    static char endless[20000];
    struct hf_setting bad = {"ttl", endless};
    char error[4096];

    memset(endless, '9', sizeof(endless) - 1);
    CHECK_INT_EQ(plugin->init(NULL, &bad, 1, error, sizeof(error)), HF_E_INVALID);
    CHECK_STR_CONTAINS(error, "ttl");
    bad.key = endless;
    CHECK_INT_EQ(plugin->init(NULL, &bad, 1, error, sizeof(error)), HF_E_INVALID);
    CHECK_STR_CONTAINS(error, "999");
}

/* ---- overrides and the kill switch: without a worker there is nobody to send a request ---- */

static void test_all_overridden(void)
{
    struct hf_flag_service *service = hf_settled_service();
    int threads = hf_fds_threads(0);
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", false);
    CHECK_INT_EQ(
        hf_test_init(plugin, "flags = a, b\noverrides = a=on, b=off\nallow_http = loopback\n"),
        HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(conn != HF_NO_CONN);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 1);
    CHECK_INT_EQ(plugin->is_enabled(conn, 1), 0);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_OVERRIDE);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 1).reason, HF_REASON_OVERRIDE);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 1).next_refresh_ms, -1);
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_STATE);
    CHECK_INT_EQ(hf_fds_threads(0), threads); /* nobody there to ask */
    plugin->fini();
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    hf_flag_service_stop(service);
}

static void test_one_overridden(void)
{
    struct hf_flag_service *service = hf_settled_service();
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", true);
    CHECK_INT_EQ(
        hf_test_init(plugin, "flags = a, b\noverrides = a=off\nallow_http = loopback\n"), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 1) == 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_OVERRIDE);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 1).reason, HF_REASON_STATIC);
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_switched_off(void)
{
    struct hf_flag_service *service = hf_settled_service();
    int threads = hf_fds_threads(0);
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
    CHECK_INT_EQ(hf_test_init(plugin,
                     "flags = a, b\nenabled = off\ndefaults = b=on\nallow_http = loopback\n"),
        HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(conn != HF_NO_CONN);
    CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
    CHECK_INT_EQ(plugin->is_enabled(conn, 1), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 0).reason, HF_REASON_DISABLED);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, 1).reason, HF_REASON_DISABLED);
    CHECK_INT_EQ(plugin->refresh(hf_flag_service_url(service)), HF_E_STATE);
    CHECK_INT_EQ(hf_fds_threads(0), threads);
    plugin->fini();
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    hf_flag_service_stop(service);
}

static const struct hf_test tests[] = {
    {"C83 init names the key, the value and what is valid", test_mistakes},
    {"C83 64 flags are fine, 65 are not", test_too_many_flags},
    {"C83 init while it is up is refused and changes nothing", test_second_init},
    {"C83 after a failed init nothing is half-started, and a good one works",
        test_nothing_half_started},
    {"C83 init starts no thread and opens no descriptor", test_init_starts_nothing},
    {"C83 C87 error buffers of any size, and none", test_error_buffers},
    {"C83 values that are very long", test_ugly_values},
    {"C81 all flags overridden: these answers, no request, no worker", test_all_overridden},
    {"C81 one flag overridden: the others as the service says", test_one_overridden},
    {"C82 switched off: the defaults, no request, no worker", test_switched_off},
};

int main(int argc, char **argv)
{
    hf_settled_init();
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("settings errors", tests, COUNT(tests), argc, argv);
}

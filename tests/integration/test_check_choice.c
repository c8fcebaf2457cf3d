/* SPDX-License-Identifier: PostgreSQL
 *
 * hostflags-host check: what it takes from the file and from the command line, and what it says
 * when something is wrong with them.
 */
#include "tests/integration/check_fixture.h"
#include "tests/support/name_server.h"
#include "tests/support/net.h"

#include <poll.h>
#include <unistd.h>

/* Lines of [proxy] and of the upstream; the plugin's flags are a (on), b (off) and c (not sent). */
static void write_sections(const char *proxy, const char *upstream)
{
    check_write_file("[proxy]\n%s\n[upstream:warehouse]\nlisten = 127.0.0.1:0\n"
                     "connect = 127.0.0.1:9\nhost = %s\n%s\n[plugin:hostflags]\n"
                     "library = %s/hostflags.so\nflags = a, b\nflags = c\nallow_http = loopback\n",
        proxy, hf_flag_service_url(service), upstream, build_directory());
}

static void test_flag(void)
{
    check_set_up();
    write_sections("", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    write_sections("telemetry_flag = b", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), OFF);
    CHECK_INT_EQ(RUN_CHECK(hf_flag_service_url(service)), OFF);
    write_sections("telemetry_flag = b", "telemetry_flag = c");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), UNKNOWN);
    CHECK_INT_EQ(RUN_CHECK(hf_flag_service_url(service)), OFF);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "-f", "a"), ON);
    CHECK_INT_EQ(RUN_CHECK("--flag=a", "warehouse"), ON);
    CHECK_INT_EQ(hf_flag_service_count(service), 7);

    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "A"), FAILED);
    CHECK_STR_CONTAINS(output, "the plugin knows no flag `A`; expected one of: a, b, c\n");
    write_sections("telemetry_flag = d", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "the plugin knows no flag `d`");
    check_write_file("[upstream:warehouse]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\n"
                     "[plugin:hostflags]\nlibrary = %s/hostflags.so\n",
        build_directory());
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "a"), FAILED);
    CHECK_STR_CONTAINS(output, "expected the plugin's own, as `flags` is not set\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 7);
    check_tear_down();
}

/* The org id that the latest request had, or "none". */
static const char *org_id_sent(void)
{
    const struct hf_flag_request *request =
        hf_flag_service_request(service, hf_flag_service_count(service) - 1);
    const char *sent = request ? hf_flag_request_header(request, "x-databricks-org-id") : NULL;

    return sent ? sent : "none";
}

static void test_org_id(void)
{
    check_set_up();
    write_sections("", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_EQ(org_id_sent(), "none");
    CHECK(strstr(output, "org id") == NULL);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--org-id", "4711"), ON);
    CHECK_STR_EQ(org_id_sent(), "4711");
    write_sections("", "org_id = 12");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_EQ(org_id_sent(), "12");
    CHECK_STR_CONTAINS(output, ", org id 12\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--org-id=4711"), ON);
    CHECK_STR_EQ(org_id_sent(), "4711");
    CHECK_INT_EQ(RUN_CHECK(hf_flag_service_url(service)), ON);
    CHECK_STR_EQ(org_id_sent(), "none");
    CHECK_INT_EQ(hf_flag_service_count(service), 5);
    check_tear_down();
}

/* It is no proxy: it can run beside the one that uses the same file, and leaves nothing behind. */
static void test_beside_the_proxy(void)
{
    int listener = hf_net_listen("127.0.0.1", 0);
    char *telemetry, *socket;

    check_set_up();
    telemetry = hf_tmpdir_path(directory, "telemetry");
    socket = hf_tmpdir_path(directory, "socket");
    check_write_file("[proxy]\nlog_level = debug\ntelemetry = %s\nstatus_socket = %s\n"
                     "[upstream:warehouse]\nlisten = 127.0.0.1:%u\nconnect = 127.0.0.1:%u\n"
                     "host = %s\npool_size = 4\n[plugin:hostflags]\nlibrary = %s/hostflags.so\n"
                     "flags = a\nallow_http = loopback\n",
        telemetry, socket, hf_net_port(listener), hf_net_port(listener),
        hf_flag_service_url(service), build_directory());
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK(strncmp(output, "asked    ", strlen("asked    ")) == 0);
    CHECK_INT_EQ(hf_net_wait(listener, POLLIN, -1, 0), 0);
    CHECK(access(telemetry, F_OK) != 0);
    CHECK(access(socket, F_OK) != 0);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    close(listener);
    free(telemetry);
    free(socket);
    check_tear_down();
}

static void test_command_line(void)
{
    static const struct {
        const char *words[4];
        const char *said;
    } rows[] = {
        {{"check", NULL}, "no upstream; expected check UPSTREAM --config FILE"},
        {{"check", "--config", "x", NULL}, "no upstream; expected check UPSTREAM --config FILE"},
        {{"check", "warehouse", NULL}, "no configuration file; expected check UPSTREAM --config"},
        {{"check", "warehouse", "--config", NULL}, "a configuration file is missing after"},
        {{"check", "warehouse", "--flag", NULL}, "a flag is missing after"},
        {{"check", "warehouse", "--org-id", NULL}, "a number for the org id is missing after"},
        {{"check", "one", "two", NULL}, "a second upstream `two`"},
        {{"check", "warehouse", "--flga", NULL}, "did you mean `--flag`?"},
    };

    check_set_up();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT_EQ(check_run(rows[i].words), FAILED);
        CHECK_STR_CONTAINS(output, rows[i].said);
    }
    CHECK_INT_EQ(check_run((const char *const[]){"check", "--help", NULL}), 0);
    CHECK_STR_CONTAINS(output, "Exit status: 0 the flag is on");
    check_tear_down();
}

/* Nothing that is wrong with the file lets a request out. */
static void test_file(void)
{
    static const char upstream[] =
        "[upstream:warehouse]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\n";

    check_set_up();
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "proxy.ini");
    CHECK_STR_CONTAINS(output, "No such file or directory");
    check_write_file("%s", upstream);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "proxy.ini has no section [plugin:NAME]; expected one with");
    check_write_file("%spoolsize = 1\n", upstream);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "pool_size");
    check_write_file("%s[plugin:x]\nlibrary = %s/missing.so\n", upstream, directory);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "/missing.so");

    check_write_config(hf_flag_service_url(service), "ttl = soon\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "ttl = \"soon\": expected a duration");
    check_write_config(hf_flag_service_url(service), "%s", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "refused: its flag service has a plain http address");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--org-id", "x"), FAILED);
    CHECK_STR_CONTAINS(output, "its org id is not a number");
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    check_tear_down();
}

/* A name that is no host says so, and one that is nearly a section's says which. */
static void test_upstream(void)
{
    check_set_up();
    write_sections("", "");
    CHECK_INT_EQ(RUN_CHECK("ware house"), FAILED);
    CHECK_STR_CONTAINS(output, "takes no connection to `ware house`, as it says above; did you ");
    CHECK_STR_CONTAINS(output, "mean the section [upstream:warehouse]?\n");
    CHECK_STR_CONTAINS(output, "WARNING: plugin: ");
    CHECK_INT_EQ(RUN_CHECK("no host"), FAILED);
    CHECK_STR_CONTAINS(output, "expected the NAME of a section [upstream:NAME] or a host\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    check_tear_down();
}

static void test_name(void)
{
    if (!hf_name_server_is_covered())
        return hf_test_skip("names would be looked up elsewhere: no mount namespace here");
    check_set_up();
    check_write_config("db.example", "allow_http = loopback\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "asked    https://db.example:443\nanswer   none after ");
    CHECK_STR_CONTAINS(output, "problem  dns: ");
    CHECK_STR_CONTAINS(output, "try      check the name, and the name server of this machine\n");
    CHECK_INT_EQ(RUN_CHECK("warehose"), FAILED);
    CHECK_STR_CONTAINS(output, "problem  dns: ");
    CHECK_STR_CONTAINS(output, "of this machine; did you mean the section [upstream:warehouse]?\n");
    CHECK_INT_EQ(RUN_CHECK("db.example"), FAILED);
    CHECK(strstr(output, "did you mean") == NULL);
    check_tear_down();
}

/* The host is the one that was named; where it is asked is another matter. */
static void test_service(void)
{
    check_set_up();
    check_write_config(
        "db.example", "allow_http = loopback\nservice = %s\n", hf_flag_service_url(service));
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_CONTAINS(output, "asked    https://db.example:443\nservice  http://127.0.0.1:");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    check_tear_down();
}

static void test_nobody_listens(void)
{
    static const char *const loopback = "127.0.0.1";
    char host[64];

    check_set_up();
    snprintf(host, sizeof(host), "http://127.0.0.1:%u", hf_net_free_port(&loopback, 1));
    write_sections("", "");
    CHECK_INT_EQ(RUN_CHECK(host), FAILED);
    CHECK_STR_CONTAINS(output, "answer   none after ");
    CHECK_STR_CONTAINS(output, "problem  connect: ");
    check_tear_down();
}

/* Plugins that cannot say how a request ended, or for which it does not end. */
static void test_other_plugins(void)
{
    static const char file[] = "[upstream:warehouse]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\n"
                               "[plugin:stub]\nlibrary = %s/tests/contract/%s.so\n%s";

    check_set_up();
    check_write_file(file, build_directory(), "plugin_older", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "hostflags-host: the plugin has no status that could be read");
    check_write_file(file, build_directory(), "plugin_never_ends", "request_timeout = 100ms\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "asked    https://db.example:443\nanswer   none after ");
    CHECK_STR_CONTAINS(output, " ms, and the request has not ended\n");
    check_tear_down();
}

static const struct hf_test tests[] = {
    {"C38 C83 check: the flag that decides is that of --flag, the upstream, [proxy], the first",
        test_flag},
    {"C20 C29 check: the org id is that of --org-id, or the upstream's", test_org_id},
    {"C02 check asks once, listens nowhere and writes no file", test_beside_the_proxy},
    {"C83 check with mistakes on the command line", test_command_line},
    {"C83 C88 C33 C29 check with mistakes in the file", test_file},
    {"C23 check with an upstream that is none, or nearly one", test_upstream},
    {"C60 check of names that are not found", test_name},
    {"C18 check tells where it asks, if that is not the host", test_service},
    {"C60 check of an address where nobody listens", test_nobody_listens},
    {"C86 C88 check with plugins that cannot say how it ended, or never end", test_other_plugins},
};

int main(int argc, char **argv)
{
    return hf_suite_run("check_choice", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

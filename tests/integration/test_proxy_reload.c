/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_reload.c: SIGHUP to the proxy with the real plugin: a changed plugin section takes
 * effect, or changes nothing and says why, while sessions go on. test_proxy_life.c has the rest of
 * SIGHUP.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/echo_server.h"
#include "tests/support/flag_service.h"

#define TOKEN "secret-token-"

static const char *const loopback = "127.0.0.1";

struct world {
    struct hf_flag_service *service;
    struct hf_echo *echo;
    struct proxy proxy;
    char plugin[2048];
    int session; /* is open all the time */
};

/* The configuration with these further lines in the plugin's section. */
static void write_config(struct world *world, const char *lines)
{
    snprintf(world->plugin, sizeof(world->plugin),
        "[plugin:hostflags]\nlibrary = %s\nflags = other\nflags = telemetry\n"
        "allow_http = loopback\nservice = http://{host}:%u\n%s",
        hf_build_path("hostflags.so"), hf_flag_service_port(world->service), lines);
    world->proxy.plugin = world->plugin;
    world->proxy.options = "telemetry_flag = telemetry\n";
    proxy_write_config(&world->proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 2\n",
        hf_echo_port(world->echo));
}

static bool echoes(int session)
{
    return write_text(session, "hello") && read_text(session, "hello");
}

/* With such a first answer. */
static bool world_start(struct world *world, unsigned status, const char *lines)
{
    world->session = -1;
    world->service = hf_flag_service_start(NULL);
    world->echo = hf_echo_start(&loopback, 1, 0);
    hf_flag_service_set_flag(world->service, "telemetry", true);
    hf_flag_service_script(world->service, &(struct hf_flag_reply){.status = status}, 1);
    proxy_prepare(&world->proxy);
    write_config(world, lines);
    if (!proxy_run(&world->proxy))
        return false;
    world->session = connect_to(proxy_port(&world->proxy, "a"));
    return CHECK(echoes(world->session)) &&
        CHECK(hf_flag_service_wait_requests(world->service, 1, BOUND_MS));
}

static void world_stop(struct world *world)
{
    CHECK(echoes(world->session)); /* whatever was reloaded */
    close(world->session);
    hf_process_signal(world->proxy.process, SIGTERM);
    proxy_check_end(&world->proxy);
    proxy_free(&world->proxy);
    hf_echo_stop(world->echo);
    hf_flag_service_stop(world->service);
}

/* What the plugin says of its one host. */
static bool status_has(struct world *world, const char *part)
{
    char *status = proxy_status(&world->proxy);
    bool has = status && strstr(status, part);

    free(status);
    return has;
}

static bool is_fresh(struct world *world)
{
    return status_has(world, "\"state\":\"fresh\"");
}

static void run_sessions(struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        int session = connect_to(proxy_port(&world->proxy, "a"));

        CHECK(echoes(session));
        close(session);
    }
}

/* So many telemetry lines, and no more by the time the next one is there. */
static bool has_lines(struct world *world, size_t count)
{
    return HF_WAIT_UNTIL(proxy_telemetry(&world->proxy, "") == count, BOUND_MS);
}

static void test_override(void)
{
    struct world world;

    if (!world_start(&world, 200, ""))
        return;
    CHECK(HF_WAIT_UNTIL(is_fresh(&world), BOUND_MS));
    run_sessions(&world, 5);
    CHECK(has_lines(&world, 5));
    write_config(&world, "overrides = telemetry=off\n");
    proxy_reload(&world.proxy, RELOADED);
    CHECK(status_has(&world, "\"telemetry\":{\"enabled\":false,\"reason\":\"override\"}"));
    run_sessions(&world, 5);
    write_config(&world, "");
    proxy_reload(&world.proxy, RELOADED);
    CHECK(status_has(&world, "\"telemetry\":{\"enabled\":true,\"reason\":\"static\"}"));
    run_sessions(&world, 3);
    CHECK(has_lines(&world, 8)); /* none for the five in between */
    CHECK_INT_EQ(hf_flag_service_count(world.service), 1);
    world_stop(&world);
}

static const char *authorization(struct world *world, size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(world->service, i);

    return request ? hf_flag_request_header(request, "Authorization") : "no such request";
}

/* The section with the token that lies in a file of that name. */
static void write_token(struct world *world, const char *name, const char *token)
{
    char *path = hf_tmpdir_write(world->proxy.directory, name, token);
    char lines[1024];

    snprintf(lines, sizeof(lines), "token_file = %s\nallowed_hosts = 127.0.0.1\n", path);
    write_config(world, lines);
    free(path);
}

static void test_token(void)
{
    struct world world;

    if (!world_start(&world, 401, ""))
        return;
    CHECK(HF_WAIT_UNTIL(status_has(&world, "\"http_status\":401"), BOUND_MS));
    write_token(&world, "old", TOKEN "1\n");
    hf_flag_service_script(world.service, &(struct hf_flag_reply){.status = 403}, 1);
    proxy_reload(&world.proxy, RELOADED);
    CHECK(HF_WAIT_UNTIL(status_has(&world, "\"http_status\":403"), BOUND_MS));
    write_token(&world, "new", TOKEN "2\n");
    proxy_reload(&world.proxy, RELOADED);
    CHECK(HF_WAIT_UNTIL(is_fresh(&world), BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(world.service), 3);
    CHECK_STR_EQ(authorization(&world, 0), NULL);
    CHECK_STR_EQ(authorization(&world, 1), "Bearer " TOKEN "1");
    CHECK_STR_EQ(authorization(&world, 2), "Bearer " TOKEN "2");
    run_sessions(&world, 3);
    CHECK(has_lines(&world, 3));
    CHECK(!proxy_logged(&world.proxy, TOKEN));
    CHECK(!status_has(&world, TOKEN));
    world_stop(&world);
}

/* The override among the bad ones would be seen, as would a request. */
static void check_nothing_changes(struct world *world, size_t lines, const char *reason)
{
    proxy_reload(&world->proxy, NOT_RELOADED);
    if (!CHECK(HF_WAIT_UNTIL(proxy_logged(&world->proxy, reason), BOUND_MS)))
        fprintf(stderr, "expected in the log: %s\n", reason);
    CHECK(status_has(world, "\"telemetry\":{\"enabled\":true,\"reason\":\"static\"}"));
    run_sessions(world, 1);
    CHECK(has_lines(world, lines));
    CHECK(echoes(world->session));
}

static void test_refused(void)
{
    static const struct {
        const char *line, *reason;
    } rows[] = {
        {"ttl = soon", "ttl = \"soon\""},
        {"ca_file = /nowhere/ca.pem", "ca_file = \"/nowhere/ca.pem\""},
        {"allowed_hosts = a host", "allowed_hosts = \"a host\""},
        {"token_file = /run/token", "token_file names one token for every host"},
        {"proxy = gopher://user:" TOKEN "@p.example:70", "proxy = \"gopher://...@p.example:70\""},
        {"tokenfile = " TOKEN, "\"tokenfile\" (its value is not shown)"},
        {"max_hosts = 7", "max_hosts: a change needs a restart"},
        {"max_hosts = 7\nmax_connections = 7", "max_hosts, max_connections: a change needs a"},
        {"flags = third", "flags: a change needs a restart"},
    };
    struct world world;
    char lines[256];

    if (!world_start(&world, 200, ""))
        return;
    CHECK(HF_WAIT_UNTIL(is_fresh(&world), BOUND_MS));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(lines, sizeof(lines), "overrides = telemetry=off\n%s\n", rows[i].line);
        write_config(&world, lines);
        check_nothing_changes(&world, i + 1, rows[i].reason);
    }
    CHECK_INT_EQ(hf_flag_service_count(world.service), 1);
    CHECK(!proxy_logged(&world.proxy, TOKEN));
    CHECK(!proxy_logged(&world.proxy, RELOADED));

    write_config(
        &world, "overrides = telemetry=off\n"); /* none of them is in the way of a good one */
    proxy_reload(&world.proxy, RELOADED);
    CHECK(status_has(&world, "\"telemetry\":{\"enabled\":false,\"reason\":\"override\"}"));
    world_stop(&world);
}

/* The same settings, written differently: nobody is asked. */
static void test_other_spelling(void)
{
    struct world world;

    if (!world_start(&world, 404, "client = JDBC\n"))
        return;
    CHECK(HF_WAIT_UNTIL(status_has(&world, "\"http_status\":404"), BOUND_MS));
    snprintf(world.plugin, sizeof(world.plugin),
        "; another order, quotes, CRLF, one line of flags\r\n[plugin:hostflags]\r\n"
        "client = \"JDBC\"\r\nservice = \"http://{host}:%u\"\r\nallow_http = LOOPBACK\r\n"
        "flags = other, telemetry\r\nclient_version = 1.0.0\r\nlibrary = %s\r\n",
        hf_flag_service_port(world.service), hf_build_path("hostflags.so"));
    proxy_write_config(&world.proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 2\n",
        hf_echo_port(world.echo));
    proxy_reload(&world.proxy, RELOADED);
    write_config(&world, "client = NODEJS\n"); /* what is asked, is asked now, and only that */
    proxy_reload(&world.proxy, RELOADED);
    CHECK(HF_WAIT_UNTIL(is_fresh(&world), BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(world.service), 2);
    CHECK_STR_CONTAINS(hf_flag_service_request(world.service, 0)->path, "/JDBC/");
    CHECK_STR_CONTAINS(hf_flag_service_request(world.service, 1)->path, "/NODEJS/");
    world_stop(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 SIGHUP: an override flips telemetry and back, nobody is asked", test_override},
        {"C84 C66 SIGHUP: another token file is used at once, and never shown", test_token},
        {"C84 C85 SIGHUP: what the plugin refuses is said by key and value and changes nothing",
            test_refused},
        {"C84 C85 SIGHUP: the same settings in another spelling ask nobody", test_other_spelling},
    };

    return hf_suite_run("proxy_reload", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

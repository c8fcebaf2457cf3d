/* SPDX-License-Identifier: PostgreSQL
 *
 * test_status_live.c: `hostflags-host status` and `top` with the real plugin in a running proxy,
 * and a flag service that fails and recovers.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/echo_server.h"
#include "tests/support/flag_service.h"
#include "tests/support/pty.h"

static const char *const loopback = "127.0.0.1";

struct world {
    struct hf_flag_service *service;
    struct hf_echo *echo;
    struct proxy proxy;
    char plugin[1024];
};

static bool world_start(struct world *world)
{
    world->service = hf_flag_service_start(NULL);
    world->echo = hf_echo_start(&loopback, 1, 0);
    hf_flag_service_set_flag(world->service, "telemetry", true);
    hf_flag_service_set_flag(world->service, "other", false);
    hf_flag_service_set_ttl(world->service, "1");
    proxy_prepare(&world->proxy);
    snprintf(world->plugin, sizeof(world->plugin),
        "[plugin:hostflags]\nlibrary = %s\nflags = telemetry, other\nallow_http = any\n"
        "service = http://127.0.0.1:%u\nttl_min = 100ms\n",
        hf_build_path("hostflags.so"), hf_flag_service_port(world->service));
    world->proxy.plugin = world->plugin;
    proxy_write_config(&world->proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = one.test\n"
        "pool_size = 4\n"
        "[upstream:b]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = two.test:8443\n"
        "pool_size = 2\n",
        hf_echo_port(world->echo), hf_echo_port(world->echo));
    return proxy_run(&world->proxy);
}

static void world_stop(struct world *world)
{
    hf_process_signal(world->proxy.process, SIGTERM);
    proxy_check_end(&world->proxy);
    proxy_free(&world->proxy);
    hf_echo_stop(world->echo);
    hf_flag_service_stop(world->service);
}

/* What `status` prints, for the caller to free. */
static char *status_of(struct world *world, const char *option)
{
    const char *argv[] = {
        hf_build_path("hostflags-host"), "status", "--config", world->proxy.config, option, NULL};
    char *output = NULL;

    CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &output), 0);
    return output ? output : strdup("");
}

/* Whether a line begins with the host and has all these words, in this order. */
static bool has_row(const char *table, const char *host, const char *const *words)
{
    const char *at = table;
    char line[512];

    for (; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        const char *rest = line + strlen(host);

        snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\r\n"), at);
        if (strncmp(line, host, strlen(host)) != 0 || *rest != ' ')
            continue;
        for (; *words && (rest = strstr(rest, *words)); words++)
            rest += strlen(*words);
        return !*words;
    }
    return false;
}

#define HAS_ROW(table, ...) \
    has_row(table, (const char *const[]){__VA_ARGS__, NULL}[0], \
        (const char *const[]){__VA_ARGS__, NULL} + 1)

static bool shows(struct world *world, const char *host, const char *references, const char *state,
    const char *error)
{
    char *table = status_of(world, NULL);
    bool found = HAS_ROW(table, host, references, state, "1/2", error);

    free(table);
    return found;
}

static void test_states(void)
{
    struct world world;
    char *table;

    if (!world_start(&world))
        return;
    CHECK(HF_WAIT_UNTIL(shows(&world, "one.test", " 4 ", " fresh ", " -"), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(shows(&world, "two.test:8443", " 2 ", " fresh ", " -"), BOUND_MS));
    hf_flag_service_set_status(world.service, 503);
    CHECK(HF_WAIT_UNTIL(shows(&world, "one.test", " 4 ", " stale ", " http 503"), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(shows(&world, "two.test:8443", " 2 ", " stale ", " http 503"), BOUND_MS));
    table = status_of(&world, NULL);
    CHECK_STR_CONTAINS(table, "http 503\n    503: "); /* and below it, in words */
    free(table);
    hf_flag_service_set_status(world.service, 200);
    CHECK(HF_WAIT_UNTIL(shows(&world, "one.test", " 4 ", " fresh ", " -"), 3 * BOUND_MS));
    CHECK(proxy_reload(&world.proxy, RELOADED));
    CHECK(HF_WAIT_UNTIL(shows(&world, "one.test", " 4 ", " fresh ", " -"), BOUND_MS));
    world_stop(&world);
}

static void test_summary(void)
{
    struct world world;
    char *table;

    if (!world_start(&world))
        return;
    CHECK(HF_WAIT_UNTIL(shows(&world, "two.test:8443", " 2 ", " fresh ", " -"), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(shows(&world, "one.test", " 4 ", " fresh ", " -"), BOUND_MS));
    table = status_of(&world, NULL);
    CHECK_STR_CONTAINS(
        table, "\n\nconnections 6/65536, hosts 2/1024, rejected 0, evictions 0\nrequests: ok ");
    CHECK_STR_CONTAINS(table, "; 304s: 0\n");
    free(table);
    world_stop(&world);
}

static void test_raw(void)
{
    struct world world;
    struct json_object *status;
    char *text;

    if (!world_start(&world))
        return;
    CHECK(HF_WAIT_UNTIL(proxy_count(&world.proxy, "connections") == 6, BOUND_MS));
    text = status_of(&world, "--json");
    status = json_tokener_parse(text);
    CHECK_INT_EQ(json_int(status, "connections"), 6);
    CHECK(text[strlen(text) - 1] == '\n' && text[strlen(text) - 2] == '}');
    json_object_put(status);
    free(text);
    text = status_of(&world, "--prometheus");
    CHECK_STR_CONTAINS(text, "\nhostflags_connections 6\n");
    CHECK_STR_CONTAINS(text, "\nhostflags_host_references{scheme=\"https\",host=\"one.test\",");
    CHECK(*text == '#' && text[strlen(text) - 1] == '\n' && text[strlen(text) - 2] != '\n');
    free(text);
    world_stop(&world);
}

/* The same, as somebody sees it who has left `top` running. */
static void test_top(void)
{
    struct world world;
    struct hf_pty *pty;
    const char *env[] = {"NO_COLOR=1", NULL};

    if (!world_start(&world))
        return;
    const char *argv[] = {
        hf_build_path("hostflags-host"), "top", "--config", world.proxy.config, NULL};
    pty = hf_pty_start(argv, env, 120, 24);
    CHECK(HF_WAIT_UNTIL(HAS_ROW(hf_pty_picture(pty), "one.test", " 4 ", " fresh "), BOUND_MS));
    CHECK_STR_CONTAINS(hf_pty_picture(pty), world.proxy.socket);
    CHECK_STR_CONTAINS(hf_pty_picture(pty), "  enabled on  requests/s ");
    hf_flag_service_set_status(world.service, 503);
    CHECK(HF_WAIT_UNTIL(
        HAS_ROW(hf_pty_picture(pty), "one.test", " 4 ", " stale ", "http 503"), BOUND_MS));
    hf_flag_service_set_status(world.service, 200);
    CHECK(HF_WAIT_UNTIL(HAS_ROW(hf_pty_picture(pty), "one.test", " 4 ", " fresh "), 3 * BOUND_MS));
    hf_pty_type(pty, "q");
    CHECK_INT_EQ(hf_pty_wait_exit(pty, BOUND_MS), 0);
    hf_pty_destroy(pty);
    world_stop(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C59 C63 the table follows the hosts through a failure and back", test_states},
        {"the sums below the table", test_summary},
        {"--json and --prometheus from a real proxy", test_raw},
        {"C59 C63 top follows the hosts through a failure and back", test_top},
    };

    return hf_suite_run("status_live", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

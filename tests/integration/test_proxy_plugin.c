/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_plugin.c: the proxy with the real plugin, which is enabled by nothing but the entry in
 * the configuration file, against a flag service: what the two are for.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/echo_server.h"
#include "tests/support/flag_service.h"
#include "tests/support/load_client.h"

static const char *const loopback = "127.0.0.1";

struct world {
    struct hf_flag_service *service;
    struct hf_echo *echo;
    struct proxy proxy;
    char plugin[1024];
    uint16_t port;
};

static bool world_start(struct world *world, bool flag)
{
    world->service = hf_flag_service_start(NULL);
    world->echo = hf_echo_start(&loopback, 1, 0);
    hf_flag_service_set_flag(world->service, "telemetry", flag);
    hf_flag_service_set_flag(world->service, "other", !flag);
    proxy_prepare(&world->proxy);
    snprintf(world->plugin, sizeof(world->plugin),
        "[plugin:hostflags]\nlibrary = %s\nflags = other\nflags = telemetry\n"
        "allow_http = loopback\nservice = http://{host}:%u\nttl = 15min\n",
        hf_build_path("hostflags.so"), hf_flag_service_port(world->service));
    world->proxy.plugin = world->plugin;
    world->proxy.options = "telemetry_flag = telemetry\n";
    proxy_write_config(&world->proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 4\n",
        hf_echo_port(world->echo));
    if (!proxy_run(&world->proxy))
        return false;
    world->port = proxy_port(&world->proxy, "a");
    return true;
}

static void world_stop(struct world *world)
{
    hf_process_signal(world->proxy.process, SIGTERM);
    proxy_check_end(&world->proxy);
    proxy_free(&world->proxy);
    hf_echo_stop(world->echo);
    hf_flag_service_stop(world->service);
}

/* Sessions that all exchange some bytes, and end. */
static void run_sessions(struct world *world, size_t count)
{
    const struct hf_load_target target = {loopback, world->port};
    struct hf_load_counts counts = {0};
    struct hf_load *load = hf_load_start(&(struct hf_load_options){
        .targets = &target, .target_count = 1, .connections = count, .payload_bytes = 100});

    CHECK(load && hf_load_wait_round(load, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(proxy_references(&world->proxy, loopback) == (int64_t)count, BOUND_MS));
    hf_load_get_counts(load, &counts);
    CHECK_INT_EQ(counts.done, count);
    hf_load_stop(load);
    CHECK(HF_WAIT_UNTIL(proxy_references(&world->proxy, loopback) == 4, BOUND_MS));
}

/* Whether the one request was made and its answer is in place. */
static bool has_answer(struct world *world)
{
    char *status = proxy_status(&world->proxy);
    bool fresh = status && strstr(status, "\"state\":\"fresh\"");

    free(status);
    return fresh;
}

static void test_flag_on(void)
{
    struct world world;

    if (!world_start(&world, true))
        return;
    CHECK(HF_WAIT_UNTIL(has_answer(&world), BOUND_MS));
    run_sessions(&world, 300);
    run_sessions(&world, 300);
    CHECK(HF_WAIT_UNTIL(proxy_telemetry(&world.proxy, "") == 600, BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(world.service), 1);
    CHECK_STR_CONTAINS(
        hf_flag_request_header(hf_flag_service_request(world.service, 0), "User-Agent"),
        "(hostflags-host " HF_VERSION ")");
    world_stop(&world);
}

static void test_flag_off(void)
{
    struct world world;

    if (!world_start(&world, false))
        return;
    CHECK(HF_WAIT_UNTIL(has_answer(&world), BOUND_MS));
    run_sessions(&world, 300);
    CHECK_INT_EQ(proxy_telemetry(&world.proxy, ""), 0);
    CHECK_INT_EQ(hf_flag_service_count(world.service), 1);
    world_stop(&world);
}

/* The service is broken: clients notice nothing. */
static void test_service_down(void)
{
    struct world world;

    if (!world_start(&world, true))
        return;
    hf_flag_service_set_fault(world.service, HF_FAULT_SILENCE);
    run_sessions(&world, 300);
    world_stop(&world);
}

static void test_bad_setting(void)
{
    struct world world;
    char *log;
    int status = 0;

    world.service = NULL;
    proxy_prepare(&world.proxy);
    snprintf(world.plugin, sizeof(world.plugin), "[plugin:hostflags]\nlibrary = %s\nttl = soon\n",
        hf_build_path("hostflags.so"));
    world.proxy.plugin = world.plugin;
    proxy_write_config(&world.proxy, "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1\n");
    proxy_launch(&world.proxy);
    CHECK(hf_process_wait_exit(world.proxy.process, BOUND_MS, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    log = hf_process_output(world.proxy.process, HF_STDERR);
    CHECK_STR_CONTAINS(log, "ttl");
    CHECK_STR_CONTAINS(log, "soon");
    free(log);
    proxy_free(&world.proxy);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C03 C27 the flag is on: a telemetry line for each session, one request in all",
            test_flag_on},
        {"the flag is off: no telemetry, one request in all", test_flag_off},
        {"C60 the flag service is silent: connections go on", test_service_down},
        {"C83 a setting that the plugin refuses keeps the proxy from starting", test_bad_setting},
    };

    return hf_suite_run("proxy_plugin", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_processes.c: `processes` above 1: who serves, who answers, reload, bad values, a
 * second program at the same address, and one cache for all with the real plugin. How workers and
 * their master end: test_proxy_workers.c.
 */
#include "tests/integration/processes_fixture.h"

#include "tests/support/flag_service.h"

static void test_all_serve(void)
{
    struct world world;
    pid_t pids[WORKERS], master;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    master = hf_process_pid(world.proxy.process);
    worker_pids(&world.proxy, pids);
    for (int i = 0; i < WORKERS; i++) {
        CHECK_INT_EQ(worker_sockets(pids[i]), 1);
        CHECK(pids[i] != master);
        for (int j = 0; j < i; j++)
            CHECK(pids[i] != pids[j]);
    }
    open_clients(&world, "a");
    for (int i = 0; i < WORKERS; i++)
        CHECK(worker_sockets(pids[i]) > 1);
    CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, "listening on 127.0.0.1:"), 1);
    CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, "is running"), 1);
    CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, " accepts clients"), WORKERS);
    CHECK(proxy_logged(&world.proxy, "4 processes of 2 thread(s)"));
    CHECK(proxy_logged(&world.proxy, "WARNING: processes = 4 and no `share = on` in section"));
    close_clients(&world);
    world_stop(&world);
}

/* One process is what it was: no worker, no warning. */
static void test_one_process(void)
{
    struct world world;

    if (world_start(&world, "processes = 1\n")) {
        open_clients(&world, "a");
        CHECK(!proxy_logged(&world.proxy, "worker "));
        CHECK(!proxy_logged(&world.proxy, "share = on"));
        CHECK_INT_EQ(proxy_count(&world.proxy, "connections"), CLIENTS);
        close_clients(&world);
        world_stop(&world);
    } else {
        world_free(&world);
    }
}

/* pool_size is that of the program. */
static void test_pool(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;

    proxy_prepare(&proxy);
    proxy.options = "processes = 4\n";
    proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 9\n"), hf_echo_port(echo));
    if (proxy_run(&proxy)) {
        CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == 9, BOUND_MS));
        CHECK(HF_STAYS(hf_echo_open(echo, NULL) == 9, 200));
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

/* All workers stand still: whoever answers is the master. A worker that is replaced meanwhile takes
 * neither the socket nor its clients along. */
static void test_status(void)
{
    struct world world;
    pid_t pids[WORKERS];
    char answer[2] = "";
    int early;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    worker_pids(&world.proxy, pids);
    for (int i = 0; i < WORKERS; i++)
        signal_worker(pids[i], SIGSTOP);
    CHECK_INT_EQ(proxy_count(&world.proxy, "connections"), 0);
    for (int i = 0; i < WORKERS; i++)
        signal_worker(pids[i], SIGCONT);
    early = proxy_ask(&world.proxy, "js");
    signal_worker(pids[2], SIGKILL);
    CHECK(HF_WAIT_UNTIL(proxy_logged(&world.proxy, "worker 3 (pid "), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(worker_pid(&world.proxy, 3) != pids[2], BOUND_MS));
    CHECK(HF_WAIT_UNTIL(
        hf_process_count(world.proxy.process, HF_STDERR, "worker 3 accepts clients") == 2,
        BOUND_MS));
    CHECK(write_text(early, "on\n"));
    CHECK(read(early, answer, 1) == 1 && *answer == '{');
    close(early);
    CHECK_INT_EQ(proxy_count(&world.proxy, "connections"), 0);
    world_stop(&world);
}

/* The master's log has the outcome once, each worker's as well. */
static void test_reload(void)
{
    struct world world;
    uint16_t port = hf_net_free_port(&loopback, 1), old_port;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    old_port = proxy_port(&world.proxy, "a");
    open_clients(&world, "a");
    world.proxy.options = "processes = 2\n";
    world.proxy.threads = 3;
    proxy_write_config(&world.proxy,
        "[upstream:b]\nlisten = 127.0.0.1:%u\nconnect = 127.0.0.1:%u\n", port,
        hf_echo_port(world.echo));
    proxy_reload(&world.proxy, "the new configuration is good: 4 worker(s) read it");
    CHECK(HF_WAIT_UNTIL(
        hf_process_count(world.proxy.process, HF_STDERR, RELOADED) == WORKERS, BOUND_MS));
    CHECK_INT_EQ(
        hf_process_count(world.proxy.process, HF_STDERR, "processes = 2 needs a restart"), 1);
    CHECK_INT_EQ(
        hf_process_count(world.proxy.process, HF_STDERR, "threads = 3 needs a restart"), 1);
    CHECK(HF_WAIT_UNTIL(is_refused(old_port), BOUND_MS));
    for (int i = 0; i < CLIENTS; i++)
        CHECK(is_alive(world.clients[i]));
    close_clients(&world);
    open_clients(&world, "b");
    close_clients(&world);
    world_stop(&world);
}

/* A reload that the master refuses, and that no worker hears of. */
static void check_bad_reload(struct world *world, const char *reason)
{
    proxy_reload(&world->proxy, NOT_RELOADED);
    CHECK(proxy_logged(&world->proxy, reason));
    CHECK(HF_STAYS(hf_process_count(world->proxy.process, HF_STDERR, RELOADED) == 0, 50));
}

static void test_bad_reload(void)
{
    struct world world;
    unsigned port;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    port = hf_echo_port(world.echo);
    proxy_write_config(&world.proxy, UPSTREAM("a", "pool_size = many\n"), port);
    check_bad_reload(&world, "bad value `many` for `pool_size`");
    proxy_write_config(&world.proxy,
        UPSTREAM("a", "") "[upstream:b]\nlisten = 127.0.0.1:%u\nconnect = b:1\n", port, port);
    check_bad_reload(&world, "for upstream `b`: Address already in use");
    proxy_write_config(&world.proxy, UPSTREAM("a", "") UPSTREAM("b", ""), port, port);
    check_bad_reload(&world, "for upstream `b`: with several processes a new address with port 0");
    CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, NOT_RELOADED), 3);
    open_clients(&world, "a");
    close_clients(&world);
    world_stop(&world);
}

/* In each combination of one process and several. */
static void test_second_instance(void)
{
    static const char *const options[] = {"processes = 4\n", "processes = 1\n"};
    struct world world;
    struct proxy second;
    char reason[160];

    for (int i = 0; i < 3; i++) {
        if (!world_start(&world, options[i / 2])) {
            world_free(&world);
            return;
        }
        proxy_prepare(&second);
        second.options = options[i % 2];
        proxy_write_config(&second, "[upstream:a]\nlisten = 127.0.0.1:%u\nconnect = b:1\n",
            proxy_port(&world.proxy, "a"));
        snprintf(reason, sizeof(reason),
            "ERROR: cannot listen on 127.0.0.1:%u for upstream `a`: Address already in use",
            proxy_port(&world.proxy, "a"));
        check_no_start(&second, reason);
        open_clients(&world, "a");
        close_clients(&world);
        proxy_free(&second);
        world_stop(&world);
    }
}

/* All that can fail is tried by the master: no worker is there for an instant. */
static void test_no_start(void)
{
    struct world world;
    struct proxy second;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    proxy_prepare(&second);
    second.options = "processes = 4\n";
    free(second.socket);
    second.socket = strdup(world.proxy.socket);
    proxy_write_config(&second, UPSTREAM("a", ""), 1u);
    proxy_launch(&second);
    CHECK(hf_process_wait_exit(second.process, BOUND_MS, NULL));
    CHECK(proxy_logged(&second, "is in use by a running process; expected a path that is free"));
    CHECK(!proxy_logged(&second, " is pid "));
    CHECK_INT_EQ(proxy_count(&world.proxy, "connections"), 0);
    hf_process_destroy(second.process);
    second.process = NULL;
    free(second.telemetry);
    second.telemetry = strdup("/nowhere/at/all");
    proxy_write_config(&second, UPSTREAM("a", ""), 1u);
    check_no_start(&second, "cannot write telemetry to `/nowhere/at/all`: No such file");
    proxy_free(&second);
    world_stop(&world);
}

/* The value, as both commands that read the file see it. */
static void check_value(struct proxy *proxy, const char *value, int status, const char *part)
{
    const char *check[] = {
        hf_build_path("hostflags-host"), "--check-config", "--config", proxy->config, NULL};
    const char *ask[] = {
        hf_build_path("hostflags-host"), "check", "nobody", "--config", proxy->config, NULL};
    char options[64], *output = NULL;

    snprintf(options, sizeof(options), "processes = %s\n", value);
    proxy->options = options;
    proxy_write_config(proxy, UPSTREAM("a", ""), 1u);
    CHECK_INT_EQ(hf_process_run(check, BOUND_MS, &output), status);
    CHECK_STR_CONTAINS(output ? output : "", part);
    free(output);
    CHECK_INT_EQ(hf_process_run(ask, BOUND_MS, &output), 3);
    CHECK(output && !strstr(output, "bad value `") == (status == 0));
    free(output);
}

static void test_values(void)
{
    static const char *const bad[] = {"", "0", "65", "-1", "2x", "two", "0x2", "2.0"};
    struct proxy proxy;
    char part[160];

    proxy_prepare(&proxy);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(part, sizeof(part),
            "bad value `%s` for `processes` in section [proxy]; expected a whole number from 1 to "
            "64",
            bad[i]);
        check_value(&proxy, bad[i], 1, part);
    }
    check_value(&proxy, "1", 0, "proxy.ini: ok\n");
    check_value(&proxy, "64", 0, "set `share = on` there");
    proxy_free(&proxy);
}

static bool status_has(struct proxy *proxy, const char *part)
{
    char *status = proxy_status(proxy);
    bool has = status && strstr(status, part);

    free(status);
    return has;
}

/* A member of the status' "sharing"; -1: there is none. */
static int64_t sharing(struct proxy *proxy, const char *member)
{
    char *text = proxy_status(proxy);
    struct json_object *status = text ? json_tokener_parse(text) : NULL, *object;
    int64_t value = -1;

    if (json_object_object_get_ex(status, "sharing", &object))
        value = json_int(object, member);
    json_object_put(status);
    free(text);
    return value;
}

/* The real plugin: what one worker asked all of them know, and the master as well. */
static void test_share(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    struct world world = {.echo = hf_echo_start(&loopback, 1, 0)};
    char plugin[1024];
    pid_t pids[WORKERS];

    hf_flag_service_set_flag(service, "telemetry", true);
    snprintf(plugin, sizeof(plugin),
        "[plugin:hostflags]\nlibrary = %s\nflags = telemetry\nshare = on\nallow_http = loopback\n"
        "service = http://{host}:%u\n",
        hf_build_path("hostflags.so"), hf_flag_service_port(service));
    proxy_prepare(&world.proxy);
    world.proxy.plugin = plugin;
    world.proxy.options = "processes = 4\n";
    proxy_write_config(&world.proxy, UPSTREAM("a", ""), hf_echo_port(world.echo));
    if (proxy_run(&world.proxy)) {
        CHECK(!proxy_logged(&world.proxy, "no `share = on`"));
        open_clients(&world, "a");
        CHECK(HF_WAIT_UNTIL(status_has(&world.proxy, "\"state\":\"fresh\""), BOUND_MS));
        CHECK_INT_EQ(proxy_references(&world.proxy, loopback), CLIENTS);
        CHECK_INT_EQ(sharing(&world.proxy, "processes"), WORKERS);
        CHECK_INT_EQ(sharing(&world.proxy, "own"), 0);
        close_clients(&world);
        CHECK(HF_WAIT_UNTIL(proxy_telemetry(&world.proxy, "") == CLIENTS, BOUND_MS));
        open_clients(&world, "a");
        worker_pids(&world.proxy, pids);
        signal_worker(pids[0], SIGKILL);
        /* Its threads are gone long before the process is, where that has much memory. */
        CHECK(HF_WAIT_UNTIL(proxy_logged(&world.proxy, "was ended by signal 9"), BOUND_MS));
        close_clients(&world);
        CHECK(HF_WAIT_UNTIL(proxy_references(&world.proxy, loopback) == 0, BOUND_MS));
        CHECK(sharing(&world.proxy, "returned_references") > 0);
        CHECK_INT_EQ(hf_flag_service_count(service), 1);
        hf_process_signal(world.proxy.process, SIGTERM);
        proxy_check_end(&world.proxy);
    }
    world_free(&world);
    hf_flag_service_stop(service);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"four workers serve clients at one port, each a process of its own", test_all_serve},
        {"processes = 1: no worker and no warning", test_one_process},
        {"pool_size is divided among the workers", test_pool},
        {"the master answers at the status socket, whatever happens to workers", test_status},
        {"SIGHUP reaches all workers, sessions go on", test_reload},
        {"C84 SIGHUP with a bad file: the master refuses it for all", test_bad_reload},
        {"a second program at the same address is refused", test_second_instance},
        {"what keeps the master from starting is said, and nothing was forked", test_no_start},
        {"bad values of processes are refused, the range is said", test_values},
        {"C90 C92 share = on: one request for all workers, the dead one's references return",
            test_share},
    };

    return hf_suite_run("proxy_processes", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

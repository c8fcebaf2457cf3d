/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_life.c: the proxy's start, reload (SIGHUP), drain (SIGTERM) and status socket.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/echo_server.h"
#include "tests/support/fds.h"

static const char *const loopback = "127.0.0.1";

/* A client that has exchanged some bytes through the proxy, and goes on. */
static int open_session(struct proxy *proxy, const char *upstream)
{
    int client = connect_to(proxy_port(proxy, upstream));

    CHECK(write_text(client, "ping"));
    CHECK(read_text(client, "ping"));
    return client;
}

static bool is_alive(int client)
{
    return write_text(client, "again") && read_text(client, "again");
}

/* Whether nobody listens there. (A listener that is being closed may still take a client.) */
static bool is_refused(uint16_t port)
{
    int fd = connect_to(port);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

#define UPSTREAM(name, more) \
    "[upstream:" name "]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\n" more

static void test_pool_sizes(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    uint16_t port = hf_echo_port(echo);
    int client;

    if (proxy_start(&proxy, UPSTREAM("a", "pool_size = 9\n"), port)) {
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 9, BOUND_MS));
        client = open_session(&proxy, "a");
        proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 2\n"), port);
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 2, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == 2, BOUND_MS));
        CHECK(is_alive(client));
        proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 20\n"), port);
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 20, BOUND_MS));
        CHECK(is_alive(client));
        proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 0\n"), port);
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 1, BOUND_MS));
        CHECK(is_alive(client));
        close(client);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 0, BOUND_MS));
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

static void test_upstreams(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    uint16_t port = hf_echo_port(echo), old_port;
    int client, other;

    if (proxy_start(&proxy, UPSTREAM("a", "host = one\npool_size = 2\n"), port)) {
        client = open_session(&proxy, "a");
        old_port = proxy_port(&proxy, "a");
        proxy_write_config(&proxy, UPSTREAM("b", "host = two\npool_size = 3\n"), port);
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "two") == 3, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "one") == 1, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(is_refused(old_port), BOUND_MS));
        CHECK(is_alive(client));
        other = open_session(&proxy, "b");
        proxy_write_config(&proxy, UPSTREAM("b", "host = three\npool_size = 1\n"), port);
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "three") == 1, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "two") == 1, BOUND_MS));
        CHECK(is_alive(client));
        CHECK(is_alive(other));
        close(client);
        close(other);
        CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "connections") == 1, BOUND_MS));
        close(open_session(&proxy, "b"));
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

/* A reload that must change nothing, and the reason it has to give. */
static void check_bad_reload(struct proxy *proxy, const char *reason)
{
    proxy_reload(proxy, NOT_RELOADED);
    CHECK(proxy_logged(proxy, reason));
    CHECK_INT_EQ(proxy_references(proxy, loopback), 3);
    CHECK(HF_STAYS(proxy_references(proxy, loopback) == 3, 50));
    CHECK_INT_EQ(hf_process_count(proxy->process, HF_STDERR, RELOADED), 0);
}

static void test_bad_reload(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    uint16_t port = hf_echo_port(echo);
    int client;

    if (!proxy_start(&proxy, UPSTREAM("a", "pool_size = 3\n"), port)) {
        hf_echo_stop(echo);
        return;
    }
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 3, BOUND_MS));
    client = open_session(&proxy, "a");
    proxy_write_config(&proxy, UPSTREAM("a", "pool_size = many\n"), port);
    check_bad_reload(
        &proxy, "bad value `many` for `pool_size` in section [upstream:a]; expected a");
    proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 1\ntelemetry_flag = c\n"), port);
    check_bad_reload(&proxy, "telemetry_flag = c for upstream `a` is unknown to the plugin");
    proxy_write_config(&proxy,
        UPSTREAM("a", "pool_size = 1\n") "[upstream:b]\nlisten = 127.0.0.1:%u\nconnect = b:1\n",
        port, port);
    check_bad_reload(&proxy, "for upstream `b`: Address already in use");
    free(proxy.telemetry);
    proxy.telemetry = strdup("/nowhere/at/all");
    proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 1\n"), port);
    check_bad_reload(&proxy, "cannot write telemetry to `/nowhere/at/all`: No such file");
    unlink(proxy.config);
    check_bad_reload(&proxy, "proxy.ini: No such file or directory; expected a readable file");
    CHECK(is_alive(client));
    close(client);
    proxy_stop(&proxy);
    hf_echo_stop(echo);
}

/* What cannot be changed while the program runs is said, and the rest is applied. */
static void test_restart_needed(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    char plugin[1024];

    if (proxy_start(&proxy, UPSTREAM("a", ""), hf_echo_port(echo))) {
        snprintf(plugin, sizeof(plugin), "[plugin:counting]\nlibrary = %s\nflags = a\nflags = c\n",
            hf_build_path("tests/contract/plugin_counting.so"));
        proxy.plugin = plugin;
        proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 1\n"), hf_echo_port(echo));
        proxy_reload(&proxy, RELOADED);
        CHECK(proxy_logged(&proxy,
            "the settings of plugin `counting` have changed: counting 0.1 "
            "cannot reload, so this needs a restart"));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 1, BOUND_MS));
        proxy.plugin = "";
        proxy.threads = 3;
        proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 2\n"), hf_echo_port(echo));
        proxy_reload(&proxy, RELOADED);
        CHECK(proxy_logged(&proxy, "names another library: this needs a restart"));
        CHECK(proxy_logged(&proxy, "threads = 3 needs a restart; 2 threads go on"));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 2, BOUND_MS));
        proxy.plugin = NULL;
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

/* log rotation: the file is renamed, the next lines go to a new one. */
static void test_telemetry_reopened(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    char *renamed;

    if (proxy_start(&proxy, UPSTREAM("a", ""), hf_echo_port(echo))) {
        renamed = hf_tmpdir_path(proxy.directory, "telemetry.1");
        proxy_set_flags(&proxy, true);
        close(open_session(&proxy, "a"));
        CHECK(HF_WAIT_UNTIL(proxy_telemetry(&proxy, "") == 1, BOUND_MS));
        CHECK_INT_EQ(rename(proxy.telemetry, renamed), 0);
        proxy_reload(&proxy, RELOADED);
        close(open_session(&proxy, "a"));
        CHECK(HF_WAIT_UNTIL(proxy_telemetry(&proxy, "") == 1, BOUND_MS));
        free(renamed);
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

/* Nobody reads the telemetry: sessions go on, and the program can be ended. */
static void test_telemetry_stuck(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    int reader;

    proxy_prepare(&proxy);
    CHECK_INT_EQ(mkfifo(proxy.telemetry, 0600), 0);
    reader = open(proxy.telemetry, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    proxy_write_config(&proxy, UPSTREAM("a", ""), hf_echo_port(echo));
    if (proxy_run(&proxy)) {
        proxy_set_flags(&proxy, true);
        for (int i = 0; i < 1000; i++)
            close(open_session(&proxy, "a"));
        CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "connections") == 0, BOUND_MS));
        CHECK_INT_EQ(proxy_count(&proxy, "reads"), 1000);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    close(reader);
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

static void test_drain(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    uint16_t port;
    int client;

    if (proxy_start(&proxy, UPSTREAM("a", "pool_size = 4\n"), hf_echo_port(echo))) {
        port = proxy_port(&proxy, "a");
        proxy_set_flags(&proxy, true);
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 4, BOUND_MS));
        client = open_session(&proxy, "a");
        hf_process_signal(proxy.process, SIGTERM);
        CHECK(HF_WAIT_UNTIL(is_refused(port), BOUND_MS));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 1, BOUND_MS));
        CHECK(is_alive(client));
        CHECK(HF_STAYS(proxy_count(&proxy, "connections") == 1, 200));
        hf_process_signal(proxy.process, SIGHUP);
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "SIGHUP is ignored"), BOUND_MS));
        CHECK(is_alive(client));
        close(client);
        proxy_check_end(&proxy);
        CHECK_INT_EQ(proxy_telemetry(&proxy, "\"bytes_in\":14,\"bytes_out\":14,"), 1);
        CHECK(access(proxy.socket, F_OK) != 0);
        proxy_free(&proxy);
    }
    hf_echo_stop(echo);
}

static void test_drain_timeout(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    int client;

    proxy_prepare(&proxy);
    proxy.options = "drain_timeout = 200ms\n";
    proxy_write_config(&proxy, UPSTREAM("a", "pool_size = 4\n"), hf_echo_port(echo));
    if (proxy_run(&proxy)) {
        client = open_session(&proxy, "a");
        hf_process_signal(proxy.process, SIGTERM);
        CHECK(read_end(client));
        proxy_check_end(&proxy);
        CHECK(proxy_logged(&proxy, "drain_timeout has passed: sessions that are still open"));
        close(client);
    }
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

static void test_second_signal(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    int client;

    if (proxy_start(&proxy, UPSTREAM("a", ""), hf_echo_port(echo))) {
        client = open_session(&proxy, "a");
        hf_process_signal(proxy.process, SIGINT);
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "waiting for sessions"), BOUND_MS));
        CHECK(is_alive(client));
        hf_process_signal(proxy.process, SIGTERM);
        CHECK(read_end(client));
        proxy_check_end(&proxy);
        CHECK(proxy_logged(&proxy, "second signal: sessions that are still open are closed"));
        close(client);
        proxy_free(&proxy);
    }
    hf_echo_stop(echo);
}

static void test_no_start(void)
{
    int taken = hf_net_listen(loopback, 0);
    struct proxy proxy;
    char reason[128];

    proxy_prepare(&proxy);
    proxy_write_config(
        &proxy, "[upstream:a]\nlisten = 127.0.0.1:%u\nconnect = b:1\n", hf_net_port(taken));
    snprintf(reason, sizeof(reason),
        "ERROR: cannot listen on 127.0.0.1:%u for upstream `a`: Address already in use",
        hf_net_port(taken));
    check_no_start(&proxy, reason);
    close(taken);

    proxy_write_config(&proxy, "[upstream:a]\nlisten = 192.0.2.1:0\nconnect = b:1\n");
    check_no_start(&proxy, "cannot listen on 192.0.2.1:0 for upstream `a`: Cannot assign");
    proxy.plugin = "[plugin:x]\nlibrary = /nowhere/x.so\n";
    proxy_write_config(&proxy, UPSTREAM("a", ""), 1u);
    check_no_start(&proxy, "cannot load plugin \"/nowhere/x.so\": No such file");
    proxy_write_config(&proxy, "[upstream:a]\n");
    check_no_start(&proxy, "section [upstream:a] lacks the key `listen`");
    proxy_free(&proxy);
}

static void test_status_socket(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy, other;
    struct stat facts;

    if (!proxy_start(&proxy, UPSTREAM("a", "pool_size = 1\n"), hf_echo_port(echo))) {
        hf_echo_stop(echo);
        return;
    }
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 1, BOUND_MS));
    proxy_prepare(&other);
    free(other.socket);
    other.socket = strdup(proxy.socket);
    proxy_write_config(&other, UPSTREAM("a", ""), 1u);
    check_no_start(&other, "is in use by a running process; expected a path that is free");
    CHECK_INT_EQ(proxy_count(&proxy, "connections"), 1);

    /* Left behind by a killed process: replaced. */
    hf_process_signal(proxy.process, SIGKILL);
    CHECK(hf_process_wait_exit(proxy.process, BOUND_MS, NULL));
    CHECK(stat(proxy.socket, &facts) == 0 && S_ISSOCK(facts.st_mode));
    if (proxy_run(&other)) {
        CHECK_INT_EQ(proxy_count(&other, "connections"), 0);
        hf_process_signal(other.process, SIGTERM);
        proxy_check_end(&other);
    }
    CHECK(access(other.socket, F_OK) != 0);
    hf_process_destroy(other.process);
    other.process = NULL;

    /* Something else: left alone. */
    free(hf_tmpdir_write(proxy.directory, "status", "precious"));
    check_no_start(&other, "exists and is no socket; expected a path that is free");
    CHECK(access(other.socket, F_OK) == 0);
    proxy_free(&other);
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

/* Whoever asks for the status and does not read it, or never stops asking, keeps nothing from
 * ending. */
static void test_status_clients(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct proxy proxy;
    int fds[10];

    if (proxy_start(&proxy, UPSTREAM("a", ""), hf_echo_port(echo))) {
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy.socket);
        for (int i = 0; i < 10; i++) {
            fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            CHECK_INT_EQ(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
        }
        CHECK_INT_EQ(proxy_count(&proxy, "connections"), 0);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
        for (int i = 0; i < 10; i++)
            close(fds[i]);
        proxy_free(&proxy);
    }
    hf_echo_stop(echo);
}

/* Hundreds of sessions leave no descriptor behind. */
static void test_no_leak(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    int before;

    if (proxy_start(&proxy, UPSTREAM("a", "pool_size = 2\n"), hf_echo_port(echo))) {
        pid_t pid = hf_process_pid(proxy.process);

        close(open_session(&proxy, "a"));
        CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "reads") == 1, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 2, BOUND_MS));
        before = hf_fds_count(pid);
        for (int i = 0; i < 300; i++)
            close(open_session(&proxy, "a"));
        proxy_reload(&proxy, RELOADED);
        CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "reads") == 301, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, loopback) == 2, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(hf_fds_count(pid) <= before + 1, BOUND_MS));
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"SIGHUP: pools shrink and grow, sessions go on", test_pool_sizes},
        {"SIGHUP: upstreams come and go, sessions go on", test_upstreams},
        {"C84 SIGHUP with a bad file changes nothing and says why", test_bad_reload},
        {"C84 SIGHUP says what needs a restart and applies the rest", test_restart_needed},
        {"SIGHUP opens the telemetry file anew", test_telemetry_reopened},
        {"telemetry that nobody reads stops nothing", test_telemetry_stuck},
        {"SIGTERM drains: a running session finishes, status 0", test_drain},
        {"SIGTERM: drain_timeout ends what does not finish", test_drain_timeout},
        {"a second signal ends at once", test_second_signal},
        {"what keeps the program from starting is said, status 1", test_no_start},
        {"the status socket: in use, left behind, something else", test_status_socket},
        {"clients of the status socket keep nothing from ending", test_status_clients},
        {"sessions and reloads leave no descriptor behind", test_no_leak},
    };

    return hf_suite_run("proxy_life", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

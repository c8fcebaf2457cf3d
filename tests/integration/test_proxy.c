/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy.c: bytes through the proxy, and its references: one for each upstream connection,
 * given back however that ends. The counting plugin (tests/contract) counts; it also notices a
 * reference that is given back twice.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/echo_server.h"
#include "tests/support/load_client.h"

static const char *const loopback = "127.0.0.1";

/* An echo server and a proxy in front of it, whose upstream is called "a". */
struct pair {
    struct hf_echo *echo;
    struct proxy proxy;
    uint16_t port; /* of the proxy */
};

static bool pair_start(struct pair *pair, int pool_size, const char *more)
{
    pair->echo = hf_echo_start(&loopback, 1, 0);
    if (!CHECK(pair->echo != NULL))
        return false;
    if (!proxy_start(&pair->proxy,
            "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = %d\n%s",
            hf_echo_port(pair->echo), pool_size, more)) {
        hf_echo_stop(pair->echo);
        return false;
    }
    pair->port = proxy_port(&pair->proxy, "a");
    return true;
}

static void pair_stop(struct pair *pair)
{
    proxy_stop(&pair->proxy);
    hf_echo_stop(pair->echo);
}

/* Connections with an echo on each; NULL after a failed check. */
static struct hf_load *load_start(uint16_t port, size_t connections, size_t payload_bytes)
{
    const struct hf_load_target target = {loopback, port};
    struct hf_load *load = hf_load_start(&(struct hf_load_options){.targets = &target,
        .target_count = 1,
        .connections = connections,
        .payload_bytes = payload_bytes});
    struct hf_load_counts counts = {0};

    CHECK(load && hf_load_wait_round(load, BOUND_MS));
    hf_load_get_counts(load, &counts);
    CHECK_INT_EQ(counts.done, connections);
    CHECK_INT_EQ(counts.wrong, 0);
    CHECK_INT_EQ(counts.verified_bytes, connections * payload_bytes);
    return load;
}

static bool has_settled(struct proxy *proxy, const char *host, int64_t references)
{
    return HF_STAYS(proxy_references(proxy, host) == references, 100);
}

/* Waits until that many references are held for the host, and no more come or go. On the way from
 * 500 to 8 a pool has 8 for a moment, then fewer, and is filled up again. */
static void check_references(struct proxy *proxy, const char *host, int64_t expected)
{
    CHECK(HF_WAIT_UNTIL(has_settled(proxy, host, expected), BOUND_MS));
    CHECK_INT_EQ(proxy_count(proxy, "misuses"), 0);
}

static void test_thousand(void)
{
    struct pair pair;
    struct hf_load_counts counts;
    struct hf_load *load;

    if (!pair_start(&pair, 8, ""))
        return;
    check_references(&pair.proxy, loopback, 8);
    load = load_start(pair.port, 1000, 5000);
    check_references(&pair.proxy, loopback, 1000);
    CHECK_INT_EQ(hf_load_send_round(load), 1000);
    CHECK(hf_load_wait_round(load, BOUND_MS));
    CHECK_INT_EQ(hf_load_close_first(load, 500), 500);
    check_references(&pair.proxy, loopback, 500);
    hf_load_get_counts(load, &counts);
    CHECK_INT_EQ(counts.open, 500);
    CHECK_INT_EQ(counts.verified_bytes, 2 * 1000 * 5000);
    hf_load_stop(load);
    check_references(&pair.proxy, loopback, 8);
    CHECK(HF_WAIT_UNTIL(hf_echo_open(pair.echo, NULL) == 8, BOUND_MS));
    pair_stop(&pair);
}

/* A client gets an idle connection; it is not used twice, and the pool is filled up again. */
static void test_pool(void)
{
    struct pair pair;
    struct hf_load *load;

    if (!pair_start(&pair, 5, ""))
        return;
    check_references(&pair.proxy, loopback, 5);
    CHECK_INT_EQ(hf_echo_accepted(pair.echo, NULL), 5);
    load = load_start(pair.port, 4, 100);
    CHECK_INT_EQ(hf_echo_accepted(pair.echo, NULL), 5);
    check_references(&pair.proxy, loopback, 5);
    hf_load_stop(load);
    CHECK(HF_WAIT_UNTIL(hf_echo_accepted(pair.echo, NULL) == 9, BOUND_MS));
    check_references(&pair.proxy, loopback, 5);
    CHECK_INT_EQ(proxy_count(&pair.proxy, "connects"), 9);
    CHECK_INT_EQ(proxy_count(&pair.proxy, "disconnects"), 4);
    pair_stop(&pair);
}

/* Several rounds of clients that come and go at once. */
static void test_come_and_go(void)
{
    struct pair pair;

    if (!pair_start(&pair, 3, ""))
        return;
    for (int round = 0; round < 5; round++) {
        struct hf_load *load = load_start(pair.port, 100, 50);

        check_references(&pair.proxy, loopback, 100);
        hf_load_stop(load);
    }
    check_references(&pair.proxy, loopback, 3);
    pair_stop(&pair);
}

static struct hf_process *peer_start(const char *role, uint16_t port, const char *count)
{
    char port_text[8];
    const char *argv[] = {
        hf_build_path("tests/integration/run_proxy_peer"), role, port_text, count, NULL};
    struct hf_process *peer;

    snprintf(port_text, sizeof(port_text), "%u", port);
    peer = hf_process_start(&(struct hf_process_options){.argv = argv});
    CHECK(peer && hf_process_wait_output(peer, "ready", BOUND_MS));
    return peer;
}

static void test_client_killed(void)
{
    struct pair pair;
    struct hf_process *peer;

    if (!pair_start(&pair, 2, ""))
        return;
    peer = peer_start("client", pair.port, "50");
    check_references(&pair.proxy, loopback, 50);
    hf_process_signal(peer, SIGKILL);
    check_references(&pair.proxy, loopback, 2);
    hf_process_destroy(peer);
    pair_stop(&pair);
}

/* Clients that do not react keep nothing alive: after half_close_timeout the session is over. */
static void test_upstream_killed(void)
{
    struct proxy proxy;
    struct hf_process *peer;
    struct hf_load *load;
    uint16_t port = hf_net_free_port(&loopback, 1);

    peer = peer_start("server", port, NULL);
    proxy_prepare(&proxy);
    proxy.options = "half_close_timeout = 300ms\n";
    proxy_write_config(&proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = localhost:%u\nhost = db\npool_size = 2\n",
        port);
    if (proxy_run(&proxy)) {
        load = load_start(proxy_port(&proxy, "a"), 20, 100);
        check_references(&proxy, "db", 20);
        hf_process_signal(peer, SIGKILL);
        check_references(&proxy, "db", 0);
        hf_process_destroy(peer);
        peer = peer_start("server", port, NULL);
        check_references(&proxy, "db", 2);
        hf_load_stop(load);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    hf_process_destroy(peer);
    proxy_free(&proxy);
}

static void test_upstream_resets(void)
{
    struct pair pair;
    struct hf_load_counts counts;
    struct hf_load *load;

    if (!pair_start(&pair, 4, ""))
        return;
    load = load_start(pair.port, 100, 100);
    CHECK_INT_EQ(hf_echo_close_connections(pair.echo, NULL), 100);
    CHECK(HF_WAIT_UNTIL((hf_load_get_counts(load, &counts), counts.lost == 100), BOUND_MS));
    check_references(&pair.proxy, loopback, 4);
    hf_load_stop(load);
    pair_stop(&pair);
}

static void test_idle_lost(void)
{
    struct pair pair;

    if (!pair_start(&pair, 6, ""))
        return;
    check_references(&pair.proxy, loopback, 6);
    CHECK_INT_EQ(hf_echo_close_connections(pair.echo, NULL), 6);
    CHECK(HF_WAIT_UNTIL(hf_echo_accepted(pair.echo, NULL) >= 12, BOUND_MS));
    check_references(&pair.proxy, loopback, 6);
    pair_stop(&pair);
}

static void test_telemetry(void)
{
    struct pair pair;
    struct hf_load *load;

    if (!pair_start(&pair, 1, "host = db.example.com\n"))
        return;
    hf_load_stop(load_start(pair.port, 10, 1000));
    check_references(&pair.proxy, "db.example.com", 1);
    CHECK_INT_EQ(proxy_count(&pair.proxy, "reads"), 10);
    CHECK_INT_EQ(proxy_telemetry(&pair.proxy, ""), 0);

    proxy_set_flags(&pair.proxy, true);
    load = load_start(pair.port, 30, 1000);
    CHECK_INT_EQ(proxy_telemetry(&pair.proxy, ""), 0);
    hf_load_stop(load);
    CHECK(HF_WAIT_UNTIL(proxy_telemetry(&pair.proxy, "") == 30, BOUND_MS));
    CHECK_INT_EQ(proxy_telemetry(&pair.proxy,
                     "\"upstream\":\"a\",\"host\":\"db.example.com\",\"bytes_in\":1000,"
                     "\"bytes_out\":1000,\"duration_ms\":"),
        30);

    proxy_set_flags(&pair.proxy, false);
    hf_load_stop(load_start(pair.port, 10, 1000));
    CHECK(HF_WAIT_UNTIL(proxy_count(&pair.proxy, "reads") == 50, BOUND_MS));
    pair_stop(&pair);
}

/* Each line of telemetry is JSON with these members, also after the flag came on in mid-session. */
static void test_telemetry_line(void)
{
    static const char *const members[] = {
        "time", "upstream", "host", "bytes_in", "bytes_out", "duration_ms", "upstream_connect_ms"};
    struct pair pair;
    struct hf_load *load;
    struct json_object *line, *value;
    char *text;

    if (!pair_start(&pair, 0, "host = 'quo\"te'\n"))
        return;
    load = load_start(pair.port, 1, 10);
    proxy_set_flags(&pair.proxy, true);
    hf_load_stop(load);
    CHECK(HF_WAIT_UNTIL(proxy_telemetry(&pair.proxy, "") == 1, BOUND_MS));
    text = hf_tmpdir_read(pair.proxy.telemetry);
    line = text ? json_tokener_parse(text) : NULL;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        CHECK(json_object_object_get_ex(line, members[i], &value));
    CHECK(json_object_object_get_ex(line, "duration_ms", &value) &&
        json_object_get_double(value) > 0);
    CHECK(json_object_object_get_ex(line, "upstream_connect_ms", &value) &&
        json_object_get_double(value) > 0);
    json_object_put(line);
    free(text);
    pair_stop(&pair);
}

static void test_no_plugin(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    char *status;

    proxy_prepare(&proxy);
    proxy.plugin = "";
    proxy_write_config(&proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 4\n",
        hf_echo_port(echo));
    if (proxy_run(&proxy)) {
        proxy_set_flags(&proxy, true);
        CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == 4, BOUND_MS));
        hf_load_stop(load_start(proxy_port(&proxy, "a"), 100, 1000));
        CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == 4, BOUND_MS));
        status = proxy_status(&proxy);
        CHECK_STR_EQ(status, "{}\n");
        free(status);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
        CHECK_INT_EQ(proxy_telemetry(&proxy, ""), 0);
    }
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

static void test_refused_name(void)
{
    struct pair pair;

    if (!pair_start(&pair, 2, "host = \"bad name\"\n"))
        return;
    proxy_set_flags(&pair.proxy, true);
    CHECK(HF_WAIT_UNTIL(proxy_count(&pair.proxy, "rejected") == 2, BOUND_MS));
    hf_load_stop(load_start(pair.port, 50, 1000));
    CHECK(HF_WAIT_UNTIL(proxy_count(&pair.proxy, "rejected") == 52, BOUND_MS));
    CHECK_INT_EQ(proxy_count(&pair.proxy, "connections"), 0);
    CHECK_INT_EQ(proxy_telemetry(&pair.proxy, ""), 0);
    pair_stop(&pair);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"1,000 connections: bytes intact, a reference each, all given back", test_thousand},
        {"a client takes an idle connection, and the pool is filled up after it", test_pool},
        {"clients come and go: references exact at each point", test_come_and_go},
        {"a killed client gives its references back", test_client_killed},
        {"a killed upstream gives its references back, and is found again", test_upstream_killed},
        {"an upstream that resets all: clients are told, references given back",
            test_upstream_resets},
        {"idle connections that the upstream closes are replaced", test_idle_lost},
        {"telemetry is written only while the flag is on", test_telemetry},
        {"a telemetry line is JSON with all members", test_telemetry_line},
        {"without a plugin: the same proxy without telemetry", test_no_plugin},
        {"C23 a refused upstream name never stops a connection", test_refused_name},
    };

    return hf_suite_run("proxy", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

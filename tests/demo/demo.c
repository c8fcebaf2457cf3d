/* SPDX-License-Identifier: PostgreSQL
 *
 * demo.c: the whole of hostflags at work, on loopback, in under a minute.
 *
 * 20 upstreams (127.0.0.1 to 127.0.0.20), each an echo server with a flag service beside it; the
 * proxy hostflags-host, which loads the plugin because its config file has a section for it; and
 * 1,000 client connections whose bytes are compared with what comes back. Then the acts, each of
 * which waits until what it is about was really observed, and fails otherwise:
 *
 *     arrive    one request per host, 1,000 references, flags on
 *     use       sessions end, each with a telemetry line
 *     flip      one service switches the flag off; the sessions of that host leave no line any more
 *     fail      all services answer 503: values stay (stale), few requests, bytes still flow
 *     recover   values are fresh again
 *     leave     connections close, references go to 0, hosts leave
 */
#include "tests/demo/screen.h"
#include "tests/support/echo_server.h"
#include "tests/support/flag_service.h"
#include "tests/support/load_client.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { HOSTS = 20, CONNECTIONS = 1000, PAYLOAD_BYTES = 4096, BOUND_MS = 30000 };

#define FLAG "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver"
#define FLIPPED 2 /* the host whose flag is switched off: 127.0.0.3 */
#define TTL "4"
#define LINGER "2s"

struct demo {
    char addresses[HOSTS][16];
    struct hf_flag_service *services[HOSTS];
    struct hf_echo *echo;
    struct hf_process *proxy;
    struct hf_load *load;
    char *directory, *socket_path, *telemetry_path;
    uint16_t listen_port;
    struct screen screen;
    struct cache_view view;
    size_t telemetry_lines;
    int64_t last_draw_ms;
    size_t closed; /* sessions that ended: each read its flag once */
    /* What the same connections would have asked, had each its own cache. */
    int64_t requests_seen[HOSTS], requests_alone;
};

static struct demo demo;

static void clean_up(void)
{
    hf_load_stop(demo.load);
    hf_process_destroy(demo.proxy);
    hf_echo_stop(demo.echo);
    for (int i = 0; i < HOSTS; i++)
        hf_flag_service_stop(demo.services[i]);
    free(demo.socket_path);
    free(demo.telemetry_path);
    hf_tmpdir_remove(demo.directory);
}

__attribute__((format(printf, 1, 2), noreturn)) static void give_up(const char *format, ...)
{
    va_list args;
    char *output;

    printf("\ndemo: FAILED: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (demo.proxy != NULL && (output = hf_process_output(demo.proxy, HF_STDERR)) != NULL) {
        printf("the proxy's log:\n%s", output);
        free(output);
    }
    fflush(stdout);
    clean_up();
    exit(1);
}

/* ---- starting ---- */

static size_t services_asked(void)
{
    size_t count = 0;

    for (int i = 0; i < HOSTS; i++)
        count += hf_flag_service_count(demo.services[i]);
    return count;
}

static void start_services(void)
{
    const char *addresses[HOSTS];
    uint16_t port;

    for (int i = 0; i < HOSTS; i++) {
        snprintf(demo.addresses[i], sizeof(demo.addresses[i]), "127.0.0.%d", i + 1);
        addresses[i] = demo.addresses[i];
    }
    demo.echo = hf_echo_start(addresses, HOSTS, 0);
    port = hf_net_free_port(addresses, HOSTS);
    for (int i = 0; i < HOSTS; i++) {
        struct hf_flag_service_options options = {.address = addresses[i], .port = port};
        demo.services[i] = hf_flag_service_start(&options);
        if (demo.services[i] == NULL || demo.echo == NULL)
            give_up("the servers on %s could not be started", addresses[i]);
        hf_flag_service_set_flag(demo.services[i], FLAG, true);
        hf_flag_service_set_ttl(demo.services[i], TTL);
    }
    demo.listen_port = hf_net_free_port(addresses, HOSTS);
}

static char *write_config(void)
{
    const char *build = getenv("HF_BUILD");
    char *text = NULL, *path;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL)
        give_up("out of memory");
    fprintf(file, "[proxy]\nthreads = 4\nstatus_socket = %s\ntelemetry = %s\n", demo.socket_path,
        demo.telemetry_path);
    for (int i = 0; i < HOSTS; i++)
        fprintf(file,
            "\n[upstream:warehouse%d]\nlisten = %s:%u\nconnect = %s:%u\nhost = %s\npool_size = 0\n",
            i + 1, demo.addresses[i], demo.listen_port, demo.addresses[i], hf_echo_port(demo.echo),
            hf_flag_service_url(demo.services[i]));
    fprintf(file,
        "\n[plugin:hostflags]\nlibrary = %s/hostflags.so\nflags = " FLAG "\nttl_min = 1s\n"
        "linger = " LINGER "\nallow_http = loopback\n",
        build == NULL ? "build" : build);
    fclose(file);
    path = hf_tmpdir_write(demo.directory, "demo.ini", text);
    free(text);
    return path;
}

static void start_proxy(void)
{
    const char *build = getenv("HF_BUILD");
    char program[256], *config;

    demo.directory = hf_tmpdir_create();
    demo.socket_path = hf_tmpdir_path(demo.directory, "status");
    demo.telemetry_path = hf_tmpdir_path(demo.directory, "telemetry.json");
    config = write_config();
    snprintf(program, sizeof(program), "%s/hostflags-host", build == NULL ? "build" : build);
    const char *const argv[] = {program, "--config", config, NULL};
    demo.proxy = hf_process_start(&(struct hf_process_options){.argv = argv});
    free(config);
    if (demo.proxy == NULL)
        give_up("%s could not be started", program);
    if (!HF_WAIT_UNTIL(cache_view_read(demo.socket_path, &demo.view), BOUND_MS))
        give_up("the proxy's status socket does not answer");
}

static void start_load(void)
{
    struct hf_load_target targets[HOSTS];

    for (int i = 0; i < HOSTS; i++)
        targets[i] = (struct hf_load_target){demo.addresses[i], demo.listen_port};
    demo.load = hf_load_start(&(struct hf_load_options){.targets = targets,
        .target_count = HOSTS,
        .connections = CONNECTIONS,
        .payload_bytes = PAYLOAD_BYTES});
    if (demo.load == NULL)
        give_up("the clients could not be started");
}

/* ---- looking ---- */

static size_t count_lines(const char *containing)
{
    char *text = hf_tmpdir_read(demo.telemetry_path);
    size_t lines = 0;

    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end == NULL)
            break; /* half a line: counted when it is whole */
        *end = '\0';
        lines += strstr(line, containing) != NULL;
        line = end + 1;
    }
    free(text);
    return lines;
}

/* What each connection had asked for itself: every time its host was asked, all that hold it. */
static void count_requests_alone(void)
{
    for (int i = 0; i < HOSTS; i++) {
        const struct cache_row *row = cache_view_find(&demo.view, demo.addresses[i]);
        int64_t asked = (int64_t)hf_flag_service_count(demo.services[i]);
        if (row != NULL && row->references > 0)
            demo.requests_alone += (asked - demo.requests_seen[i]) * row->references;
        demo.requests_seen[i] = asked;
    }
}

static void draw(bool whole)
{
    screen_draw(&demo.screen, &demo.view, services_asked(), demo.telemetry_lines, whole);
}

static void look(bool whole)
{
    if (!cache_view_read(demo.socket_path, &demo.view))
        give_up("the proxy's status socket does not answer any more");
    demo.telemetry_lines = count_lines("\"upstream\"");
    count_requests_alone();
    if (whole || hf_wait_now_ms() - demo.last_draw_ms >= 1000) {
        draw(whole);
        demo.last_draw_ms = hf_wait_now_ms();
    }
}

static bool look_until(bool (*reached)(void))
{
    look(false);
    return reached();
}

/* Looks, and draws once a second, until it is reached. */
static void await(bool (*reached)(void), const char *what)
{
    if (!HF_WAIT_UNTIL(look_until(reached), BOUND_MS))
        give_up("was not observed: %s", what);
    screen_note(&demo.screen, "%s", what);
    look(true);
}

/* ---- what is awaited ---- */

static bool all_connected(void)
{
    return demo.view.references == CONNECTIONS;
}

static bool all_on_and_fresh(void)
{
    int on = 0;

    for (int i = 0; i < demo.view.count; i++)
        on += demo.view.rows[i].enabled;
    return on == HOSTS && cache_view_count_state(&demo.view, "fresh") == HOSTS;
}

static bool lines_for_all_closed(void)
{
    return demo.telemetry_lines == demo.closed;
}

static bool flipped_is_off(void)
{
    const struct cache_row *row = cache_view_find(&demo.view, demo.addresses[FLIPPED]);

    return row != NULL && !row->enabled;
}

static bool all_stale(void)
{
    return cache_view_count_state(&demo.view, "stale") == HOSTS;
}

static bool all_fresh(void)
{
    return cache_view_count_state(&demo.view, "fresh") == HOSTS;
}

static bool all_left(void)
{
    return demo.view.count == 0;
}

static int64_t hold_until_ms;

static bool held(void)
{
    return hf_wait_now_ms() >= hold_until_ms;
}

/* ---- the acts ---- */

static void check_bytes(const char *when)
{
    struct hf_load_counts counts;

    if (!hf_load_wait_round(demo.load, BOUND_MS))
        give_up("%s: bytes did not come back", when);
    hf_load_get_counts(demo.load, &counts);
    if (counts.connected != CONNECTIONS || counts.failed + counts.lost + counts.wrong != 0)
        give_up(
            "%s: of %d connections %zu connected, %zu failed, %zu were lost, %zu got wrong bytes",
            when, CONNECTIONS, counts.connected, counts.failed, counts.lost, counts.wrong);
    screen_note(&demo.screen, "%s: %zu connections open, %.1f MB compared, none wrong", when,
        counts.open, (double)counts.verified_bytes / 1e6);
}

static void close_sessions(size_t count)
{
    demo.closed += hf_load_close_first(demo.load, count);
}

static void act_arrive(void)
{
    screen_act(&demo.screen, "%d connections arrive at %d hosts", CONNECTIONS, HOSTS);
    start_load();
    check_bytes("arrival");
    await(all_connected, "1,000 references");
    await(all_on_and_fresh, "every host's flag, from its own service: on");
    if (services_asked() > 2 * HOSTS)
        give_up("%zu requests for %d hosts", services_asked(), HOSTS);
    screen_note(&demo.screen, "%zu requests for %d connections", services_asked(), CONNECTIONS);
}

static void act_use(void)
{
    screen_act(&demo.screen, "sessions end: where the flag is on, each leaves a telemetry line");
    close_sessions(100);
    await(lines_for_all_closed, "100 sessions ended, 100 telemetry lines");
}

static void act_flip(void)
{
    size_t lines, flipped_lines;
    char upstream[32];

    screen_act(&demo.screen, "the service of %s switches the flag off", demo.addresses[FLIPPED]);
    snprintf(upstream, sizeof(upstream), "\"warehouse%d\"", FLIPPED + 1);
    hf_flag_service_set_flag(demo.services[FLIPPED], FLAG, false);
    await(flipped_is_off, "the table shows it off at 127.0.0.3, with the next refresh");
    lines = demo.telemetry_lines;
    flipped_lines = count_lines(upstream);
    close_sessions(2 * HOSTS); /* two of each host */
    if (!HF_WAIT_UNTIL(count_lines("\"upstream\"") == lines + 2 * (HOSTS - 1), BOUND_MS))
        give_up("%d sessions with the flag on ended, but %zu telemetry lines came", 2 * (HOSTS - 1),
            count_lines("\"upstream\"") - lines);
    if (count_lines(upstream) != flipped_lines)
        give_up("a session of 127.0.0.3 left a telemetry line though its flag is off");
    screen_note(&demo.screen,
        "two sessions of each host ended: %d lines, none of them of 127.0.0.3", 2 * (HOSTS - 1));
    look(true);
}

static void act_fail(void)
{
    size_t asked = services_asked();
    int on = 0;

    screen_act(&demo.screen, "every flag service fails: 503");
    for (int i = 0; i < HOSTS; i++)
        hf_flag_service_set_status(demo.services[i], 503);
    await(all_stale, "all values are past their TTL: stale, and still answered");
    hold_until_ms = hf_wait_now_ms() + 3000;
    await(held, "three more seconds of outage");
    for (int i = 0; i < demo.view.count; i++)
        on += demo.view.rows[i].enabled;
    if (on != HOSTS - 1)
        give_up("%d hosts are on, expected %d: an outage changed an answer", on, HOSTS - 1);
    if (services_asked() - asked > 3 * HOSTS)
        give_up("%zu requests during the outage", services_asked() - asked);
    screen_note(&demo.screen, "answers stay: %d on, 1 off; %zu requests of %d hosts in the outage",
        on, services_asked() - asked, HOSTS);
    hf_load_send_round(demo.load);
    check_bytes("during the outage");
}

static void act_recover(void)
{
    screen_act(&demo.screen, "the services are back");
    for (int i = 0; i < HOSTS; i++)
        hf_flag_service_set_status(demo.services[i], 200);
    await(all_fresh, "all hosts fresh again, each after its own backoff");
}

static void act_leave(void)
{
    int status;

    screen_act(&demo.screen, "connections close, hosts leave after " LINGER);
    close_sessions(SIZE_MAX);
    await(all_left, "no connection, no entry");
    hf_process_signal(demo.proxy, SIGTERM);
    if (!hf_process_wait_exit(demo.proxy, BOUND_MS, &status) || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        give_up("the proxy did not end with status 0 after SIGTERM");
    screen_note(&demo.screen, "SIGTERM: the proxy drained and ended with status 0");
    draw(false);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    screen_init(&demo.screen);
    start_services();
    start_proxy();
    act_arrive();
    act_use();
    act_flip();
    act_fail();
    act_recover();
    act_leave();
    printf("\n%d connections, %zu reads, %zu requests; one cache per connection would have made "
           "%lld.\n",
        CONNECTIONS, demo.closed, services_asked(), (long long)demo.requests_alone);
    fflush(stdout);
    clean_up();
    return 0;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/demo/stage.h"

#include "tests/support/net.h"
#include "tests/support/tmpdir.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { PAYLOAD_BYTES = 4096 };

struct stage stage;

static void clean_up(void)
{
    hf_load_stop(stage.load);
    hf_process_destroy(stage.proxy);
    hf_echo_stop(stage.echo);
    for (int i = 0; i < stage.options.hosts; i++)
        hf_flag_service_stop(stage.services[i]);
    free(stage.socket_path);
    free(stage.telemetry_path);
    hf_tmpdir_remove(stage.directory);
}

__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *format, ...)
{
    va_list args;
    char *output;

    printf("\ndemo: FAILED: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (stage.proxy != NULL && (output = hf_process_output(stage.proxy, HF_STDERR)) != NULL) {
        printf("the proxy's log:\n%s", output);
        free(output);
    }
    fflush(stdout);
    clean_up();
    exit(1);
}

/* ---- starting ---- */

size_t services_asked(void)
{
    size_t count = 0;

    for (int i = 0; i < stage.options.hosts; i++)
        count += hf_flag_service_count(stage.services[i]);
    return count;
}

static void start_services(void)
{
    const char *addresses[HOSTS_MOST];
    int hosts = stage.options.hosts;
    uint16_t port;

    for (int i = 0; i < hosts; i++) {
        snprintf(stage.addresses[i], sizeof(stage.addresses[i]), "127.0.0.%d", i + 1);
        addresses[i] = stage.addresses[i];
    }
    stage.echo = hf_echo_start(addresses, hosts, 0);
    port = hf_net_free_port(addresses, hosts);
    for (int i = 0; i < hosts; i++) {
        struct hf_flag_service_options options = {.address = addresses[i], .port = port};
        stage.services[i] = hf_flag_service_start(&options);
        if (stage.services[i] == NULL || stage.echo == NULL)
            give_up("the servers on %s could not be started", addresses[i]);
        hf_flag_service_set_flag(stage.services[i], FLAG, true);
        hf_flag_service_set_ttl(stage.services[i], stage.options.ttl);
    }
    stage.listen_port = hf_net_free_port(addresses, hosts);
}

static char *write_config(void)
{
    const char *build = getenv("HF_BUILD");
    char *text = NULL, *path;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL)
        give_up("out of memory");
    fprintf(file, "[proxy]\nthreads = 4\nstatus_socket = %s\ntelemetry = %s\n%s", stage.socket_path,
        stage.telemetry_path, stage.options.proxy_lines);
    for (int i = 0; i < stage.options.hosts; i++)
        fprintf(file,
            "\n[upstream:warehouse%d]\nlisten = %s:%u\nconnect = %s:%u\nhost = %s\npool_size = 0\n",
            i + 1, stage.addresses[i], stage.listen_port, stage.addresses[i],
            hf_echo_port(stage.echo), hf_flag_service_url(stage.services[i]));
    fprintf(file,
        "\n[plugin:hostflags]\nlibrary = %s/hostflags.so\nflags = " FLAG
        "\nallow_http = loopback\n%s",
        build == NULL ? "build" : build, stage.options.plugin_lines);
    fclose(file);
    path = hf_tmpdir_write(stage.directory, "demo.ini", text);
    free(text);
    return path;
}

static void start_proxy(void)
{
    const char *build = getenv("HF_BUILD");
    char program[256], *config;

    stage.directory = hf_tmpdir_create();
    stage.socket_path = hf_tmpdir_path(stage.directory, "status");
    stage.telemetry_path = hf_tmpdir_path(stage.directory, "telemetry.json");
    config = write_config();
    snprintf(program, sizeof(program), "%s/hostflags-host", build == NULL ? "build" : build);
    const char *const argv[] = {program, "--config", config, NULL};
    stage.proxy = hf_process_start(&(struct hf_process_options){.argv = argv});
    free(config);
    if (stage.proxy == NULL)
        give_up("%s could not be started", program);
    /* The status socket answers before all processes accept clients: it does not tell. */
    if (!hf_process_wait_output(stage.proxy, " is running: ", BOUND_MS))
        give_up("the proxy does not say that it is running");
    if (!cache_view_read(stage.socket_path, &stage.view))
        give_up("the proxy's status socket does not answer");
}

static struct hf_load *start_clients(int first_host, int hosts, size_t count)
{
    struct hf_load_target targets[HOSTS_MOST];
    struct hf_load *clients;

    for (int i = 0; i < hosts; i++)
        targets[i] = (struct hf_load_target){stage.addresses[first_host + i], stage.listen_port};
    clients = hf_load_start(&(struct hf_load_options){.targets = targets,
        .target_count = (size_t)hosts,
        .connections = count,
        .payload_bytes = PAYLOAD_BYTES});
    if (clients == NULL)
        give_up("the clients could not be started");
    return clients;
}

void stage_start_load(void)
{
    stage.load = start_clients(0, HOSTS, CONNECTIONS);
}

struct hf_load *stage_add_clients(int first_host, int hosts, size_t count)
{
    struct hf_load *clients = start_clients(first_host, hosts, count);
    struct hf_load_counts counts;

    if (!hf_load_wait_round(clients, BOUND_MS))
        give_up("bytes of %zu more clients did not come back", count);
    hf_load_get_counts(clients, &counts);
    if (counts.done != count)
        give_up("of %zu more clients %zu have their bytes, %zu failed, %zu were lost", count,
            counts.done, counts.failed, counts.lost);
    return clients;
}

/* ---- looking ---- */

size_t count_lines(const char *containing)
{
    char *text = hf_tmpdir_read(stage.telemetry_path);
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
    for (int i = 0; i < stage.options.hosts; i++) {
        const struct cache_row *row = cache_view_find(&stage.view, stage.addresses[i]);
        int64_t asked = (int64_t)hf_flag_service_count(stage.services[i]);
        if (row != NULL && row->references > 0)
            stage.requests_alone += (asked - stage.requests_seen[i]) * row->references;
        stage.requests_seen[i] = asked;
    }
}

static void draw(bool whole)
{
    screen_draw(&stage.screen, &stage.view, services_asked(), stage.telemetry_lines, whole);
}

void look(bool whole)
{
    if (!cache_view_read(stage.socket_path, &stage.view))
        give_up("the proxy's status socket does not answer any more");
    stage.telemetry_lines = count_lines("\"upstream\"");
    count_requests_alone();
    if (whole || hf_wait_now_ms() - stage.last_draw_ms >= 1000) {
        draw(whole);
        stage.last_draw_ms = hf_wait_now_ms();
    }
}

static bool look_until(bool (*reached)(void))
{
    look(false);
    return reached();
}

void await(bool (*reached)(void), const char *what)
{
    if (!HF_WAIT_UNTIL(look_until(reached), BOUND_MS))
        give_up("was not observed: %s", what);
    screen_note(&stage.screen, "%s", what);
    look(true);
}

void stage_open(const struct stage_options *options)
{
    memset(&stage, 0, sizeof(stage));
    stage.options = *options;
    screen_init(&stage.screen);
    start_services();
    start_proxy();
}

void stage_check_bytes(const char *when, size_t lost)
{
    struct hf_load_counts counts;

    if (!hf_load_wait_round(stage.load, BOUND_MS))
        give_up("%s: bytes did not come back", when);
    hf_load_get_counts(stage.load, &counts);
    if (counts.connected != CONNECTIONS || counts.failed + counts.wrong != 0 || counts.lost != lost)
        give_up(
            "%s: of %d connections %zu connected, %zu failed, %zu were lost, %zu got wrong bytes",
            when, CONNECTIONS, counts.connected, counts.failed, counts.lost, counts.wrong);
    screen_note(&stage.screen, "%s: %zu connections open, %.1f MB compared, none wrong", when,
        counts.open, (double)counts.verified_bytes / 1e6);
}

void stage_close_sessions(size_t count)
{
    stage.closed += hf_load_close_first(stage.load, count);
}

void stage_end_proxy(void)
{
    int status;

    hf_process_signal(stage.proxy, SIGTERM);
    if (!hf_process_wait_exit(stage.proxy, BOUND_MS, &status) || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        give_up("the proxy did not end with status 0 after SIGTERM");
    screen_note(&stage.screen, "SIGTERM: the proxy drained and ended with status 0");
    screen_draw(&stage.screen, &stage.view, services_asked(), stage.telemetry_lines, false);
}

void stage_close(void)
{
    clean_up();
}

/* ---- what is awaited in both parts ---- */

bool lines_for_all_closed(void)
{
    return stage.telemetry_lines == stage.closed;
}

bool all_connected(void)
{
    return stage.view.references == CONNECTIONS;
}

bool all_on_and_fresh(void)
{
    int on = 0;

    for (int i = 0; i < stage.view.count; i++)
        on += stage.view.rows[i].enabled;
    return on == HOSTS && cache_view_count_state(&stage.view, "fresh") == HOSTS;
}

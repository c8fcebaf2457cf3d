/* SPDX-License-Identifier: PostgreSQL
 *
 * proxy.c: see proxy.h.
 *
 * Starting does what can fail first (addresses, telemetry, status socket), and starts threads when
 * all of that is there. Reloading is the same: what can fail is prepared beside what runs, the
 * plugin is asked last, and only then anything changes.
 */
#include "hosts/proxy/proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "hosts/proxy/flags.h"
#include "hosts/proxy/listener.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/loop.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/status.h"
#include "hosts/proxy/telemetry.h"

enum { ERROR_SIZE = 1024, GIVE_UP_MS = 2000 };

enum phase { RUNNING, DRAINING, ENDING };

static struct {
    uv_loop_t uv;
    uv_signal_t on_hup, on_term, on_int;
    uv_async_t loop_ended; /* poked by loop threads */
    uv_timer_t deadline; /* of the phase */
    enum phase phase;
    struct hf_config *config;
    struct hf_listener **listeners; /* one for each upstream of config, until draining */
    size_t listener_count;
    struct hf_loop *loops;
    size_t loop_count, next_loop;
    const struct hf_proxy_worker *worker; /* NULL: this is no worker */
} proxy;

static void on_client(void *ctx, size_t upstream, int fd)
{
    (void)ctx;
    hf_loop_post_client(&proxy.loops[proxy.next_loop], fd, upstream);
    proxy.next_loop = (proxy.next_loop + 1) % proxy.loop_count;
}

static void log_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    hf_log(HF_LOG_ERROR, "%s", sentence);
}

/* The listener that serves this address already; NULL: none. */
static struct hf_listener *find_listener(const struct hf_config_upstream *upstream)
{
    for (size_t i = 0; i < proxy.listener_count; i++)
        if (hf_listener_fits(proxy.listeners[i], upstream))
            return proxy.listeners[i];
    return NULL;
}

/* Closes those of the one array that are not in the other, and frees the array. */
static void close_listeners(struct hf_listener **listeners, size_t count,
    struct hf_listener *const *others, size_t other_count)
{
    for (size_t i = 0; i < count; i++) {
        bool stays = false;

        for (size_t j = 0; j < other_count; j++)
            stays = stays || others[j] == listeners[i];
        if (!stays)
            hf_listener_close(listeners[i]);
    }
    free(listeners);
}

/* A listener for each upstream: the running ones where they fit, new ones that are not started yet
 * otherwise. NULL: an address cannot be had; nothing has changed. */
static struct hf_listener **open_listeners(
    const struct hf_config *config, char *error, size_t error_size)
{
    struct hf_listener **listeners = hf_memory_new(config->upstream_count * sizeof(*listeners));

    for (size_t i = 0; i < config->upstream_count; i++) {
        listeners[i] = find_listener(&config->upstreams[i]);
        if (!listeners[i])
            listeners[i] = hf_listener_open(&config->upstreams[i], proxy.worker, error, error_size);
        if (!listeners[i]) {
            close_listeners(listeners, i, proxy.listeners, proxy.listener_count);
            return NULL;
        }
    }
    return listeners;
}

/* Makes a prepared configuration the running one. The loops hear of it before its first client. */
static void apply(struct hf_config *config, struct hf_listener **listeners)
{
    hf_log_set_level((int)config->log_level);
    close_listeners(proxy.listeners, proxy.listener_count, listeners, config->upstream_count);
    proxy.listeners = listeners;
    proxy.listener_count = config->upstream_count;
    hf_config_release(proxy.config);
    proxy.config = config;
    for (size_t i = 0; i < proxy.loop_count; i++)
        hf_loop_post_config(&proxy.loops[i], config);
    for (size_t i = 0; i < proxy.listener_count; i++) {
        int status;

        hf_listener_route(listeners[i], &config->upstreams[i], i);
        status = hf_listener_start(listeners[i], &proxy.uv, on_client, NULL);
        if (status != 0)
            hf_log(HF_LOG_ERROR, "upstream `%s` cannot accept clients: %s",
                config->upstreams[i].name, uv_strerror(status));
    }
}

void hf_proxy_report_restarts(const struct hf_config *old, const struct hf_config *config)
{
    const char *before = old->status_socket ? old->status_socket : "";
    const char *now = config->status_socket ? config->status_socket : "";

    if (old->processes != config->processes)
        hf_log(HF_LOG_WARNING, "processes = %lld needs a restart; it stays %lld",
            (long long)config->processes, (long long)old->processes);
    if (old->threads != config->threads)
        hf_log(HF_LOG_WARNING, "threads = %lld needs a restart; %lld threads go on",
            (long long)config->threads, (long long)old->threads);
    if (strcmp(before, now) != 0)
        hf_log(HF_LOG_WARNING, "status_socket = %s needs a restart; it stays \"%s\"", now, before);
}

/* Applies the file, or leaves everything as it is: HF_OK or a sentence in error. */
static int reload(struct hf_config *config, char *error, size_t error_size)
{
    struct hf_listener **listeners = NULL;
    int telemetry = -1;
    int result = hf_flags_resolve(config, error, error_size);

    if (result == HF_OK) {
        telemetry = hf_telemetry_open(config->telemetry, error, error_size);
        result = telemetry < 0 ? telemetry : HF_OK;
    }
    if (result == HF_OK) {
        listeners = open_listeners(config, error, error_size);
        result = listeners ? HF_OK : HF_E_SYSTEM;
    }
    if (result == HF_OK)
        result = hf_flags_reload(proxy.config, config, error, error_size);
    if (result == HF_OK) {
        hf_telemetry_use(telemetry);
        if (!proxy.worker) /* the master has said so for all */
            hf_proxy_report_restarts(proxy.config, config);
        apply(config, listeners);
        return HF_OK;
    }
    if (telemetry >= 0)
        close(telemetry);
    if (listeners)
        close_listeners(listeners, config->upstream_count, proxy.listeners, proxy.listener_count);
    return result;
}

static void on_reload(uv_signal_t *handle, int number)
{
    char error[ERROR_SIZE] = "";
    struct hf_config *config;

    (void)handle;
    (void)number;
    if (proxy.phase != RUNNING) {
        hf_log(HF_LOG_WARNING, "SIGHUP is ignored: the program is ending");
        return;
    }
    hf_log(HF_LOG_INFO, "SIGHUP: reading %s again", proxy.config->path);
    config = hf_config_read(proxy.config->path, log_problem, NULL);
    if (config && reload(config, error, sizeof(error)) == HF_OK) {
        hf_log(HF_LOG_INFO, "the new configuration is running: %zu upstream(s)",
            config->upstream_count);
        return;
    }
    if (config)
        hf_log(HF_LOG_ERROR, "%s: %s", config->path, error);
    hf_log(HF_LOG_ERROR, "the new configuration was not applied: the running one stays");
    hf_config_release(config);
}

/* A loop that is still busy now is waiting for the name server inside the C library: nothing of
 * ours can end that, so the process ends around it. */
static void give_up(void)
{
    hf_log(HF_LOG_WARNING, "a thread still waits for the name server; ending without it");
    hf_telemetry_stop();
    hf_flags_unload();
    hf_status_unlink();
    _exit(0);
}

static void end_sessions(const char *why)
{
    proxy.phase = ENDING;
    hf_log(HF_LOG_WARNING, "%s: sessions that are still open are closed", why);
    for (size_t i = 0; i < proxy.loop_count; i++)
        hf_loop_post_drain(&proxy.loops[i], true);
}

static void on_deadline(uv_timer_t *deadline)
{
    if (proxy.phase == ENDING)
        give_up();
    end_sessions("drain_timeout has passed");
    uv_timer_start(deadline, on_deadline, GIVE_UP_MS, 0);
}

static void drain(void)
{
    proxy.phase = DRAINING;
    hf_log(HF_LOG_INFO, "ending: waiting for sessions, at most %lld ms (a second signal: at once)",
        (long long)proxy.config->drain_timeout_ms);
    close_listeners(proxy.listeners, proxy.listener_count, NULL, 0);
    proxy.listeners = NULL;
    proxy.listener_count = 0;
    for (size_t i = 0; i < proxy.loop_count; i++)
        hf_loop_post_drain(&proxy.loops[i], false);
    uv_timer_start(&proxy.deadline, on_deadline, (uint64_t)proxy.config->drain_timeout_ms, 0);
}

static void on_end(uv_signal_t *handle, int number)
{
    bool again = proxy.phase != RUNNING;

    (void)handle;
    if (!again)
        drain();
    if (proxy.phase == DRAINING && (proxy.worker ? number == SIGINT : again)) {
        end_sessions("second signal");
        uv_timer_start(&proxy.deadline, on_deadline, GIVE_UP_MS, 0);
    }
}

/* What keeps the main loop running. */
static void close_handles(void)
{
    uv_close((uv_handle_t *)&proxy.on_hup, NULL);
    uv_close((uv_handle_t *)&proxy.on_term, NULL);
    uv_close((uv_handle_t *)&proxy.on_int, NULL);
    uv_close((uv_handle_t *)&proxy.deadline, NULL);
    uv_close((uv_handle_t *)&proxy.loop_ended, NULL);
    hf_status_close();
}

static void on_loop_ended(uv_async_t *handle)
{
    (void)handle;
    for (size_t i = 0; i < proxy.loop_count; i++)
        if (!hf_loop_has_ended(&proxy.loops[i]))
            return;
    close_handles();
}

static void start_handles(void)
{
    uv_loop_init(&proxy.uv);
    uv_async_init(&proxy.uv, &proxy.loop_ended, on_loop_ended);
    uv_timer_init(&proxy.uv, &proxy.deadline);
    uv_signal_init(&proxy.uv, &proxy.on_hup);
    uv_signal_init(&proxy.uv, &proxy.on_term);
    uv_signal_init(&proxy.uv, &proxy.on_int);
    uv_signal_start(&proxy.on_hup, on_reload, SIGHUP);
    uv_signal_start(&proxy.on_term, on_end, SIGTERM);
    uv_signal_start(&proxy.on_int, on_end, SIGINT);
}

/* The files and addresses that the configuration asks for; threads only after them. */
static int prepare(
    const struct hf_config *config, struct hf_listener ***listeners, char *error, size_t error_size)
{
    int telemetry = hf_telemetry_open(config->telemetry, error, error_size);

    if (telemetry < 0)
        return HF_E_SYSTEM;
    *listeners = open_listeners(config, error, error_size);
    if (*listeners &&
        hf_status_bind(proxy.worker ? NULL : config->status_socket, error, error_size) == HF_OK &&
        hf_status_serve(&proxy.uv, error, error_size) == HF_OK)
        return hf_telemetry_start(telemetry, error, error_size);
    close(telemetry);
    return HF_E_SYSTEM;
}

/* The loops of all workers are counted through, so that pool_size is divided among all of them. */
static int start_loops(const struct hf_config *config, char *error, size_t error_size)
{
    int first = proxy.worker ? (proxy.worker->number - 1) * (int)config->threads : 0;
    int count = (int)(proxy.worker ? config->processes * config->threads : config->threads);

    proxy.loops = hf_memory_new((size_t)config->threads * sizeof(*proxy.loops));
    for (int i = 0; i < config->threads; i++) {
        int status = hf_loop_start(&proxy.loops[i], first + i, count, &proxy.loop_ended);

        if (status != 0) {
            snprintf(error, error_size, "cannot start loop thread %d: %s", i, uv_strerror(status));
            return HF_E_SYSTEM;
        }
        proxy.loop_count++;
    }
    return HF_OK;
}

static void join_loops(void)
{
    for (size_t i = 0; i < proxy.loop_count; i++)
        hf_loop_join(&proxy.loops[i]);
    free(proxy.loops);
    proxy.loop_count = 0;
}

/* Takes back what a start that failed has begun. */
static void abandon(struct hf_config *config, struct hf_listener **listeners)
{
    if (listeners)
        close_listeners(listeners, config->upstream_count, NULL, 0);
    for (size_t i = 0; i < proxy.loop_count; i++)
        hf_loop_post_drain(&proxy.loops[i], false);
    join_loops();
    close_handles();
    proxy.config = config;
}

/* To whoever waits for it: now there are clients. */
static void report_running(const struct hf_config *config)
{
    if (!proxy.worker) {
        hf_log(HF_LOG_INFO,
            "hostflags-host %s is running: %zu upstream(s), %zu thread(s), plugin: %s", HF_VERSION,
            config->upstream_count, proxy.loop_count,
            config->plugin.name ? config->plugin.library : "none");
        return;
    }
    hf_log(HF_LOG_INFO, "worker %d accepts clients", proxy.worker->number);
    if (proxy.worker->ready_fd < 0)
        return;
    if (write(proxy.worker->ready_fd, "", 1) < 0)
        hf_log(HF_LOG_WARNING, "cannot tell the master: %s", strerror(errno));
    close(proxy.worker->ready_fd);
}

int hf_proxy_run(struct hf_config *config, const struct hf_proxy_worker *worker)
{
    char error[ERROR_SIZE] = "";
    struct hf_listener **listeners = NULL;
    bool started;

    proxy.worker = worker;
    start_handles();
    if (worker)
        pthread_sigmask(SIG_SETMASK, &worker->mask, NULL);
    started = prepare(config, &listeners, error, sizeof(error)) == HF_OK &&
        start_loops(config, error, sizeof(error)) == HF_OK;
    if (started) {
        apply(config, listeners);
        report_running(config);
    } else {
        hf_log(HF_LOG_ERROR, "%s", error);
        abandon(config, listeners);
    }
    uv_run(&proxy.uv, UV_RUN_DEFAULT);
    if (started)
        join_loops();
    hf_telemetry_stop();
    hf_config_release(proxy.config);
    uv_loop_close(&proxy.uv);
    return started ? 0 : 1;
}

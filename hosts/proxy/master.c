/* SPDX-License-Identifier: PostgreSQL
 *
 * master.c: see master.h. Nothing is forked from inside of the loop: a callback that has to do so
 * stops the loop, and supervise() forks, so that a child never goes on in a callback of its
 * parent's.
 */
#include "hosts/proxy/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "hosts/proxy/claims.h"
#include "hosts/proxy/flags.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/proxy.h"
#include "hosts/proxy/status.h"
#include "hosts/proxy/telemetry.h"
#include "hosts/proxy/workers.h"

enum { ERROR_SIZE = 1024, LATE_MS = 8000 /* what a worker needs beyond its drain_timeout */ };

/* STARTING: not all workers accept clients yet. */
enum phase { STARTING, RUNNING, DRAINING, ENDING };

static struct {
    uv_loop_t uv;
    uv_signal_t on_hup, on_term, on_int, on_child;
    uv_poll_t on_ready; /* STARTING */
    uv_timer_t timer; /* the next restart; from DRAINING on the deadline */
    int ready_fds[2]; /* a pipe that all first workers write to; -1: closed */
    size_t ready; /* workers that have */
    enum phase phase;
    struct hf_config *config;
    sigset_t mask;
    int status; /* to exit with */
} master;

static void log_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    hf_log(HF_LOG_ERROR, "%s", sentence);
}

static void close_ready(int end)
{
    if (master.ready_fds[end] >= 0)
        close(master.ready_fds[end]);
    master.ready_fds[end] = -1;
}

/* What keeps the loop running, but for the status socket. */
static void close_handles(void)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&master.on_hup, (uv_handle_t *)&master.on_term,
        (uv_handle_t *)&master.on_int, (uv_handle_t *)&master.on_child,
        (uv_handle_t *)&master.on_ready, (uv_handle_t *)&master.timer};

    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
        uv_close(handles[i], NULL);
}

static void end_if_alone(void)
{
    if (master.phase < DRAINING || hf_workers_count() > 0)
        return;
    close_handles();
    hf_status_close();
}

/* A worker that is stopped, say, does not hear. */
static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    hf_log(HF_LOG_WARNING, "%zu worker(s) did not end in time and are killed", hf_workers_count());
    master.status = 1;
    hf_workers_signal(SIGKILL);
}

static void end_workers(enum phase phase, int number, int64_t bound_ms)
{
    master.phase = phase;
    hf_workers_signal(number);
    uv_timer_start(&master.timer, on_deadline, (uint64_t)(bound_ms + LATE_MS), 0);
    end_if_alone();
}

static void on_end(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    if (master.phase < DRAINING) {
        hf_log(HF_LOG_INFO,
            "ending: %zu worker(s) drain, for at most %lld ms (a second signal: "
            "at once)",
            hf_workers_count(), (long long)master.config->drain_timeout_ms);
        end_workers(DRAINING, SIGTERM, master.config->drain_timeout_ms);
    } else if (master.phase == DRAINING) {
        hf_log(HF_LOG_WARNING, "second signal: the workers end at once");
        end_workers(ENDING, SIGINT, 0);
    }
}

static void on_due(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void schedule_restart(void)
{
    int64_t wait_ms = hf_workers_wait_ms();

    if (wait_ms >= 0)
        uv_timer_start(&master.timer, on_due, (uint64_t)wait_ms, 0);
}

/* "worker 2 (pid 4711) was ended by signal 9 (Killed)" */
static void describe(const struct hf_worker_end *end, char *text, size_t size)
{
    int length = snprintf(text, size, "worker %d (pid %ld) ", end->number, (long)end->pid);

    if (WIFSIGNALED(end->wait_status))
        snprintf(text + length, size - (size_t)length, "was ended by signal %d (%s)",
            WTERMSIG(end->wait_status), strsignal(WTERMSIG(end->wait_status)));
    else
        snprintf(text + length, size - (size_t)length, "ended with status %d",
            WEXITSTATUS(end->wait_status));
}

static void on_worker_ended(const struct hf_worker_end *end)
{
    char text[160];

    describe(end, text, sizeof(text));
    switch (master.phase) {
    case STARTING:
        hf_log(HF_LOG_ERROR, "%s before all workers accepted clients: the program ends", text);
        master.status = 1;
        end_workers(DRAINING, SIGTERM, master.config->drain_timeout_ms);
        break;
    case RUNNING:
        if (end->restart_ms == 0)
            hf_log(HF_LOG_WARNING, "%s; it is replaced now", text);
        else
            hf_log(HF_LOG_WARNING, "%s; it is replaced in %lld ms, a second after its start", text,
                (long long)end->restart_ms);
        schedule_restart();
        break;
    case DRAINING:
    case ENDING:
        if (end->wait_status != 0)
            master.status = 1;
        hf_log(end->wait_status == 0 ? HF_LOG_DEBUG : HF_LOG_WARNING, "%s", text);
        break;
    }
}

static void on_child(uv_signal_t *handle, int number)
{
    struct hf_worker_end end;

    (void)handle;
    (void)number;
    while (hf_workers_reap(&end))
        on_worker_ended(&end);
    if (!uv_is_closing((uv_handle_t *)&master.on_child))
        end_if_alone();
}

static void report_running(void)
{
    const struct hf_config *config = master.config;

    hf_claims_log(config);
    hf_log(HF_LOG_INFO,
        "hostflags-host %s is running: %zu upstream(s), %zu processes of %lld thread(s), plugin: "
        "%s",
        HF_VERSION, config->upstream_count, hf_workers_count(), (long long)config->threads,
        config->plugin.name ? config->plugin.library : "none");
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    char bytes[64];
    ssize_t got = status == 0 ? read(master.ready_fds[0], bytes, sizeof(bytes)) : 0;

    (void)events;
    if (got > 0)
        master.ready += (size_t)got;
    if (master.phase == STARTING && master.ready == hf_workers_count()) {
        master.phase = RUNNING;
        report_running();
    }
    if (got <= 0 || master.phase != STARTING)
        uv_poll_stop(poll);
}

/* Tries what can fail, and the workers would try: HF_OK or a sentence in error. */
static int try_telemetry(const struct hf_config *config, char *error, size_t error_size)
{
    int fd = hf_telemetry_open(config->telemetry, error, error_size);

    if (fd < 0)
        return fd;
    close(fd);
    return HF_OK;
}

static int check_ports(const struct hf_config *config, char *error, size_t error_size)
{
    const struct hf_config_upstream *upstream = hf_claims_find_unknown_port(config);

    if (!upstream)
        return HF_OK;
    snprintf(error, error_size,
        "cannot listen on %s for upstream `%s`: with several processes a new address with port 0 "
        "needs a restart; expected another port",
        upstream->listen_text, upstream->name);
    return HF_E_INVALID;
}

static int reload(struct hf_config *config, char *error, size_t error_size)
{
    int result = hf_flags_resolve(config, error, error_size);

    if (result == HF_OK)
        result = try_telemetry(config, error, error_size);
    if (result == HF_OK)
        result = check_ports(config, error, error_size);
    if (result == HF_OK)
        result = hf_claims_add(config, error, error_size);
    if (result == HF_OK)
        result = hf_flags_reload(master.config, config, error, error_size);
    return result;
}

/* Workers that are replaced later are as those that go on: with the same number of threads. */
static void apply(struct hf_config *config)
{
    hf_proxy_report_restarts(master.config, config);
    config->threads = master.config->threads;
    config->processes = master.config->processes;
    hf_log_set_level((int)config->log_level);
    hf_claims_keep(config);
    hf_config_release(master.config);
    master.config = config;
}

static void on_reload(uv_signal_t *handle, int number)
{
    char error[ERROR_SIZE] = "";
    struct hf_config *config;

    (void)handle;
    (void)number;
    if (master.phase != RUNNING) {
        hf_log(HF_LOG_WARNING, "SIGHUP is ignored: the program is %s",
            master.phase == STARTING ? "starting" : "ending");
        return;
    }
    hf_log(HF_LOG_INFO, "SIGHUP: reading %s again", master.config->path);
    config = hf_config_read(master.config->path, log_problem, NULL);
    if (config && reload(config, error, sizeof(error)) == HF_OK) {
        apply(config);
        hf_claims_log(config);
        hf_log(HF_LOG_INFO, "the new configuration is good: %zu worker(s) read it",
            hf_workers_count());
        hf_workers_signal(number);
        return;
    }
    if (config)
        hf_log(HF_LOG_ERROR, "%s: %s", config->path, error);
    hf_log(HF_LOG_ERROR, "the new configuration was not applied: the running one stays");
    hf_claims_keep(master.config);
    hf_config_release(config);
}

static void open_loop(void)
{
    uv_loop_init(&master.uv);
    uv_timer_init(&master.uv, &master.timer);
    uv_poll_init(&master.uv, &master.on_ready, master.ready_fds[0]);
    uv_poll_start(&master.on_ready, UV_READABLE, on_ready);
    uv_signal_init(&master.uv, &master.on_hup);
    uv_signal_init(&master.uv, &master.on_term);
    uv_signal_init(&master.uv, &master.on_int);
    uv_signal_init(&master.uv, &master.on_child);
    uv_signal_start(&master.on_hup, on_reload, SIGHUP);
    uv_signal_start(&master.on_term, on_end, SIGTERM);
    uv_signal_start(&master.on_int, on_end, SIGINT);
    uv_signal_start(&master.on_child, on_child, SIGCHLD);
}

/* In a child that was forked from beside the loop: all of it is closed without a trace in the
 * parent. uv_loop_fork gives it an epoll descriptor and pipes of its own first. */
static void leave_loop(void)
{
    if (uv_loop_fork(&master.uv) != 0) {
        hf_log(HF_LOG_ERROR, "cannot leave the master's loop");
        _exit(1);
    }
    close_handles();
    hf_status_leave();
    uv_run(&master.uv, UV_RUN_DEFAULT);
    uv_loop_close(&master.uv);
}

/* The rest of a worker's life. */
static int be_worker(int number)
{
    struct hf_proxy_worker worker = {number, master.ready_fds[1], master.mask};

    close_ready(0);
    hf_claims_keep(NULL);
    hf_workers_destroy();
    return hf_proxy_run(master.config, &worker);
}

/* Until there is no worker any more: 0. In a worker that was started meanwhile: its number. */
static int supervise(void)
{
    while (uv_run(&master.uv, UV_RUN_DEFAULT) != 0) {
        int number;

        if (master.phase != RUNNING)
            continue;
        hf_workers_hold_signals(&master.mask);
        number = hf_workers_start();
        if (number > 0) {
            leave_loop();
            return number;
        }
        pthread_sigmask(SIG_SETMASK, &master.mask, NULL);
        schedule_restart();
    }
    return 0;
}

/* What can fail, before anything is forked. */
static int prepare(char *error, size_t error_size)
{
    if (try_telemetry(master.config, error, error_size) != HF_OK ||
        hf_claims_add(master.config, error, error_size) != HF_OK ||
        hf_status_bind(master.config->status_socket, error, error_size) != HF_OK)
        return HF_E_SYSTEM;
    if (pipe2(master.ready_fds, O_CLOEXEC | O_NONBLOCK) == 0)
        return HF_OK;
    snprintf(error, error_size, "cannot make a pipe for the workers: %s", strerror(errno));
    return HF_E_SYSTEM;
}

/* The master's part, with workers: returns as supervise does. */
static int lead(void)
{
    char error[ERROR_SIZE] = "";
    int number;

    close_ready(1);
    open_loop();
    pthread_sigmask(SIG_SETMASK, &master.mask, NULL);
    if (hf_status_serve(&master.uv, error, sizeof(error)) != HF_OK)
        hf_log(HF_LOG_ERROR, "%s", error);
    if (*error || hf_workers_count() < (size_t)master.config->processes) {
        master.status = 1;
        end_workers(DRAINING, SIGTERM, 0);
    }
    number = supervise();
    if (number == 0)
        uv_loop_close(&master.uv);
    return number;
}

static void clean_up(void)
{
    close_ready(0);
    close_ready(1);
    hf_claims_keep(NULL);
    hf_workers_destroy();
    hf_config_release(master.config);
}

int hf_master_run(struct hf_config *config)
{
    char error[ERROR_SIZE] = "";
    int number;

    master.config = config;
    master.ready_fds[0] = master.ready_fds[1] = -1;
    hf_workers_create((size_t)config->processes);
    if (prepare(error, sizeof(error)) != HF_OK) {
        hf_log(HF_LOG_ERROR, "%s", error);
        hf_status_close();
        clean_up();
        return 1;
    }
    hf_workers_hold_signals(&master.mask);
    number = hf_workers_start();
    if (number > 0)
        hf_status_leave();
    else
        number = lead();
    if (number > 0)
        return be_worker(number);
    clean_up();
    return master.status;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/worker.h"

#include "plugin/clock.h"
#include "plugin/life.h"
#include "plugin/thread.h"

#include <string.h>

#define PAUSE_S 5 /* between attempts to start when there is no thread, memory or descriptor */
#define STANDBY_S 1 /* between attempts to lead */
#define POLL_MS 100 /* between looks at the bell while something is in flight */

static bool is_stopping(struct hf_worker *worker)
{
    bool stopping;

    pthread_mutex_lock(&worker->mutex);
    stopping = worker->state == HF_WORKER_STOPPING;
    pthread_mutex_unlock(&worker->mutex);
    return stopping;
}

/* For so long, or until it is to stop. */
static void pause_for(struct hf_worker *worker, int seconds)
{
    int64_t end = hf_clock_ms() + seconds * 1000;
    struct timespec until = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    int error = 0;

    pthread_mutex_lock(&worker->mutex);
    while (error == 0 && worker->state != HF_WORKER_STOPPING)
        error = pthread_cond_clockwait(&worker->changed, &worker->mutex, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&worker->mutex);
}

static void set_refresher(struct hf_worker *worker, struct hf_refresher *refresher)
{
    pthread_mutex_lock(&worker->mutex);
    worker->refresher = refresher;
    pthread_mutex_unlock(&worker->mutex);
}

/* One turn for all who share the registry. While nothing is in flight it is the bell that is waited
 * for, since only that can be heard from every process; a refresher's own wait is short then. */
static void turn_for_all(struct hf_worker *worker, int64_t *look_at)
{
    uint32_t heard = hf_share_bell(worker->share);
    int64_t now, rest_ms;

    hf_refresher_turn(worker->refresher, hf_refresher_is_idle(worker->refresher) ? 0 : POLL_MS);
    now = hf_clock_ms();
    rest_ms = *look_at - now;
    if (rest_ms <= 0) {
        rest_ms = hf_life_bury_the_dead(worker->parts.registry, worker->share, now);
        *look_at = rest_ms == HF_NEVER ? now : now + rest_ms; /* whoever comes rings the bell */
    }
    if (hf_refresher_is_idle(worker->refresher) && !is_stopping(worker))
        hf_share_await_bell(
            worker->share, heard, hf_refresher_until_due(worker->refresher, rest_ms));
}

/* Refreshes until told to stop. False: there was no memory or descriptor for a refresher. */
static bool lead(struct hf_worker *worker)
{
    struct hf_refresher *refresher = hf_refresher_create(&worker->parts);
    int64_t look_at = hf_clock_ms();

    if (refresher == NULL)
        return false;
    set_refresher(worker, refresher);
    while (!is_stopping(worker)) {
        if (worker->share == NULL)
            hf_refresher_turn(refresher, HF_NEVER);
        else
            turn_for_all(worker, &look_at);
    }
    set_refresher(worker, NULL);
    hf_refresher_destroy(refresher);
    return true;
}

/* True: this process is the one that refreshes, until end_to_lead. */
static bool begin_to_lead(struct hf_worker *worker)
{
    struct hf_registry *registry = worker->parts.registry;

    if (worker->share == NULL)
        return true;
    if (!hf_share_begin_to_lead(worker->share, atomic_load(&registry->owner)))
        return false;
    hf_registry_lead(registry, hf_clock_ms());
    return true;
}

static void end_to_lead(struct hf_worker *worker)
{
    if (worker->share != NULL)
        hf_share_end_to_lead(worker->share);
}

static void *run(void *arg)
{
    struct hf_worker *worker = arg;
    bool complained = false;

    while (!is_stopping(worker)) {
        bool led = begin_to_lead(worker), failed = led && !lead(worker);
        if (led)
            end_to_lead(worker);
        if (failed && !complained)
            hf_log_line(worker->parts.log, HF_ERROR,
                "the worker cannot start for want of memory or descriptors; all answers stay as "
                "they are, and it is tried every %d s",
                PAUSE_S);
        complained = failed;
        pause_for(worker, failed ? PAUSE_S : STANDBY_S);
    }
    return NULL;
}

static int start_locked(struct hf_worker *worker)
{
    int error = hf_thread_start(&worker->thread, "hostflags", run, worker);

    if (error == 0)
        worker->state = HF_WORKER_RUNNING;
    return error;
}

void hf_worker_open(
    struct hf_worker *worker, const struct hf_refresher_parts *parts, struct hf_share *share)
{
    pthread_mutex_lock(&worker->mutex);
    worker->parts = *parts;
    worker->share = share;
    worker->state = worker->exiting ? HF_WORKER_CLOSED : HF_WORKER_IDLE;
    worker->retry_ms = HF_NEVER;
    pthread_mutex_unlock(&worker->mutex);
}

/* Wakes the thread, and whoever leads in another process. */
static void wake_locked(struct hf_worker *worker)
{
    if (worker->refresher != NULL)
        hf_refresher_kick(worker->refresher);
    if (worker->share != NULL)
        hf_share_ring(worker->share);
}

/* Whether it has work: where processes share, they may die while nothing is asked. */
static bool is_wanted(struct hf_worker *worker)
{
    return worker->share == NULL ? hf_rules_ask(&worker->parts.settings->rules)
                                 : atomic_load(&worker->parts.registry->owner) != 0;
}

/* What there is to log is logged without the lock. */
static int kick_locked(struct hf_worker *worker)
{
    bool refused_before = worker->retry_ms != HF_NEVER;
    int error;

    wake_locked(worker);
    if (worker->state != HF_WORKER_IDLE || !is_wanted(worker))
        return 0;
    error = start_locked(worker);
    worker->retry_ms = error == 0 ? HF_NEVER : hf_clock_ms() + PAUSE_S * 1000;
    return refused_before ? 0 : error;
}

void hf_worker_kick(struct hf_worker *worker)
{
    const struct hf_log *log;
    int error;

    pthread_mutex_lock(&worker->mutex);
    error = kick_locked(worker);
    log = worker->parts.log;
    pthread_mutex_unlock(&worker->mutex);
    if (error != 0)
        hf_log_line(log, HF_ERROR,
            "cannot start the worker thread: %s; all answers stay as they are, and connections "
            "try it again, every %d s at most",
            strerrordesc_np(error), PAUSE_S);
}

static void close_locked(struct hf_worker *worker)
{
    worker->state = HF_WORKER_CLOSED;
    worker->share = NULL;
    pthread_cond_broadcast(&worker->changed);
}

/* With the mutex held, but for the time of the join. */
static void stop_locked(struct hf_worker *worker)
{
    worker->state = HF_WORKER_STOPPING;
    pthread_cond_broadcast(&worker->changed);
    wake_locked(worker);
    pthread_mutex_unlock(&worker->mutex);
    pthread_join(worker->thread, NULL);
    pthread_mutex_lock(&worker->mutex);
    close_locked(worker);
}

void hf_worker_stop(struct hf_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    switch (worker->state) {
    case HF_WORKER_CLOSED:
        break;
    case HF_WORKER_IDLE:
        close_locked(worker);
        break;
    case HF_WORKER_RUNNING:
        if (!pthread_equal(worker->thread, pthread_self()))
            stop_locked(worker);
        break;
    case HF_WORKER_STOPPING:
        while (
            worker->state == HF_WORKER_STOPPING && !pthread_equal(worker->thread, pthread_self()))
            pthread_cond_wait(&worker->changed, &worker->mutex);
        break;
    }
    pthread_mutex_unlock(&worker->mutex);
}

void hf_worker_stop_at_exit(struct hf_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->exiting = true;
    pthread_mutex_unlock(&worker->mutex);
    hf_worker_stop(worker);
}

void hf_worker_forget(struct hf_worker *worker)
{
    struct hf_worker fresh = HF_WORKER_INITIALIZER;

    *worker = fresh;
}

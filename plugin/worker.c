/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/worker.h"

#include "plugin/clock.h"

#include <signal.h>
#include <string.h>

#define PAUSE_S \
    5 /* between attempts to start when the system has no thread, memory or descriptor */

static bool is_stopping_locked(const struct hf_worker *worker)
{
    return worker->state == HF_WORKER_STOPPING;
}

/* Makes the refresher, however long memory is short. False: told to stop. */
static bool prepare(struct hf_worker *worker)
{
    struct hf_refresher *refresher;
    bool stopping, complained = false;

    do {
        refresher = hf_refresher_create(&worker->parts);
        if (refresher == NULL && !complained)
            hf_log_line(worker->parts.log, HF_ERROR,
                "the worker cannot start for want of memory or descriptors; all answers stay as "
                "they are, and it is tried every %d s",
                PAUSE_S);
        complained = true;
        pthread_mutex_lock(&worker->mutex);
        if (refresher == NULL && !is_stopping_locked(worker)) {
            struct timespec until = {.tv_sec = hf_clock_ms() / 1000 + PAUSE_S};
            pthread_cond_clockwait(&worker->changed, &worker->mutex, CLOCK_MONOTONIC, &until);
        }
        worker->refresher = refresher;
        stopping = is_stopping_locked(worker);
        pthread_mutex_unlock(&worker->mutex);
    } while (refresher == NULL && !stopping);
    return !stopping;
}

static void *run(void *arg)
{
    struct hf_worker *worker = arg;
    struct hf_refresher *refresher;
    bool stopping = !prepare(worker);

    while (!stopping) {
        hf_refresher_turn(worker->refresher, HF_NEVER);
        pthread_mutex_lock(&worker->mutex);
        stopping = is_stopping_locked(worker);
        pthread_mutex_unlock(&worker->mutex);
    }
    pthread_mutex_lock(&worker->mutex);
    refresher = worker->refresher;
    worker->refresher = NULL;
    pthread_mutex_unlock(&worker->mutex);
    hf_refresher_destroy(refresher);
    return NULL;
}

/* The thread blocks all signals: they are the host's, and a SIGPIPE must not end it. */
static int start_locked(struct hf_worker *worker)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        worker->state = HF_WORKER_RUNNING;
        pthread_setname_np(worker->thread, "hostflags");
    }
    return error;
}

void hf_worker_open(struct hf_worker *worker, const struct hf_refresher_parts *parts)
{
    pthread_mutex_lock(&worker->mutex);
    worker->parts = *parts;
    worker->state = worker->exiting ? HF_WORKER_CLOSED : HF_WORKER_IDLE;
    worker->retry_ms = HF_NEVER;
    pthread_mutex_unlock(&worker->mutex);
}

/* What there is to log is logged without the lock. */
static int kick_locked(struct hf_worker *worker)
{
    bool refused_before = worker->retry_ms != HF_NEVER;
    int error;

    if (worker->refresher != NULL)
        hf_refresher_kick(worker->refresher);
    if (worker->state != HF_WORKER_IDLE || !hf_rules_ask(&worker->parts.settings->rules))
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
    pthread_cond_broadcast(&worker->changed);
}

/* With the mutex held, but for the time of the join. */
static void stop_locked(struct hf_worker *worker)
{
    worker->state = HF_WORKER_STOPPING;
    pthread_cond_broadcast(&worker->changed);
    if (worker->refresher != NULL)
        hf_refresher_kick(worker->refresher);
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

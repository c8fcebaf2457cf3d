/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/worker.h"

#include "plugin/clock.h"

#include <signal.h>
#include <string.h>

#define START_PAUSE_S 5 /* between attempts to make a refresher when memory is short */

static bool is_stopping_locked(const struct hf_worker *worker)
{
    return worker->state == HF_WORKER_STOPPING;
}

/* Makes the refresher, however long memory is short. False: told to stop. Returns unlocked. */
static bool prepare(struct hf_worker *worker)
{
    struct hf_refresher *refresher = NULL;
    bool stopping;

    for (;;) {
        refresher = hf_refresher_create(
            worker->registry, worker->settings, worker->log, worker->user_agent);
        if (refresher == NULL)
            hf_log_line(worker->log, HF_ERROR,
                "the worker cannot start for want of memory or descriptors; all answers stay as "
                "they are, next try in %d s",
                START_PAUSE_S);
        pthread_mutex_lock(&worker->mutex);
        if (refresher == NULL && !is_stopping_locked(worker)) {
            struct timespec until = {.tv_sec = hf_clock_ms() / 1000 + START_PAUSE_S};
            pthread_cond_clockwait(&worker->stopping, &worker->mutex, CLOCK_MONOTONIC, &until);
        }
        worker->refresher = refresher;
        stopping = is_stopping_locked(worker);
        pthread_mutex_unlock(&worker->mutex);
        if (refresher != NULL || stopping)
            return !stopping;
    }
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

void hf_worker_open(struct hf_worker *worker, struct hf_registry *registry,
    const struct hf_settings *settings, const struct hf_log *log, const char *user_agent)
{
    pthread_mutex_lock(&worker->mutex);
    worker->registry = registry;
    worker->settings = settings;
    worker->log = log;
    worker->user_agent = user_agent;
    worker->state = HF_WORKER_IDLE;
    pthread_mutex_unlock(&worker->mutex);
}

void hf_worker_kick(struct hf_worker *worker)
{
    const struct hf_log *log = NULL;
    int error = 0;

    pthread_mutex_lock(&worker->mutex);
    if (worker->state == HF_WORKER_IDLE && hf_settings_asks(worker->settings)) {
        error = start_locked(worker);
        log = worker->log;
    } else if (worker->refresher != NULL) {
        hf_refresher_kick(worker->refresher);
    }
    pthread_mutex_unlock(&worker->mutex);
    if (error != 0)
        hf_log_line(log, HF_ERROR,
            "cannot start the worker thread: %s; all answers stay as they are until the next new "
            "host, which tries again",
            strerrordesc_np(error));
}

void hf_worker_stop(struct hf_worker *worker)
{
    pthread_t thread;
    bool join;

    pthread_mutex_lock(&worker->mutex);
    join = worker->state == HF_WORKER_RUNNING && !pthread_equal(worker->thread, pthread_self());
    if (join) {
        worker->state = HF_WORKER_STOPPING;
        thread = worker->thread;
        pthread_cond_signal(&worker->stopping);
        if (worker->refresher != NULL)
            hf_refresher_kick(worker->refresher);
    } else if (worker->state == HF_WORKER_IDLE) {
        worker->state = HF_WORKER_CLOSED;
    }
    pthread_mutex_unlock(&worker->mutex);
    if (!join)
        return;
    pthread_join(thread, NULL);
    pthread_mutex_lock(&worker->mutex);
    worker->state = HF_WORKER_CLOSED;
    pthread_mutex_unlock(&worker->mutex);
}

void hf_worker_forget(struct hf_worker *worker)
{
    struct hf_worker fresh = HF_WORKER_INITIALIZER;

    *worker = fresh;
}

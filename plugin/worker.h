/* SPDX-License-Identifier: PostgreSQL
 *
 * worker.h: the thread that drives the refresher. One per process, for all hosts; it starts with
 * the first kick, because hosts daemonise after they have loaded us. Where processes share the
 * registry, the workers of all compete for the lease (share.h), and only the one that leads has a
 * refresher; the others look once a second whether it is theirs.
 *
 *                 kick                     stop
 *     CLOSED --open--> IDLE ------> RUNNING ------> STOPPING --joined--> CLOSED
 *                        \------------stop-----------------------------> CLOSED
 *
 * Whoever calls stop while another thread is at it waits until it is CLOSED. Once the process is
 * exiting, it stays CLOSED.
 *
 * Every change of state, and every use of the refresher from outside the thread, happens under
 * worker->mutex. It is held neither while joining nor by the thread while it works.
 */
#ifndef HOSTFLAGS_WORKER_H
#define HOSTFLAGS_WORKER_H

#include "plugin/refresh.h"

#include <pthread.h>

enum hf_worker_state { HF_WORKER_CLOSED, HF_WORKER_IDLE, HF_WORKER_RUNNING, HF_WORKER_STOPPING };

struct hf_worker {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* the state has changed */
    enum hf_worker_state state;
    pthread_t thread; /* while RUNNING or STOPPING */
    struct hf_refresher *refresher; /* the thread's; NULL until it has made it */
    bool exiting;
    _Atomic int64_t
        retry_ms; /* the system refused a thread: kick again then; HF_NEVER: it did not */
    struct hf_refresher_parts parts; /* what they point to is borrowed from open to stop */
    struct hf_share *share; /* borrowed likewise; NULL: the registry is not shared */
};

#define HF_WORKER_INITIALIZER \
    { \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, \
        .retry_ms = HF_NEVER \
    }

/* Allows the worker to start. Only while CLOSED. share: NULL where the registry is not shared. */
void hf_worker_open(
    struct hf_worker *worker, const struct hf_refresher_parts *parts, struct hf_share *share);

/* There is something to do. Starts the thread if it does not run. Any thread; does not wait. Where
 * the system refuses a thread, that is logged once, and it is overdue five seconds later. */
void hf_worker_kick(struct hf_worker *worker);

/* Whether a thread that was refused should be tried again by now. */
static inline bool hf_worker_is_overdue(struct hf_worker *worker, int64_t now)
{
    return now >= atomic_load_explicit(&worker->retry_ms, memory_order_relaxed);
}

/* Abandons what is in flight and joins the thread. Called from the thread itself it does nothing.
 * */
void hf_worker_stop(struct hf_worker *worker);

/* The same, for good: the process is exiting. */
void hf_worker_stop_at_exit(struct hf_worker *worker);

/* In a child after a fork, where there is no thread: CLOSED, with a new mutex. */
void hf_worker_forget(struct hf_worker *worker);

#endif

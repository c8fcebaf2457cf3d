/* SPDX-License-Identifier: PostgreSQL
 *
 * life.h: this process as an owner of references in a registry that it shares (share.h).
 *
 * A thread does nothing but hold the mutex that says that the process lives. It starts when the
 * process is to join, since threads do not survive a fork, and is no part of the worker, which a
 * reload stops and starts.
 *
 *              join           the thread has joined          end
 *     OUTSIDE ------> JOINING ----------------------> INSIDE -----> CLOSED
 *        ^               \---no number was free---> REFUSED
 *        \--joined by whoever started it--------------/
 *
 * Changes of state happen under life->mutex. Nobody waits for anything but a thread's start and the
 * registry's lock.
 */
#ifndef HOSTFLAGS_LIFE_H
#define HOSTFLAGS_LIFE_H

#include "plugin/registry.h"

#include <pthread.h>

enum hf_life_state {
    HF_LIFE_CLOSED,
    HF_LIFE_OUTSIDE,
    HF_LIFE_JOINING,
    HF_LIFE_REFUSED,
    HF_LIFE_INSIDE
};

struct hf_life {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum hf_life_state state;
    pthread_t thread; /* from JOINING on */
    int64_t retry_ms; /* after a refusal: not before this time */
    int64_t now; /* for the thread, while JOINING */
    bool found_dying; /* by the thread: numbers will be free soon */
    struct hf_registry *registry; /* both borrowed from open to end */
    struct hf_share *share;
};

#define HF_LIFE_INITIALIZER \
    { \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

/* Allows the process to join. Only while CLOSED. */
void hf_life_open(struct hf_life *life, struct hf_registry *registry, struct hf_share *share);

/* Joins: the registry has this process's number then. False: it could not (no thread, no number
 * left; tried again five seconds later, sooner where numbers of the dead come free), or is CLOSED.
 * Any thread. */
bool hf_life_join(struct hf_life *life, int64_t now);

/* Ends the thread: to the others this is a death. After the registry was closed in this process, so
 * that no thread counts any more. */
void hf_life_end(struct hf_life *life);

/* In a child after a fork: CLOSED. */
void hf_life_forget(struct hf_life *life);

/* Looks which owners are dead, and gives back what they held: for whoever leads, and for one who
 * finds all numbers taken. When to look again, from now; INT64_MAX: there is nobody else. */
int64_t hf_life_bury_the_dead(struct hf_registry *registry, struct hf_share *share, int64_t now);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * loop.h: a loop thread, and what it owns.
 *
 * The proxy has one main thread and `threads` loop threads; each has a uv_loop of its own.
 *
 *     main thread   configuration, plugin init/reload/fini, signals, listening sockets, status
 *        |          socket. It accepts clients and hands each one to a loop, round robin.
 *        | mail (mutex + uv_async)
 *     loop thread   pools, upstream connections, client sessions: all that a client needs is in one
 *                   loop, from accept to close, so nothing below takes a lock
 *
 * One thread accepts for all, rather than each loop with SO_REUSEPORT: the clients are spread
 * evenly, a second proxy on the same address is an error instead of a silent partner, and closing
 * the listener loses no connection that another queue had taken. Several processes (master.h) have
 * no such choice: there the kernel spreads the clients, less evenly, and claims.h refuses a second
 * proxy.
 *
 * Shared between threads: the mailbox (its lock), configuration snapshots (immutable, counted), the
 * log and telemetry (locked inside), the plugin (which is made for it). Nothing else.
 *
 * Everything marked "loop thread" in the headers of pool, server, session and relay runs on the one
 * thread of that loop.
 */
#ifndef HOSTFLAGS_PROXY_LOOP_H
#define HOSTFLAGS_PROXY_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "hosts/proxy/config.h"

enum { HF_LOOP_BUFFER_SIZE = 64 * 1024 };

struct hf_mail;
struct hf_pool;
struct hf_session;

struct hf_loop {
    /* Set at the start, then constant. */
    int index, count; /* this is loop `index` of `count`, over all processes */
    pthread_t thread;
    uv_async_t *ended; /* the main loop's: poked when this loop has nothing left */

    /* The mailbox: lock. */
    pthread_mutex_t lock;
    struct hf_mail *first, **last; /* last: where the next one is linked */
    bool closed; /* wake is no more */
    uv_async_t wake;

    atomic_bool has_ended;

    /* Loop thread. */
    uv_loop_t uv;
    struct hf_config *config; /* the latest snapshot; NULL: none yet */
    struct hf_pool **pools; /* one for each upstream of config */
    size_t pool_count; /* also those of earlier snapshots that are not empty yet */
    struct hf_session *sessions; /* a list, utlist.h */
    bool draining;
    char buffer[HF_LOOP_BUFFER_SIZE]; /* for whatever is being read: used up before the next read */
};

/* Starts the thread. 0 or a negative UV_E value. The caller's storage, zeroed, which must live
 * until join. */
int hf_loop_start(struct hf_loop *loop, int index, int count, uv_async_t *ended)
    __attribute__((warn_unused_result));

/* The main thread's messages. They arrive in order, and not at all once the loop has ended. */

/* From now on this configuration: pools grow, shrink, come and go. Takes a reference of its own. */
void hf_loop_post_config(struct hf_loop *loop, struct hf_config *config);

/* A client for the upstream at that position of the latest posted configuration. Takes fd over. */
void hf_loop_post_client(struct hf_loop *loop, int fd, size_t upstream);

/* End: close idle upstream connections, let sessions finish (at_once: close them), then stop. */
void hf_loop_post_drain(struct hf_loop *loop, bool at_once);

/* Whether the loop has nothing left, so that join does not wait. */
bool hf_loop_has_ended(const struct hf_loop *loop);

/* Waits for the thread and frees what the loop holds. */
void hf_loop_join(struct hf_loop *loop);

/* Loop thread: called by pools and sessions when one of them is gone; ends the loop if it is
 * draining and that was the last. */
void hf_loop_check_end(struct hf_loop *loop);

#endif

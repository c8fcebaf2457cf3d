/* SPDX-License-Identifier: PostgreSQL
 *
 * pool.h: the connections of one loop to one upstream.
 *
 * Kept open: `pool_size` of the configuration, divided among the loops of all processes, the first
 * ones getting one more where it does not divide. A client takes the youngest idle connection, or
 * has a new one opened when none is idle. Nobody uses a connection twice: this proxy moves bytes
 * and knows no protocol, so it cannot know what state a client left behind. When the client goes
 * the connection is closed, and the pool opens another one if it has fewer members than it should;
 * members are all that are idle, being opened or in use (as PgBouncer counts for its
 * min_pool_size).
 *
 * A server that cannot be reached, or that closes idle connections at once, is asked again after
 * 100 ms, 200 ms, ... 30 s. A client that comes meanwhile has its own attempt.
 *
 * Servers have their own idea of how long a silent client may stay: PostgreSQL closes it after
 * authentication_timeout (1 min). Such a connection is replaced.
 *
 * Ownership: the loop owns the pool until hf_pool_retire; then it frees itself with its last
 * member. Loop thread.
 */
#ifndef HOSTFLAGS_PROXY_POOL_H
#define HOSTFLAGS_PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "hosts/proxy/config.h"
#include "hosts/proxy/ration.h"

struct hf_loop;
struct hf_server;

struct hf_pool {
    struct hf_loop *loop;
    struct hf_config *config; /* a reference: upstream is in it */
    const struct hf_config_upstream *upstream;
    size_t quota; /* this loop's part of pool_size */
    size_t members; /* servers from open to close, whoever uses them */
    size_t opening; /* of these: being opened by us */
    struct hf_server *idle; /* a list, the youngest first */
    unsigned failures; /* in a row */
    uint64_t failed_ns, wait_ms; /* when the latest was, and the wait after it */
    bool is_unreachable; /* the latest attempt failed */
    struct hf_ration lost_clients; /* by sessions whose own attempt failed */
    uv_timer_t retry; /* active: no attempts before it fires */
    bool is_retired;
};

/* Takes a reference to config. Begins to fill it. */
struct hf_pool *hf_pool_create(
    struct hf_loop *loop, struct hf_config *config, const struct hf_config_upstream *upstream);

/* The same server in a newer configuration: grows or shrinks. Connections in use stay. */
void hf_pool_update(
    struct hf_pool *pool, struct hf_config *config, const struct hf_config_upstream *upstream);

/* Closes what is idle; connections in use end with their sessions. The pool is not to be used
 * any more. */
void hf_pool_retire(struct hf_pool *pool);

/* An idle connection for the caller to own, no longer watched; NULL: none. */
struct hf_server *hf_pool_take(struct hf_pool *pool);

/* What servers report: opened as a member, reached, closed. */
void hf_pool_joined(struct hf_pool *pool);
void hf_pool_succeeded(struct hf_pool *pool);
void hf_pool_left(struct hf_pool *pool);

#endif

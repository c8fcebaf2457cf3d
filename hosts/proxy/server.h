/* SPDX-License-Identifier: PostgreSQL
 *
 * server.h: one connection to an upstream server, with its reference to the server's flags.
 *
 * This is where the plugin's contract is kept: the reference is taken when the connection has been
 * established and given back when it is closed, whoever closes it and why. Whether the plugin
 * grants one makes no difference to the connection.
 *
 *     open --> resolve --> connect --+--> established: the owner's `opened`
 *                 |           |      |          | read while nobody uses it (below)
 *                 +-----------+------+----------+--> the owner's `lost`, with the reason
 *     close: at any time, by the owner; at the end of it the owner's `closed`
 *
 * Between `opened` and hf_server_take the connection is idle in a pool. It is read then, to notice
 * its end; what a server that speaks first says meanwhile (64 kB at most) is kept for its client.
 *
 * The owner is a pool or a session; hf_server_set_owner passes the connection on. Each server
 * counts as a member of its pool (pool.h) from open to close. Loop thread.
 */
#ifndef HOSTFLAGS_PROXY_SERVER_H
#define HOSTFLAGS_PROXY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "hosts/proxy/config.h"

struct hf_pool;
struct hf_server;

struct hf_server_events {
    void (*opened)(void *owner, struct hf_server *server);
    /* Could not be opened, or has ended while idle. The owner calls close. reason: borrowed. */
    void (*lost)(void *owner, struct hf_server *server, const char *reason);
    /* The last call: the server's handles are gone. NULL: not of interest. */
    void (*closed)(void *owner);
};

struct hf_server {
    uv_tcp_t tcp;
    uv_timer_t timeout; /* of resolving and connecting */
    uv_getaddrinfo_t resolving;
    uv_connect_t connecting;

    struct hf_pool *pool; /* NULL once closing */
    struct hf_config *config; /* a reference: upstream is in it */
    const struct hf_config_upstream *upstream;
    const struct hf_server_events *events;
    void *owner;

    hf_conn conn; /* our reference in the plugin */
    bool is_open, is_closing;
    uint64_t start_ns, opened_ns; /* uv_hrtime */
    bool has_tcp; /* tcp is a handle to be closed */
    int failure; /* why it could not be opened, a UV_E value; 0: no failure yet */
    int pending; /* handles and requests that still have a callback to come */
    struct addrinfo *addresses, *next_address;
    char *early; /* what came while idle */
    size_t early_length;
    struct hf_server *prev, *next; /* in the pool's idle list */
};

/* Begins to connect, in at most the connect_timeout. The owner hears of it later, never during the
 * call. */
struct hf_server *hf_server_open(struct hf_pool *pool, struct hf_config *config,
    const struct hf_config_upstream *upstream, const struct hf_server_events *events, void *owner);

void hf_server_set_owner(
    struct hf_server *server, const struct hf_server_events *events, void *owner);

/* Begins to read an open connection that nobody uses. */
void hf_server_watch(struct hf_server *server);

/* Ends that, for somebody who wants to use it. false: the server has closed it meanwhile. */
bool hf_server_take(struct hf_server *server);

/* Gives the reference back and closes everything. Once. */
void hf_server_close(struct hf_server *server);

/* How long it took to open. */
double hf_server_connect_ms(const struct hf_server *server);

#endif

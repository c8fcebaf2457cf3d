/* SPDX-License-Identifier: PostgreSQL
 *
 * listener.h: the address on which clients of one upstream arrive. Main thread.
 *
 * Opening is apart from starting, so that a reload can try new addresses before it changes
 * anything.
 */
#ifndef HOSTFLAGS_PROXY_LISTENER_H
#define HOSTFLAGS_PROXY_LISTENER_H

#include <stddef.h>
#include <uv.h>

#include "hosts/proxy/config.h"

struct hf_listener;

/* Gets an accepted client's descriptor to own, and the position that hf_listener_route set. */
typedef void hf_listener_client(void *ctx, size_t upstream, int fd);

/* Binds and listens; nothing is accepted yet. shared: workers have a listener each, and their
 * master has claimed the address (claims.h). NULL: see the sentence in error. */
struct hf_listener *hf_listener_open(const struct hf_config_upstream *upstream, bool shared,
    char *error, size_t error_size) __attribute__((warn_unused_result));

/* Logs the address of a bound socket, with the port that port 0 became. */
void hf_listener_log(int level, const struct hf_config_upstream *upstream, int fd);

/* Begins to accept; nothing happens when it does already. 0 or a negative UV_E value. */
int hf_listener_start(struct hf_listener *listener, uv_loop_t *loop, hf_listener_client *client,
    void *ctx) __attribute__((warn_unused_result));

/* Whether it has the address that the upstream wants. With port 0 only its own upstream fits. */
bool hf_listener_fits(
    const struct hf_listener *listener, const struct hf_config_upstream *upstream);

/* From now on its clients are for the upstream at that position of the configuration. */
void hf_listener_route(
    struct hf_listener *listener, const struct hf_config_upstream *upstream, size_t position);

/* Accepts what has arrived already, then closes and frees. NULL is fine. */
void hf_listener_close(struct hf_listener *listener);

#endif

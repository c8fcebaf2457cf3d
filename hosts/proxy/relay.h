/* SPDX-License-Identifier: PostgreSQL
 *
 * relay.h: moves bytes from one TCP stream to another: one direction of a session.
 *
 *     client --- up ---> upstream
 *     client <-- down -- upstream
 *
 * Back-pressure: what the receiver does not take at once is copied and queued; above 256 kB of it
 * the sender is no longer read, and from 64 kB down it is again. So a slow receiver costs that much
 * memory and no more, whatever is sent.
 *
 * Half-close: the sender's FIN is forwarded when everything before it is, and the other direction
 * goes on.
 *
 * Ownership: the caller's storage, zeroed, which must live until both streams' close callbacks have
 * run. The relay uses `data` of the stream it reads from. Loop thread.
 */
#ifndef HOSTFLAGS_PROXY_RELAY_H
#define HOSTFLAGS_PROXY_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct hf_relay {
    uv_stream_t *from, *to;
    char *buffer; /* to read into: HF_LOOP_BUFFER_SIZE bytes, shared by all relays of the loop */
    /* Called once, and not after the streams were closed: the direction has ended, by a forwarded
     * FIN (0), or by an error of either stream (a negative UV_E value). It may close both. */
    void (*ended)(struct hf_relay *relay, int status);
    void *owner; /* for ended */
    uint64_t bytes; /* taken over for the receiver so far */
    bool paused, done;
    uv_shutdown_t shutdown;
};

/* Begins to move bytes. Before them goes `early` (may be NULL): what was read from `from` already;
 * it is copied. */
void hf_relay_start(struct hf_relay *relay, const char *early, size_t early_length);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * load_client.h: many TCP connections at once, from one thread, that check what comes back.
 *
 * Each connection sends a payload, different for each connection and round, and compares the echo
 * byte for byte. It then stays open and idle until it is told to send another round or to close.
 *
 *     struct hf_load *load = hf_load_start(&options);
 *     CHECK(hf_load_wait_round(load, 10000));      every open connection has its echo
 *     hf_load_send_round(load);
 *     hf_load_close_first(load, 500);
 *     hf_load_get_counts(load, &counts);
 *     hf_load_stop(load);
 *
 * Threads: any, but for stop. Everything passed in is copied. The limit of open descriptors of this
 * process is raised to its hard limit.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_LOAD_CLIENT_H
#define HOSTFLAGS_TESTS_SUPPORT_LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_load;

struct hf_load_target {
    const char *address; /* a literal */
    uint16_t port;
};

struct hf_load_options {
    const struct hf_load_target *targets;
    size_t target_count; /* >= 1 */
    size_t connections; /* in all: connection i goes to target i % target_count */
    size_t payload_bytes; /* of each connection and round; 0: connect only */
};

struct hf_load_counts {
    size_t connected; /* ever established */
    size_t open; /* established and not closed by either side */
    size_t done; /* open ones whose round is complete */
    size_t closed; /* by us, as told */
    size_t lost; /* closed or reset by the other side after they were established */
    size_t failed; /* could not connect */
    size_t wrong; /* got a byte that was not the expected one; closed */
    uint64_t verified_bytes; /* echo that was as expected, all rounds */
};

/* Starts the thread and all connections; returns at once. NULL: could not start; the reason is on
 * stderr. */
struct hf_load *hf_load_start(const struct hf_load_options *options);

/* Closes what is open, joins the thread. NULL is fine. */
void hf_load_stop(struct hf_load *load);

void hf_load_get_counts(struct hf_load *load, struct hf_load_counts *counts);

/* Waits until no connection is being established and every open one has the echo of its round.
 * false: the bound (see wait_until.h) passed. Whether any got lost on the way is in the counts. */
bool hf_load_wait_round(struct hf_load *load, int64_t timeout_ms);

/* Every open connection that is done sends another payload. Returns how many do. */
size_t hf_load_send_round(struct hf_load *load);

/* Closes open connections: the first count of them (SIZE_MAX: all), or those to one target (by its
 * position in the options). Return how many were closed. */
size_t hf_load_close_first(struct hf_load *load, size_t count);
size_t hf_load_close_target(struct hf_load *load, size_t target);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * echo_server.h: upstreams that send back what they get, on many addresses, from one thread.
 *
 * Stands for the database behind a pooling proxy. All 127.0.0.0/8 addresses can be bound on Linux
 * without further ado. Threads: any, but for stop. Strings are copied. The limit of open
 * descriptors of this process is raised to its hard limit.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_ECHO_SERVER_H
#define HOSTFLAGS_TESTS_SUPPORT_ECHO_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct hf_echo;

/* Listens on every address at the same port; 0: any port that is free on all of them. NULL: could
 * not start; the reason is on stderr. */
struct hf_echo *hf_echo_start(const char *const *addresses, size_t count, uint16_t port);

/* Closes all and joins the thread. NULL is fine. */
void hf_echo_stop(struct hf_echo *echo);

uint16_t hf_echo_port(const struct hf_echo *echo);

/* Counts of one address, or with NULL of all of them (0 for an unknown one). */
size_t hf_echo_open(struct hf_echo *echo, const char *address); /* connections open now */
size_t hf_echo_accepted(struct hf_echo *echo, const char *address); /* ever */
uint64_t hf_echo_bytes(struct hf_echo *echo, const char *address); /* sent back */

/* "Upstream gone": closes the connections of one address (NULL: of all) with a TCP reset; new ones
 * are still accepted. Returns how many there were. */
size_t hf_echo_close_connections(struct hf_echo *echo, const char *address);

#endif

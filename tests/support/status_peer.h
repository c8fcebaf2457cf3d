/* SPDX-License-Identifier: PostgreSQL
 *
 * status_peer.h: what stands at the other end of a status socket when it is no proxy of ours: it
 * answers every client with the same text, or does something worse.
 *
 * A thread serves one client after the other. Any thread may call; stop and whatever runs beside it
 * is the caller's to order. Everything passed in is copied.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_STATUS_PEER_H
#define HOSTFLAGS_TESTS_SUPPORT_STATUS_PEER_H

#include <stddef.h>

struct hf_status_peer;

/* A peer on the Unix socket `path`, which must be free. answer: what each client gets after its
 * line, before its connection is closed; NULL: clients are left without one until they leave. NULL:
 * could not start; the reason is on stderr. */
struct hf_status_peer *hf_status_peer_start(const char *path, const char *answer);

/* From the next client on. */
void hf_status_peer_set_answer(struct hf_status_peer *peer, const char *answer);

/* The latest client's line with its newline, for the caller to free; "": none yet. */
char *hf_status_peer_request(struct hf_status_peer *peer);

/* Removes the socket. NULL is fine. */
void hf_status_peer_stop(struct hf_status_peer *peer);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * h2_server.h: a TLS server that speaks just enough HTTP/2 to refuse: whatever is asked on a
 * connection is answered by RST_STREAM, or never. A thread serves one connection after the other.
 * Threads: any, but for stop.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_H2_SERVER_H
#define HOSTFLAGS_TESTS_SUPPORT_H2_SERVER_H

#include <stddef.h>
#include <stdint.h>

/* Error codes of RFC 9113, 7. */
enum {
    HF_H2_SILENCE = 0 /* ours: no answer */,
    HF_H2_REFUSED_STREAM = 7,
    HF_H2_HTTP_1_1_REQUIRED = 13
};

struct hf_h2_server;

/* PEM files. NULL: could not start; the reason is on stderr. */
struct hf_h2_server *hf_h2_server_start(
    const char *cert_file, const char *key_file, uint32_t error_code);
void hf_h2_server_stop(struct hf_h2_server *server); /* NULL is fine */

uint16_t hf_h2_server_port(const struct hf_h2_server *server);

/* Connections so far. */
size_t hf_h2_server_connections(struct hf_h2_server *server);

/* Requests so far: HEADERS frames, or, from a client that speaks no HTTP/2, anything at all. */
size_t hf_h2_server_requests(struct hf_h2_server *server);

#endif

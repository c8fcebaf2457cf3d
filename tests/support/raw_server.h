/* SPDX-License-Identifier: PostgreSQL
 *
 * raw_server.h: a TCP server that answers with given bytes, for what no HTTP library would send:
 * garbage, half a header, a header byte by byte, a reset, silence.
 *
 * Each connection is served by a thread of its own and gets the reply of its number; the last reply
 * answers all further connections. Threads: any, but for stop. Ownership: replies and their bytes
 * are borrowed until stop (string constants, usually); what is given out lives until stop.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_RAW_SERVER_H
#define HOSTFLAGS_TESTS_SUPPORT_RAW_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a connection ends after its bytes. */
enum hf_raw_end {
    HF_RAW_CLOSE = 0, /* closed in the ordinary way */
    HF_RAW_RESET, /* a TCP reset */
    HF_RAW_HOLD /* nothing more; ends when the client leaves, or at stop */
};

/* All zero: read the request, close. */
struct hf_raw_reply {
    const void *bytes; /* sent as they are; NULL: nothing */
    size_t len;
    int64_t interval_ms; /* 0: all at once; otherwise one byte each, this long before each */
    bool at_once; /* do not wait for the request (an empty line) first */
    enum hf_raw_end end;
};

struct hf_raw_server;

#define HF_RAW_TEXT(text) .bytes = (text), .len = sizeof(text) - 1

/* address: a literal; NULL: 127.0.0.1. port 0: any. count >= 1. NULL: could not start; the reason
 * is on stderr. Serves at most 1024 connections in its life. */
struct hf_raw_server *hf_raw_server_start(
    const char *address, uint16_t port, const struct hf_raw_reply *replies, size_t count);

/* Ends all connections, joins all threads. NULL is fine. */
void hf_raw_server_stop(struct hf_raw_server *server);

uint16_t hf_raw_server_port(const struct hf_raw_server *server);
const char *hf_raw_server_host(const struct hf_raw_server *server); /* "127.0.0.1:4711" */

/* Connections accepted so far, and those still open. */
size_t hf_raw_server_count(struct hf_raw_server *server);
size_t hf_raw_server_open(struct hf_raw_server *server);
bool hf_raw_server_wait(struct hf_raw_server *server, size_t count, int64_t timeout_ms);

/* What connection i has sent up to its first empty line (at most 8 kB): "" while incomplete. */
const char *hf_raw_server_request(struct hf_raw_server *server, size_t i);

#endif

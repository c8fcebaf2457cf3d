/* SPDX-License-Identifier: PostgreSQL
 *
 * telemetry.h: what the flag is for. One line of JSON at the end of each client session whose
 * upstream has the flag on:
 *
 *     {"time":"2026-01-02T03:04:05.678Z","upstream":"warehouse","host":"dbc-1234.example.com",
 *      "bytes_in":52,"bytes_out":4711,"duration_ms":12.345,"upstream_connect_ms":0.412}
 *
 * bytes_in: from the client to the upstream; bytes_out: the other way. upstream_connect_ms is that
 * of the session's upstream connection, which may have been opened long before, for the pool.
 *
 * A thread of its own writes the lines, each by one write(2), so that a full disk or a reader that
 * does not read never stops a connection. Up to 4096 lines wait; what comes on top is dropped,
 * counted, and logged.
 *
 * Threads: write from any; the others from the main thread.
 */
#ifndef HOSTFLAGS_PROXY_TELEMETRY_H
#define HOSTFLAGS_PROXY_TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

struct hf_telemetry_line {
    const char *upstream, *host;
    uint64_t bytes_in, bytes_out;
    double duration_ms, upstream_connect_ms;
};

/* Opens a destination: "-" (stdout), "stderr", or a file, which is appended to. Returns a
 * descriptor for the caller to pass on or to close, or HF_E_SYSTEM with a sentence in error. */
int hf_telemetry_open(const char *destination, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Takes the descriptor over and starts the thread. HF_E_SYSTEM with a sentence in error. */
int hf_telemetry_start(int fd, char *error, size_t error_size) __attribute__((warn_unused_result));

/* Takes the descriptor over and writes to it from now on. */
void hf_telemetry_use(int fd);

/* Queues one line. Never waits for I/O. */
void hf_telemetry_write(const struct hf_telemetry_line *line);

/* Writes what is queued, for at most two seconds, and joins the thread. */
void hf_telemetry_stop(void);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * status_client.h: the other side of status.h: asks a running proxy for its status. For the
 * commands `status` and `top`, which are programs of one thread.
 */
#ifndef HOSTFLAGS_PROXY_STATUS_CLIENT_H
#define HOSTFLAGS_PROXY_STATUS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* The exit status of a command that could not show anything, for whatever reason. */
enum { HF_STATUS_FAILED = 3 };

/* Enough for each sentence of this file, with the longest path. */
enum { HF_STATUS_ERROR_SIZE = 1024 };

/* The path of the socket, for the caller to free: `socket`, or else what the configuration file
 * says. NULL: neither or both are given, the file has problems, or it names no socket; stderr says
 * which. */
char *hf_status_client_path(const char *config, const char *socket)
    __attribute__((warn_unused_result));

/* All that the proxy answers to a request ("json", "prometheus") within the time, not empty and
 * NUL-terminated, for the caller to free. NULL: none; the sentence in error names the socket and
 * says what to do. */
char *hf_status_client_ask(const char *path, const char *request, int64_t timeout_ms, char *error,
    size_t error_size) __attribute__((warn_unused_result));

#endif

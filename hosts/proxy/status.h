/* SPDX-License-Identifier: PostgreSQL
 *
 * status.h: a Unix socket that tells what the plugin knows: each connection gets the plugin's
 * status as JSON and a newline, and is closed. Whoever does not read is no burden for long: at most
 * 16 answers are under way, each for 5 s; further clients are closed without one.
 *
 *     socat - UNIX-CONNECT:/run/hostflags-host.sock
 *
 * Main thread.
 */
#ifndef HOSTFLAGS_PROXY_STATUS_H
#define HOSTFLAGS_PROXY_STATUS_H

#include <stddef.h>
#include <uv.h>

/* Listens on `path`. A socket there that nobody answers is replaced; one that somebody answers, and
 * anything that is no socket, is an error. HF_E_SYSTEM with a sentence in error. */
int hf_status_open(uv_loop_t *loop, const char *path, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Closes it, with answers that are not complete, and removes the path; the loop has to run once
 * more. Does nothing when it is not open. */
void hf_status_close(void);

#endif

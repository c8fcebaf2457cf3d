/* SPDX-License-Identifier: PostgreSQL
 *
 * status.h: a Unix socket that tells what the plugin knows. A client sends one line that says in
 * which form, gets the answer, and the connection is closed:
 *
 *     json            the plugin's status as JSON, and a newline; also for an empty line, or none
 *     prometheus      the same for Prometheus to scrape
 *     anything else   a sentence that says what is valid; so does a line of 64 bytes or more
 *
 *     echo prometheus | socat -t 5 - UNIX-CONNECT:/run/hostflags-host.sock
 *
 * Whoever does not ask or does not read is no burden for long: at most 16 clients are served at a
 * time, each for 5 s; further ones are closed without an answer. The socket has the mode 0660: the
 * proxy's user and group may connect. To let somebody else in, make the socket in a directory whose
 * set-group-ID bit gives it another group.
 *
 * Main thread. With several processes it is the master that answers.
 */
#ifndef HOSTFLAGS_PROXY_STATUS_H
#define HOSTFLAGS_PROXY_STATUS_H

#include <stddef.h>
#include <uv.h>

/* Listens on `path`; clients wait. A socket there that nobody answers is replaced; one that
 * somebody answers, and anything that is no socket, is an error. NULL: there is to be none. HF_OK,
 * or HF_E_SYSTEM with a sentence in error. */
int hf_status_bind(const char *path, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Begins to answer, where there is a socket. HF_OK, or HF_E_SYSTEM with a sentence in error. */
int hf_status_serve(uv_loop_t *loop, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Closes it, with answers that are not complete, and removes the path; where it was served, the
 * loop has to run once more. Does nothing when there is no socket. */
void hf_status_close(void);

/* The same in a forked child, whose parent goes on: the path stays. */
void hf_status_leave(void);

/* Removes the path only: for a process that ends without its loop. */
void hf_status_unlink(void);

#endif

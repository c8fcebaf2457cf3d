/* SPDX-License-Identifier: PostgreSQL
 *
 * thread.h: how our threads start.
 */
#ifndef HOSTFLAGS_THREAD_H
#define HOSTFLAGS_THREAD_H

#include <pthread.h>

/* Starts a thread with all signals blocked: they are the host's, and a SIGPIPE must not end it.
 * name: at most 15 bytes, for people. 0, or the error of pthread_create. */
int hf_thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg)
    __attribute__((warn_unused_result));

#endif

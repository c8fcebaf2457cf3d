/* SPDX-License-Identifier: PostgreSQL
 *
 * workers.h: the processes that a master has forked, one for each slot. Starts them, notices their
 * ends, and says when one may be started again: not sooner than a second after its latest start, so
 * that a worker that dies at once does not keep the machine busy.
 *
 * A worker is in a process group of its own: what a terminal sends to the program goes to the
 * master alone, which passes it on. It gets SIGTERM when the master dies. From its fork on its
 * signals are held back, for it to let in when it understands them.
 *
 * The master's thread; no loop.
 */
#ifndef HOSTFLAGS_PROXY_WORKERS_H
#define HOSTFLAGS_PROXY_WORKERS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The end of a worker. */
struct hf_worker_end {
    int number; /* of its slot, from 1 */
    pid_t pid;
    int wait_status; /* as from waitpid */
    int64_t restart_ms; /* how long until it may be started again: 0: now */
};

/* So many slots, all empty. */
void hf_workers_create(size_t count);

/* Frees the slots; not the processes in them. */
void hf_workers_destroy(void);

/* Holds back the signals that workers and master have handlers for; *mask: what was before. */
void hf_workers_hold_signals(sigset_t *mask);

/* Forks a worker for each empty slot whose time has come. Signals must be held. In the master 0; in
 * a worker its number. What cannot be forked is logged, and may be tried again in a second. */
int hf_workers_start(void) __attribute__((warn_unused_result));

/* Takes note of one end that was not noted yet. false: there is none. */
bool hf_workers_reap(struct hf_worker_end *end) __attribute__((warn_unused_result));

/* How long until an empty slot may be filled, in ms; -1: none is empty. */
int64_t hf_workers_wait_ms(void);

/* How many are running. */
size_t hf_workers_count(void);

/* Sends a signal to all that are running. */
void hf_workers_signal(int number);

#endif

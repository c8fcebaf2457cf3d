/* SPDX-License-Identifier: PostgreSQL
 *
 * worker.h: what the kernel knows about a plugin's worker thread. Ends the program where there is
 * none.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_WORKER_H
#define HOSTFLAGS_TESTS_BENCH_WORKER_H

/* The number of the worker thread that runs, which is found by its name; where that of a copy of
 * the plugin runs as well: the one that is not number `other`. 0 is no thread. */
int hf_bench_worker_find(int other);

/* How often it went to sleep or was made to; each time it was woken before. */
long hf_bench_worker_wake_ups(int worker);

/* Nanoseconds on a CPU, since it was started. */
double hf_bench_worker_cpu_ns(int worker);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * worker.h: what the kernel knows about the plugin's worker thread, which it finds by its name.
 * Ends the program where there is none.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_WORKER_H
#define HOSTFLAGS_TESTS_BENCH_WORKER_H

/* How often it went to sleep or was made to; each time it was woken before. */
long hf_bench_worker_wake_ups(void);

/* Nanoseconds on a CPU, since it was started. */
double hf_bench_worker_cpu_ns(void);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * measure.h: CPU time per call, of one or more threads, as ratios of two loads that run in turn.
 *
 * Machines are shared and noisy: a clock on the wall measures the neighbours. So the CPU time of
 * the calling threads is taken, and every comparison is the median of several pairs measured one
 * after the other, the first of a pair being one load and the other in turn.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_MEASURE_H
#define HOSTFLAGS_TESTS_BENCH_MEASURE_H

#include <stdint.h>

enum { HF_BENCH_PAIRS = 7 };

/* run makes `calls` calls on thread number `thread` (from 0). Each thread makes its first call
 * after the thread before has made its own; then all begin together. */
struct hf_bench_load {
    void (*run)(void *arg, unsigned thread, long calls);
    void *arg; /* borrowed */
    unsigned threads;
    unsigned between; /* that many threads make one call each, and end, between those first calls */
};

struct hf_bench_pair {
    double ours_ns, base_ns, ratio; /* each the median */
};

/* Nanoseconds of CPU per call, the mean of the threads. */
double hf_bench_cpu_ns(const struct hf_bench_load *load, long calls);

/* HF_BENCH_PAIRS times each, in turn, long enough to be measured. Of even pairs (from 0) ours goes
 * first, of odd ones base. */
struct hf_bench_pair hf_bench_compare(
    const struct hf_bench_load *ours, const struct hf_bench_load *base);

double hf_bench_median(double *values, int count); /* sorts them */

/* CPU time of the calling thread. */
int64_t hf_bench_thread_ns(void);

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/bench/measure.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#define RUN_NS 60e6 /* of CPU per measurement and thread */
#define TRIAL_CALLS 20000

enum { THREADS_MOST = 8 };

struct runner {
    const struct hf_bench_load *load;
    pthread_barrier_t *start;
    sem_t *begun;
    unsigned thread;
    long calls;
    int64_t took_ns;
};

int64_t hf_bench_thread_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void *run(void *arg)
{
    struct runner *runner = arg;
    int64_t began;

    /* What a thread does once; then caches and pages. */
    runner->load->run(runner->load->arg, runner->thread, 1);
    sem_post(runner->begun);
    runner->load->run(runner->load->arg, runner->thread, 1 + runner->calls / 20);
    pthread_barrier_wait(runner->start);
    began = hf_bench_thread_ns();
    runner->load->run(runner->load->arg, runner->thread, runner->calls);
    runner->took_ns = hf_bench_thread_ns() - began;
    return NULL;
}

static void *run_once(void *arg)
{
    const struct hf_bench_load *load = arg;

    load->run(load->arg, 0, 1);
    return NULL;
}

static pthread_t begin_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, function, arg) != 0)
        abort();
    return thread;
}

double hf_bench_cpu_ns(const struct hf_bench_load *load, long calls)
{
    struct runner runners[THREADS_MOST];
    pthread_t threads[THREADS_MOST];
    pthread_barrier_t start;
    sem_t begun;
    double sum = 0;

    pthread_barrier_init(&start, NULL, load->threads);
    sem_init(&begun, 0, 0);
    for (unsigned i = 0; i < load->threads; i++) {
        for (unsigned k = 0; i > 0 && k < load->between; k++)
            pthread_join(begin_thread(run_once, (void *)(uintptr_t)load), NULL);
        runners[i] = (struct runner){load, &start, &begun, i, calls, 0};
        threads[i] = begin_thread(run, &runners[i]);
        while (sem_wait(&begun) != 0)
            continue;
    }
    for (unsigned i = 0; i < load->threads; i++) {
        pthread_join(threads[i], NULL);
        sum += (double)runners[i].took_ns;
    }
    pthread_barrier_destroy(&start);
    sem_destroy(&begun);
    return sum / load->threads / (double)calls;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double hf_bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(values[0]), compare_doubles);
    return values[count / 2];
}

static long calls_for(const struct hf_bench_load *load)
{
    return (long)(RUN_NS / hf_bench_cpu_ns(load, TRIAL_CALLS)) + 1;
}

struct hf_bench_pair hf_bench_compare(
    const struct hf_bench_load *ours, const struct hf_bench_load *base)
{
    double our_ns[HF_BENCH_PAIRS], base_ns[HF_BENCH_PAIRS], ratios[HF_BENCH_PAIRS];
    long our_calls = calls_for(ours), base_calls = calls_for(base);

    for (int i = 0; i < HF_BENCH_PAIRS; i++) {
        if (i % 2 == 0)
            our_ns[i] = hf_bench_cpu_ns(ours, our_calls);
        base_ns[i] = hf_bench_cpu_ns(base, base_calls);
        if (i % 2 != 0)
            our_ns[i] = hf_bench_cpu_ns(ours, our_calls);
        ratios[i] = our_ns[i] / base_ns[i];
    }
    return (struct hf_bench_pair){hf_bench_median(our_ns, HF_BENCH_PAIRS),
        hf_bench_median(base_ns, HF_BENCH_PAIRS), hf_bench_median(ratios, HF_BENCH_PAIRS)};
}

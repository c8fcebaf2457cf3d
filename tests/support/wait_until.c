/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/wait_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAP_MS 2

int64_t hf_wait_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t hf_wait_slow_ms(int64_t ms)
{
    const char *text = getenv("HF_SLOW");
    long factor = text ? strtol(text, NULL, 10) : 1;

    return factor > 1 ? ms * factor : ms;
}

bool hf_wait_nap(int64_t end_ms)
{
    const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};

    if (hf_wait_now_ms() >= end_ms)
        return false;
    nanosleep(&nap, NULL);
    return true;
}

void hf_wait_report(int64_t bound_ms, const char *what)
{
    fprintf(stderr, "waited %lld ms in vain: %s\n", (long long)bound_ms, what);
}

bool hf_wait_until(bool (*predicate)(void *), void *arg, int64_t timeout_ms, const char *what)
{
    int64_t bound_ms = hf_wait_slow_ms(timeout_ms);
    int64_t end_ms = hf_wait_now_ms() + bound_ms;
    bool more = true, met;

    while (!(met = predicate(arg)) && more)
        more = hf_wait_nap(end_ms);
    if (!met)
        hf_wait_report(bound_ms, what);
    return met;
}

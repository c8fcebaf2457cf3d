/* SPDX-License-Identifier: PostgreSQL
 *
 * clock.h: now, in milliseconds of CLOCK_MONOTONIC. Only refresh.c, plugin.c and
 * (for one pause) worker.c read it.
 *
 * Both forms read a page that the kernel keeps mapped, without a system call. The coarse one lags
 * by at most one tick (4 ms at 250 Hz) and does not even read the processor's counter: for the
 * paths that every connection takes.
 */
#ifndef HOSTFLAGS_CLOCK_H
#define HOSTFLAGS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t hf_clock_read_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int64_t hf_clock_ms(void)
{
    return hf_clock_read_ms(CLOCK_MONOTONIC);
}

static inline int64_t hf_clock_coarse_ms(void)
{
    return hf_clock_read_ms(CLOCK_MONOTONIC_COARSE);
}

/* Seconds since 1970, for nothing but the dates of HTTP. */
static inline int64_t hf_clock_wall_s(void)
{
    return hf_clock_read_ms(CLOCK_REALTIME) / 1000;
}

#endif

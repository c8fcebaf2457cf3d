/* SPDX-License-Identifier: PostgreSQL
 *
 * wait_until.h: the only place in the tests that sleeps.
 *
 * A test never sleeps for a time that is hoped to be long enough; it waits for a condition, with a
 * bound. A bound that passes prints what was waited for on stderr, and the wait gives false for the
 * test to assert on. Bounds are multiplied by the environment variable HF_SLOW (a positive integer,
 * 1 when unset; runs under valgrind set 10). All times are CLOCK_MONOTONIC. Any thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_WAIT_UNTIL_H
#define HOSTFLAGS_TESTS_SUPPORT_WAIT_UNTIL_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t hf_wait_now_ms(void);

/* ms times HF_SLOW: for bounds that a test hands to somebody else. */
int64_t hf_wait_slow_ms(int64_t ms);

/* Calls predicate(arg) until it gives true (then true) or the bound has passed (then false, after
 * one last call). what completes the printed sentence "waited 5000 ms in vain: …". */
bool hf_wait_until(bool (*predicate)(void *), void *arg, int64_t timeout_ms, const char *what);

/* The same for an expression, which is evaluated again and again:
 *     CHECK(HF_WAIT_UNTIL(hf_flag_service_count(service) >= 2, 5000));  */
#define HF_WAIT_UNTIL(expression, timeout_ms) \
    (__extension__({ \
        int64_t hf_bound_ms_ = hf_wait_slow_ms(timeout_ms); \
        int64_t hf_end_ms_ = hf_wait_now_ms() + hf_bound_ms_; \
        bool hf_more_ = true, hf_met_; \
        while (!(hf_met_ = !!(expression)) && hf_more_) \
            hf_more_ = hf_wait_nap(hf_end_ms_); \
        if (!hf_met_) \
            hf_wait_report(hf_bound_ms_, #expression); \
        hf_met_; \
    }))

/* For things that must *not* happen: whether the expression stays true for the whole of
 * duration_ms (not multiplied by HF_SLOW); false as soon as it is not.
 *     CHECK(HF_STAYS(hf_flag_service_count(service) == 1, 500));  */
#define HF_STAYS(expression, duration_ms) \
    (__extension__({ \
        int64_t hf_end_ms_ = hf_wait_now_ms() + (duration_ms); \
        bool hf_more_ = true, hf_met_; \
        while ((hf_met_ = !!(expression)) && hf_more_) \
            hf_more_ = hf_wait_nap(hf_end_ms_); \
        hf_met_; \
    }))

/* What the macros call. A nap of 2 ms; false: the end has been reached. */
bool hf_wait_nap(int64_t end_ms);
void hf_wait_report(int64_t bound_ms, const char *what);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * schedule.h: when to ask, and what the facts mean. Pure functions: facts and `now` in, times and
 * words out. Nothing here looks at a clock, draws a random number or keeps state.
 *
 * Times are milliseconds of CLOCK_MONOTONIC, so that a change of the wall clock changes nothing.
 * `jitter` is a uniform random number, 0 to UINT32_MAX, drawn by the caller: a formula's U(a, b) is
 * a + (b - a) * jitter / UINT32_MAX, rounded down. Sums saturate at HF_NEVER, and a duration below
 * 0 counts as 0, so that no argument is out of range.
 */
#ifndef HOSTFLAGS_SCHEDULE_H
#define HOSTFLAGS_SCHEDULE_H

#include "plugin/terms.h"

#include <stdbool.h>

/* The settings that decide about time; ranges as in settings.h. */
struct hf_policy {
    int64_t ttl_ms; /* where the service names none */
    int64_t ttl_min_ms, ttl_max_ms; /* bounds for what it names */
    int64_t linger_ms; /* how long an entry that nobody holds stays; 0: not at all */
    int64_t max_stale_ms; /* how long past its TTL a value is answered; 0: for ever */
};

/* What is known about one host. Facts, never words: FRESH and STALE are derived from them. */
struct hf_facts {
    int64_t fetched_ms; /* when the service last confirmed the values; HF_NEVER: there are none */
    int64_t ttl_ms; /* of those values */
    int64_t due_ms; /* when the worker looks at this host next; HF_NEVER: not planned */
    int64_t not_before_ms; /* end of the backoff: no request before it; 0: none */
    int64_t retry_at_ms; /* end of the latest Retry-After: nobody may ask before it; 0: none */
    int64_t asked_ms; /* when the last request was started; HF_NEVER: none was sent */
    int64_t logged_ms; /* when a failure was last logged; HF_NEVER: never */
    uint32_t failures; /* in a row */
    uint16_t http_status; /* of the latest completed request, 0: none */
    uint8_t outcome; /* enum hf_outcome of the latest completed request */
    bool in_flight; /* a request is under way */
};

/* The facts of a host that was never asked. */
struct hf_facts hf_facts_none(void);

/* The TTL to apply: ttl_seconds as the service sent it, within [ttl_min, ttl_max]; 0 or less: it
 * named none that is usable, policy->ttl_ms (which is the operator's word and not clamped). */
int64_t hf_schedule_ttl_ms(const struct hf_policy *policy, int64_t ttl_seconds);

/* After a success at `now`: TTL x U(0.80, 0.95) later. Proxies that were started together drift
 * apart. At least 1 ms after now. */
int64_t hf_schedule_refresh(int64_t now, int64_t ttl_ms, uint32_t jitter);

/* After a failure at `now`, the `failures`-th (>= 1) in a row: min(600, 5 x 2^(failures - 1)) s
 * x U(0.5, 1.0) later. */
int64_t hf_schedule_backoff(int64_t now, uint32_t failures, uint32_t jitter);

/* After a 429 or 503 at `now` with a Retry-After of so many milliseconds (> 0): that x U(1.0, 1.5)
 * later, but at most an hour: from 40 min on the range narrows, from an hour on it is that hour. */
int64_t hf_schedule_retry_after(int64_t now, int64_t retry_after_ms, uint32_t jitter);

/* The service's word itself: that time later, at most an hour. */
int64_t hf_schedule_retry_floor(int64_t now, int64_t retry_after_ms);

/* After a 401, 403 or 404 at `now`: 15 min x U(1.0, 1.1) later. */
int64_t hf_schedule_refusal(int64_t now, uint32_t jitter);

/* After a request was given up without an answer: not before the first backoff after it began, if
 * any was sent. */
int64_t hf_schedule_give_up(const struct hf_facts *facts);

/* When a failed host may be asked although its backoff is not over, because something has changed:
 * at once, but not within a second of the last request, nor before the end of a Retry-After. */
int64_t hf_schedule_ask_again(const struct hf_facts *facts, int64_t now);

/* When to look at a host again that was idle when it was due and is held once more: when its values
 * expire, or, without fresh values, at once; but never before its backoff is over. */
int64_t hf_schedule_resume(const struct hf_facts *facts, int64_t now);

/* When the entry of a host leaves which nobody has held since idle_since_ms: after linger, or when
 * its values are older than their TTL, whichever is first. Without values: after linger. */
int64_t hf_schedule_leave(
    const struct hf_policy *policy, const struct hf_facts *facts, int64_t idle_since_ms);

/* When the record of a host that has left may be forgotten: at once after a success; after failures
 * only when the longest backoff has passed once more, so that neither the growth of the backoff nor
 * the time of the last report starts anew with each short connection. */
int64_t hf_schedule_forget(const struct hf_facts *facts);

/* When the values stop being answered: max_stale after their TTL; HF_NEVER: never, or there are
 * none. */
int64_t hf_schedule_expiry(const struct hf_policy *policy, const struct hf_facts *facts);

/* The one predicate: at fetched + TTL - 1 ms FRESH, at fetched + TTL no more. EXPIRED begins at
 * hf_schedule_expiry in the same way. */
enum hf_state hf_schedule_state(
    const struct hf_policy *policy, const struct hf_facts *facts, int64_t now);

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/schedule.h"

#define BACKOFF_FIRST_MS 5000
#define BACKOFF_MOST_MS 600000
#define RETRY_AFTER_MOST_MS 3600000
#define REFUSAL_MS 900000
#define ASK_PAUSE_MS 1000
#define BACKOFF_DOUBLINGS 7 /* 5 s x 2^7 is past the most */

struct hf_facts hf_facts_none(void)
{
    return (struct hf_facts){
        .fetched_ms = HF_NEVER,
        .due_ms = HF_NEVER,
        .asked_ms = HF_NEVER,
        .logged_ms = HF_NEVER,
    };
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A duration below 0 counts as 0. */
static int64_t later(int64_t time, int64_t duration_ms)
{
    if (duration_ms <= 0)
        return time;
    return time > HF_NEVER - duration_ms ? HF_NEVER : time + duration_ms;
}

/* n x numerator / denominator, rounded down, for n >= 0 and 0 <= numerator <= denominator <=
 * UINT32_MAX: exact, since neither product needs more than 64 bits. */
static int64_t fraction(int64_t n, uint64_t numerator, uint64_t denominator)
{
    uint64_t whole = (uint64_t)n / denominator, rest = (uint64_t)n % denominator;

    return (int64_t)(whole * numerator + rest * numerator / denominator);
}

/* U(low, high), both included. */
static int64_t between(int64_t low, int64_t high, uint32_t jitter)
{
    return low + fraction(high - low, jitter, UINT32_MAX);
}

int64_t hf_schedule_ttl_ms(const struct hf_policy *policy, int64_t ttl_seconds)
{
    int64_t ttl_ms;

    if (ttl_seconds <= 0)
        return policy->ttl_ms;
    ttl_ms = ttl_seconds > INT64_MAX / 1000 ? INT64_MAX : ttl_seconds * 1000;
    return larger(policy->ttl_min_ms, smaller(ttl_ms, policy->ttl_max_ms));
}

int64_t hf_schedule_refresh(int64_t now, int64_t ttl_ms, uint32_t jitter)
{
    int64_t ttl = larger(ttl_ms, 0);

    return later(now, larger(1, between(fraction(ttl, 80, 100), fraction(ttl, 95, 100), jitter)));
}

int64_t hf_schedule_backoff(int64_t now, uint32_t failures, uint32_t jitter)
{
    uint32_t doublings = failures > BACKOFF_DOUBLINGS ? BACKOFF_DOUBLINGS
        : failures > 0                                ? failures - 1
                                                      : 0;
    int64_t most = smaller(BACKOFF_MOST_MS, (int64_t)BACKOFF_FIRST_MS << doublings);

    return later(now, between(most / 2, most, jitter));
}

int64_t hf_schedule_retry_floor(int64_t now, int64_t retry_after_ms)
{
    return later(now, smaller(retry_after_ms, RETRY_AFTER_MOST_MS));
}

int64_t hf_schedule_retry_after(int64_t now, int64_t retry_after_ms, uint32_t jitter)
{
    int64_t most = RETRY_AFTER_MOST_MS, least = smaller(retry_after_ms, most);

    return later(now, between(least, smaller(least + least / 2, most), jitter));
}

int64_t hf_schedule_refusal(int64_t now, uint32_t jitter)
{
    return later(now, between(REFUSAL_MS, REFUSAL_MS / 10 * 11, jitter));
}

int64_t hf_schedule_ask_again(const struct hf_facts *facts, int64_t now)
{
    int64_t pause_end = facts->asked_ms == HF_NEVER ? now : later(facts->asked_ms, ASK_PAUSE_MS);

    return larger(larger(now, facts->retry_at_ms), pause_end);
}

/* When the values are older than their TTL; HF_NEVER where there are none. */
static int64_t end_of_ttl(const struct hf_facts *facts)
{
    return later(facts->fetched_ms, facts->ttl_ms);
}

int64_t hf_schedule_give_up(const struct hf_facts *facts)
{
    if (facts->asked_ms == HF_NEVER)
        return facts->not_before_ms;
    return larger(facts->not_before_ms, later(facts->asked_ms, BACKOFF_FIRST_MS));
}

int64_t hf_schedule_resume(const struct hf_facts *facts, int64_t now)
{
    int64_t wanted = now;

    if (facts->fetched_ms != HF_NEVER)
        wanted = larger(now, end_of_ttl(facts));
    return larger(wanted, facts->not_before_ms);
}

int64_t hf_schedule_leave(
    const struct hf_policy *policy, const struct hf_facts *facts, int64_t idle_since_ms)
{
    return smaller(later(idle_since_ms, policy->linger_ms), end_of_ttl(facts));
}

int64_t hf_schedule_forget(const struct hf_facts *facts)
{
    return later(facts->not_before_ms, facts->failures == 0 ? 0 : BACKOFF_MOST_MS);
}

int64_t hf_schedule_expiry(const struct hf_policy *policy, const struct hf_facts *facts)
{
    if (policy->max_stale_ms <= 0)
        return HF_NEVER;
    return later(end_of_ttl(facts), policy->max_stale_ms);
}

enum hf_state hf_schedule_state(
    const struct hf_policy *policy, const struct hf_facts *facts, int64_t now)
{
    int64_t expiry = hf_schedule_expiry(policy, facts);

    if (facts->fetched_ms == HF_NEVER)
        return HF_UNKNOWN;
    if (now < end_of_ttl(facts))
        return HF_FRESH;
    return expiry == HF_NEVER || now < expiry ? HF_STALE : HF_EXPIRED;
}

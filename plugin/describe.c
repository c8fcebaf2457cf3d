/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/describe.h"

struct hf_host_words hf_describe_host(
    const struct hf_policy *policy, const struct hf_view *view, int64_t now)
{
    const struct hf_facts *facts = &view->facts;
    struct hf_host_words words = {
        .state = hf_schedule_state(policy, facts, now),
        .age_ms = facts->fetched_ms == HF_NEVER ? -1 : now - facts->fetched_ms,
        .ttl_ms = facts->fetched_ms == HF_NEVER ? -1 : facts->ttl_ms,
        .next_refresh_ms = facts->due_ms - now,
        .retry_after_ms = facts->retry_at_ms > now ? facts->retry_at_ms - now : 0,
    };

    if (facts->in_flight || words.next_refresh_ms < 0)
        words.next_refresh_ms = 0;
    if (facts->due_ms == HF_NEVER || view->references == 0 || !hf_rules_ask(&view->rules))
        words.next_refresh_ms = -1;
    return words;
}

/* The flags that are answered for a reason, one bit each. All reasons together: every flag. */
static uint64_t flags_by(
    const struct hf_rules *rules, enum hf_state state, uint64_t sent, enum hf_reason reason)
{
    uint64_t ours = rules->overridden, others = rules->all & ~ours;
    bool known = state == HF_FRESH || state == HF_STALE;

    switch (reason) {
    case HF_BY_OVERRIDE:
        return ours;
    case HF_BY_SWITCH:
        return rules->enabled ? 0 : others;
    case HF_BY_SERVICE:
        return rules->enabled && state == HF_FRESH ? others & sent : 0;
    case HF_BY_STALE_VALUE:
        return rules->enabled && state == HF_STALE ? others & sent : 0;
    case HF_BY_DEFAULT:
        return rules->enabled ? (known ? others & ~sent : others) : 0;
    }
    return 0;
}

void hf_describe_tally(
    const struct hf_rules *rules, enum hf_state state, uint64_t sent, uint64_t tally[HF_REASONS])
{
    for (int reason = 0; reason < HF_REASONS; reason++)
        tally[reason] +=
            (uint64_t)__builtin_popcountll(flags_by(rules, state, sent, (enum hf_reason)reason));
}

struct hf_flag_words hf_describe_flag(
    const struct hf_rules *rules, const struct hf_view *view, enum hf_state state, uint32_t flag)
{
    uint64_t bit = 1ull << flag;
    bool known = (state == HF_FRESH || state == HF_STALE) && view != NULL;
    uint64_t sent = known ? view->sent : 0, on = known ? view->on : 0;
    struct hf_flag_words words = {
        .enabled = (hf_rules_merge(rules, sent, on) & bit) != 0, .reason = HF_BY_DEFAULT};

    while ((flags_by(rules, state, sent, words.reason) & bit) == 0 && words.reason < HF_BY_SWITCH)
        words.reason++;
    return words;
}

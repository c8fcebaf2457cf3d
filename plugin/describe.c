/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/describe.h"

struct hf_host_words hf_describe_host(
    const struct hf_settings *settings, const struct hf_view *view, int64_t now)
{
    const struct hf_facts *facts = &view->facts;
    struct hf_host_words words = {
        .state = hf_schedule_state(&settings->policy, facts, now),
        .age_ms = facts->fetched_ms == HF_NEVER ? -1 : now - facts->fetched_ms,
        .next_refresh_ms = facts->due_ms - now,
    };

    if (facts->in_flight || words.next_refresh_ms < 0)
        words.next_refresh_ms = 0;
    if (facts->due_ms == HF_NEVER || view->references == 0 || !hf_settings_asks(settings))
        words.next_refresh_ms = -1;
    return words;
}

struct hf_flag_words hf_describe_flag(const struct hf_settings *settings,
    const struct hf_view *view, enum hf_state state, uint32_t flag)
{
    uint64_t bit = 1ull << flag;
    bool known = (state == HF_FRESH || state == HF_STALE) && view != NULL;
    uint64_t sent = known ? view->sent : 0, on = known ? view->on : 0;
    struct hf_flag_words words = {
        .enabled = (hf_settings_merge(settings, sent, on) & bit) != 0, .reason = HF_BY_DEFAULT};

    if ((settings->overridden & bit) != 0)
        words.reason = HF_BY_OVERRIDE;
    else if (!settings->enabled)
        words.reason = HF_BY_SWITCH;
    else if ((sent & bit) != 0)
        words.reason = state == HF_FRESH ? HF_BY_SERVICE : HF_BY_STALE_VALUE;
    return words;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * apply.c: what other settings change about the hosts that are there, all under the registry's
 * lock. Every host is merged anew, and planned where its plan depends on a setting.
 *
 * Where processes share the registry, the rules are those of the last reload, whoever made it; all
 * else is as the process has it that leads: it is applied when that one reloads, and when another
 * begins to lead.
 */
#include "plugin/block.h"

/* The host's word by the settings: parked while it is not allowed, even if it is held. */
static uint64_t word_by_settings_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    uint64_t word = HF_LOAD(entry->word);

    if (!hf_host_is_allowed(registry, entry))
        return word | HF_HOST_PARKED;
    if (hf_host_is_held_locked(block, host))
        word &= ~HF_HOST_PARKED;
    return registry->settings->prefetch ? word & ~HF_HOST_ASLEEP : word;
}

/* What has failed may work now (others: requests are others than before); what was in flight is
 * given up. True: it is to be asked again, whether its values are fresh or not. */
static bool ask_anew(struct hf_host_entry *entry, bool others, int64_t now)
{
    struct hf_facts *facts = &entry->facts;
    bool failed = others && facts->failures > 0, in_flight = facts->in_flight;

    if (others)
        entry->etag[0] = '\0';
    if (failed)
        facts->not_before_ms = hf_schedule_ask_again(facts, now);
    if (in_flight)
        facts->not_before_ms = hf_schedule_give_up(facts);
    facts->in_flight = false;
    return failed || in_flight;
}

static bool is_wanted(uint64_t word)
{
    return (word & (HF_HOST_LIVE | HF_HOST_ASLEEP | HF_HOST_PARKED)) == HF_HOST_LIVE;
}

/* anew: what ask_anew said. */
static void plan_anew_locked(
    struct hf_registry *registry, uint32_t host, uint64_t word, bool anew, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    bool live = (word & HF_HOST_LIVE) != 0, wanted = is_wanted(word);

    if (live && !hf_host_is_allowed(registry, entry))
        entry->facts.due_ms = hf_host_is_held_locked(block, host) ? HF_NEVER : now;
    else if (anew)
        entry->facts.due_ms = wanted ? entry->facts.not_before_ms : now; /* to be tended */
    else if (wanted && entry->facts.due_ms == HF_NEVER)
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
    entry->probe_ms = wanted && hf_host_wants_probe(registry, entry) ? now : HF_NEVER;
    hf_host_plan_locked(registry, host);
}

void hf_host_apply_locked(struct hf_registry *registry, uint32_t host, bool anew, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    uint64_t word = word_by_settings_locked(registry, host);

    entry->expired = hf_schedule_expiry(&registry->settings->policy, &entry->facts) <= now;
    hf_host_publish_locked(registry, host);
    if (!entry->facts.in_flight) /* else its end plans */
        plan_anew_locked(registry, host, word, anew, now);
    HF_IN_THIS_ORDER();
    HF_STORE(entry->word, word);
}

/* Only the rules are this process's to change. They may let hosts be asked that were not. */
static void apply_rules_locked(struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    hf_host_publish_locked(registry, host);
    if (is_wanted(HF_LOAD(entry->word)) && entry->facts.due_ms == HF_NEVER) {
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
        hf_host_plan_locked(registry, host);
    }
}

void hf_registry_apply(
    struct hf_registry *registry, const struct hf_settings *settings, int64_t now)
{
    struct hf_block *block;
    bool others, led;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    led = block->led_by == HF_LOAD(registry->owner);
    others = !hf_settings_same_requests(registry->settings, settings);
    registry->settings = settings;
    if (led)
        HF_STORE(block->linger_ms, settings->policy.linger_ms);
    hf_block_set_rules_locked(block, &settings->rules);
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (!HF_LOAD(entry->bound))
            continue;
        if (led)
            hf_host_apply_locked(registry, host, ask_anew(entry, others, now), now);
        else
            apply_rules_locked(registry, host, now);
    }
    hf_registry_unlock(registry);
}

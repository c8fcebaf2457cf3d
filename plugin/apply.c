/* SPDX-License-Identifier: PostgreSQL
 *
 * apply.c: what other settings change about the hosts that are there, all under the registry's
 * lock. Every host is merged anew, and planned where its plan depends on a setting.
 */
#include "plugin/allowed.h"
#include "plugin/block.h"

/* The host's word by the new settings: parked while it is not allowed, even if it is held. */
static uint64_t apply_to_word_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    uint64_t word = HF_LOAD(entry->word);
    bool before = entry->allowed;

    entry->allowed = hf_allowed_fits(registry->settings->allowed_hosts, &entry->key);
    if (!entry->allowed)
        return word | HF_HOST_PARKED;
    if (!before && hf_host_is_held_locked(block, host))
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

/* anew: what ask_anew said. */
static void plan_anew_locked(
    struct hf_registry *registry, uint32_t host, uint64_t word, bool anew, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    bool live = (word & HF_HOST_LIVE) != 0;
    bool wanted = live && (word & (HF_HOST_ASLEEP | HF_HOST_PARKED)) == 0;

    if (!entry->allowed && live)
        entry->facts.due_ms = hf_host_is_held_locked(block, host) ? HF_NEVER : now;
    else if (anew)
        entry->facts.due_ms = wanted ? entry->facts.not_before_ms : now; /* to be tended */
    else if (wanted && entry->facts.due_ms == HF_NEVER)
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
    entry->probe_ms = wanted && hf_host_wants_probe(registry, entry) ? now : HF_NEVER;
    hf_host_plan_locked(registry, host);
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
    HF_STORE(block->linger_ms, settings->policy.linger_ms);
    hf_block_set_rules_locked(block, &settings->rules);
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (!HF_LOAD(entry->bound))
            continue;
        uint64_t word = apply_to_word_locked(registry, host);
        bool anew = led && ask_anew(entry, others, now);
        entry->expired = hf_schedule_expiry(&settings->policy, &entry->facts) <= now;
        hf_host_publish_locked(registry, host);
        if (!entry->facts.in_flight)
            plan_anew_locked(registry, host, word, anew, now);
        HF_STORE(entry->word, word);
    }
    hf_registry_unlock(registry);
}

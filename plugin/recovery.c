/* SPDX-License-Identifier: PostgreSQL
 *
 * recovery.c: what is done after the death of a process that shared the registry.
 *
 *   repair    It held the lock: the tables may be half-changed. What cannot be is the truth from
 *             which the rest is made anew: the entries that are `bound`, their words, their values
 *             and facts, the rules, the rows of references.
 *   bury      Its references are given back: its connection words, then its row.
 *   lead      It refreshed: its requests in flight have no end any more.
 *
 * Each may itself be interrupted by a death, and is then done once more from the beginning.
 */
#include "plugin/references.h"

#include <string.h>

/* ---- repair ---- */

static void rebuild_index_locked(struct hf_block *block)
{
    uint32_t mask = HF_LOAD(block->index_mask);

    for (uint32_t place = 0; place <= mask; place++)
        HF_STORE(*hf_index_slot(block, place), 0);
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (HF_LOAD(entry->bound))
            hf_index_insert_locked(block, entry->hash, host);
    }
}

static void rebuild_free_list_locked(struct hf_block *block)
{
    block->first_free = 0;
    block->totals.host_slots = 0;
    for (uint32_t host = block->slots_used; host-- > 0;) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (HF_LOAD(entry->bound)) {
            block->totals.host_slots++;
        } else {
            entry->next_free = block->first_free;
            block->first_free = host + 1;
        }
    }
}

/* A host that is held and allowed is parked only by somebody who was about to find that out. */
static void unpark_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & (HF_HOST_LIVE | HF_HOST_PARKED)) != (HF_HOST_LIVE | HF_HOST_PARKED) ||
        !hf_host_is_allowed(registry, entry) || !hf_host_is_held_locked(block, host))
        return;
    if (!entry->facts.in_flight)
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, 0);
    HF_STORE(entry->word, word & ~HF_HOST_PARKED);
}

/* One that was about to begin its first life, or is a record, and would not be looked at. */
static void plan_record(struct hf_host_entry *entry)
{
    if ((HF_LOAD(entry->word) & HF_HOST_LIVE) == 0 && !entry->facts.in_flight)
        entry->facts.due_ms = hf_schedule_forget(&entry->facts);
}

void hf_registry_repair_locked(struct hf_registry *registry)
{
    struct hf_block *block = hf_registry_block(registry);

    if (HF_LOAD(block->max_hosts) == 0)
        return;
    rebuild_free_list_locked(block);
    rebuild_index_locked(block);
    block->heap_count = 0;
    memset(hf_block_at(block, &block->positions_at), 0, block->slots_used * sizeof(uint32_t));
    HF_STORE(*hf_block_fallback(block), hf_rules_merge(hf_block_rules(block), 0, 0));
    for (uint32_t host = 0; host < block->slots_used; host++) {
        if (!HF_LOAD(hf_block_host(block, host)->bound))
            continue;
        unpark_locked(registry, host);
        plan_record(hf_block_host(block, host));
        hf_host_publish_locked(registry, host);
        hf_host_plan_locked(registry, host);
    }
    HF_STORE(block->connections_full, false);
}

/* ---- bury ---- */

static uint64_t free_words_from(
    struct hf_block *block, uint32_t owner, uint32_t first, uint32_t end)
{
    uint64_t freed = 0;

    for (uint32_t index = first; index < end; index++) {
        uint64_t word = HF_LOAD(*hf_block_connection(block, index));
        if ((uint32_t)word != HF_CONN_FREE && (word >> 32 & HF_OWNERS) == owner)
            freed += hf_connection_free(block, index, word, HF_LOAD(block->base));
    }
    return freed;
}

static uint64_t free_words(struct hf_block *block, uint32_t owner)
{
    uint32_t capacity = HF_LOAD(block->max_connections);
    uint64_t freed = 0;

    for (uint32_t first = 0; first < capacity; first += HF_CONNECTIONS_PER_PAGE) {
        uint32_t rest = capacity - first;
        if (HF_LOAD(block->used_pages[first / HF_CONNECTIONS_PER_PAGE]) != 0)
            freed += free_words_from(block, owner, first,
                first + (rest < HF_CONNECTIONS_PER_PAGE ? rest : HF_CONNECTIONS_PER_PAGE));
    }
    return freed;
}

static void clear_row_locked(struct hf_registry *registry, uint32_t owner, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);

    for (uint32_t host = 0; host < block->slots_used; host++) {
        if (hf_references_count(block, host, owner) > 0) {
            HF_STORE(hf_block_host(block, host)->idle_since_ms, now);
            atomic_store(hf_references(block, host, owner), 0);
            if (HF_LOAD(block->linger_ms) == 0)
                hf_host_end_life_locked(registry, host);
        }
    }
}

static uint64_t bury_locked(struct hf_registry *registry, uint32_t owner, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint64_t freed = free_words(block, owner);

    clear_row_locked(registry, owner, now);
    HF_STORE(block->connections_full, false);
    if (block->led_by == owner)
        block->led_by = HF_LED_BY_THE_DEAD; /* the number may soon be another process's */
    return freed;
}

void hf_registry_look_after(
    struct hf_registry *registry, struct hf_share *share, uint32_t owner, int64_t now)
{
    hf_registry_lock(registry);
    if (!hf_registry_is_closed(registry) && hf_share_is_dead_locked(share, owner, now))
        hf_share_free_locked(share, owner, bury_locked(registry, owner, now));
    hf_registry_unlock(registry);
}

uint32_t hf_registry_join(struct hf_registry *registry, struct hf_share *share)
{
    struct hf_block *block;
    uint32_t owner = 0;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    if (!hf_registry_is_closed(registry))
        owner = hf_share_join_locked(share);
    if (block->owners_used <= owner && owner != 0)
        block->owners_used = owner + 1;
    hf_registry_unlock(registry);
    return owner;
}

/* ---- lead ---- */

/* Its answer went to nobody. The first time, it is asked again at once; who takes it for granted
 * that a death is nobody's fault would ask a service at every death in a series of them. */
static void give_up_locked(struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    struct hf_facts *facts = &entry->facts;

    facts->not_before_ms =
        entry->lost ? hf_schedule_give_up(facts) : hf_schedule_ask_again(facts, now);
    facts->due_ms = facts->not_before_ms;
    hf_host_plan_locked(registry, host);
    HF_IN_THIS_ORDER();
    entry->lost = true;
    facts->in_flight = false;
}

void hf_registry_lead(struct hf_registry *registry, int64_t now)
{
    uint32_t owner = HF_LOAD(registry->owner);
    struct hf_block *block;
    bool changed;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    changed = block->led_by != owner;
    block->totals.take_overs += changed && block->led_by != 0;
    if (changed)
        HF_STORE(block->linger_ms, registry->settings->policy.linger_ms);
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (!HF_LOAD(entry->bound))
            continue;
        if (changed) {
            entry->etag[0] = '\0';
            hf_host_apply_locked(registry, host, false, now);
        }
        if (entry->facts.in_flight)
            give_up_locked(registry, host, now);
    }
    HF_IN_THIS_ORDER();
    block->led_by = owner;
    hf_registry_unlock(registry);
}

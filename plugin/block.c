/* SPDX-License-Identifier: PostgreSQL
 *
 * block.c: the layout of the block, and its index from key to host slot.
 *
 * The index is changed under the lock and read without it: an entry that is being moved forward may
 * be overlooked for a moment, so a miss means nothing until it is repeated under the lock.
 */
#include "plugin/references.h"

/* ---- layout ---- */

struct layout {
    uint64_t index_at, rows_at, hosts_at, items_at, positions_at, end;
    uint64_t row_size;
    uint32_t published_from, index_size, owners;
};

static uint64_t align64(uint64_t offset)
{
    return (offset + 63) & ~63ull;
}

static struct layout lay_out(const struct hf_settings *settings)
{
    uint64_t hosts = settings->max_hosts;
    struct layout at = {.index_size = 2};

    while (at.index_size < 2 * hosts)
        at.index_size *= 2;
    at.published_from = (1 + settings->max_connections + 7) / 8 * 8; /* a cache line of their own */
    at.index_at = align64(offsetof(struct hf_block, words) + (at.published_from + hosts) * 8);
    at.rows_at = align64(at.index_at + (uint64_t)at.index_size * 8);
    at.row_size = (hosts + HF_ROW_PAGE - 1) / HF_ROW_PAGE * HF_ROW_PAGE;
    at.owners = settings->share ? HF_OWNERS + 1 : HF_STRIPES;
    at.hosts_at = align64(at.rows_at + at.owners * at.row_size * 8);
    at.items_at = at.hosts_at + hosts * sizeof(struct hf_host_entry);
    at.positions_at = at.items_at + hosts * sizeof(struct hf_heap_item);
    at.end = at.positions_at + hosts * sizeof(uint32_t);
    return at;
}

size_t hf_registry_bytes(const struct hf_settings *settings)
{
    return lay_out(settings).end;
}

void hf_registry_open(
    struct hf_registry *registry, void *memory, const struct hf_settings *settings, uint32_t salt)
{
    struct hf_block *block = memory;
    struct layout at = lay_out(settings);

    registry->settings = settings;
    HF_STORE(block->owners, at.owners);
    /* Unlike anything else that a late thread could take for it, above all 0. */
    HF_STORE(block->base, (salt & ~(at.owners - 1)) | 0x80000000u);
    HF_STORE(block->index_mask, at.index_size - 1);
    HF_STORE(block->published_from, at.published_from);
    HF_STORE(block->index_at, at.index_at);
    HF_STORE(block->rows_at, at.rows_at);
    HF_STORE(block->row_size, at.row_size);
    HF_STORE(block->hosts_at, at.hosts_at);
    HF_STORE(block->items_at, at.items_at);
    HF_STORE(block->positions_at, at.positions_at);
    HF_STORE(block->linger_ms, settings->policy.linger_ms);
    block->rules[0] = settings->rules;
    block->owners_used = settings->share ? 0 : HF_STRIPES;
    HF_STORE(*hf_block_fallback(block), hf_rules_merge(&settings->rules, 0, 0));
    HF_STORE(registry->block, block);
    HF_STORE(block->max_connections, settings->max_connections);
    HF_STORE(block->max_hosts, settings->max_hosts);
}

/* ---- the index: hash tag << 32 | host + 1, linear probing, at most half full ---- */

_Atomic uint64_t *hf_index_slot(struct hf_block *block, uint32_t place)
{
    return (_Atomic uint64_t *)hf_block_at(block, &block->index_at) + place;
}

static uint64_t index_entry(uint64_t hash, uint32_t host)
{
    return (hash & ~0xffffffffull) | (host + 1);
}

void hf_index_insert_locked(struct hf_block *block, uint64_t hash, uint32_t host)
{
    uint32_t mask = HF_LOAD(block->index_mask);
    uint32_t place = (uint32_t)hash & mask;

    while (HF_LOAD(*hf_index_slot(block, place)) != 0)
        place = (place + 1) & mask;
    HF_STORE(*hf_index_slot(block, place), index_entry(hash, host));
}

/* Removes an entry and moves later ones of its run forward, so that no run has a hole. */
void hf_index_remove_locked(struct hf_block *block, uint64_t hash, uint32_t host)
{
    uint32_t mask = HF_LOAD(block->index_mask);
    uint32_t hole = (uint32_t)hash & mask;

    while ((uint32_t)HF_LOAD(*hf_index_slot(block, hole)) != host + 1)
        hole = (hole + 1) & mask;
    for (uint32_t place = (hole + 1) & mask;; place = (place + 1) & mask) {
        uint64_t entry = HF_LOAD(*hf_index_slot(block, place));
        if (entry == 0)
            break;
        uint32_t home = (uint32_t)hf_block_host(block, (uint32_t)entry - 1)->hash & mask;
        if (((place - home) & mask) >= ((place - hole) & mask)) {
            HF_STORE(*hf_index_slot(block, hole), entry);
            hole = place;
        }
    }
    HF_STORE(*hf_index_slot(block, hole), 0);
}

struct hf_host_entry *hf_index_find_locked(
    struct hf_block *block, const struct hf_upstream_key *key, uint64_t hash)
{
    uint32_t mask = HF_LOAD(block->index_mask);

    for (uint32_t place = (uint32_t)hash & mask;; place = (place + 1) & mask) {
        uint64_t found = HF_LOAD(*hf_index_slot(block, place));
        if (found == 0)
            return NULL;
        struct hf_host_entry *entry = hf_block_host(block, (uint32_t)found - 1);
        if (entry->hash == hash && hf_upstream_equal(&entry->key, key))
            return entry;
    }
}

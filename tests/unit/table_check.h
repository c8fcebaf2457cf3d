/* SPDX-License-Identifier: PostgreSQL
 *
 * table_check.h: every invariant of the registry's tables, from the words themselves.
 */
#ifndef HOSTFLAGS_TESTS_UNIT_TABLE_CHECK_H
#define HOSTFLAGS_TESTS_UNIT_TABLE_CHECK_H

#include "plugin/references.h"
#include "tests/support/suite.h"

/* Each bound host is in the index once, and found by its key; nothing else is in it. */
static inline void check_index(struct hf_block *block)
{
    uint32_t entries = 0, bound = 0;

    for (uint32_t place = 0; place <= HF_LOAD(block->index_mask); place++)
        entries += HF_LOAD(*hf_index_slot(block, place)) != 0;
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (!HF_LOAD(entry->bound))
            continue;
        bound++;
        CHECK(entry->hash == hf_upstream_hash(&entry->key));
        CHECK(hf_index_find_locked(block, &entry->key, entry->hash) == entry);
    }
    CHECK_INT_EQ(entries, bound);
    CHECK_INT_EQ(block->totals.host_slots, bound);
}

/* The free slots are those that are not bound, each once. */
static inline void check_free_list(struct hf_block *block)
{
    uint32_t length = 0, unbound = 0;

    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        unbound += !HF_LOAD(entry->bound);
        if (!HF_LOAD(entry->bound))
            CHECK((HF_LOAD(entry->word) & HF_HOST_LIVE) == 0);
    }
    for (uint32_t next = block->first_free; next != 0 && length <= block->slots_used; length++) {
        CHECK(next <= block->slots_used && !HF_LOAD(hf_block_host(block, next - 1)->bound));
        next = hf_block_host(block, next - 1)->next_free;
    }
    CHECK_INT_EQ(length, unbound);
    CHECK(block->slots_used <= HF_LOAD(block->max_hosts));
}

/* A heap by time, whose positions say where each host is; who is to be asked is in it. */
static inline void check_heap(struct hf_block *block)
{
    struct hf_heap heap = hf_block_heap(block);
    uint32_t positions = 0;

    for (uint32_t i = 0; i < *heap.count; i++) {
        CHECK(i == 0 || heap.items[(i - 1) / 2].when <= heap.items[i].when);
        CHECK_INT_EQ(heap.positions[heap.items[i].id], i + 1);
        CHECK(HF_LOAD(hf_block_host(block, heap.items[i].id)->bound));
    }
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        positions += heap.positions[host] != 0;
        if (HF_LOAD(entry->bound) && (HF_LOAD(entry->word) & HF_HOST_ASLEEP) == 0)
            CHECK(heap.positions[host] != 0);
    }
    CHECK_INT_EQ(positions, *heap.count);
}

/* What each owner's row counts are its connection words; and they are those of `living` alone. */
static inline void check_references(struct hf_block *block, uint32_t living)
{
    uint32_t owners = HF_LOAD(block->owners);

    for (uint32_t host = 0; host < HF_LOAD(block->max_hosts); host++) {
        uint32_t words = 0;
        for (uint32_t i = 0; i < HF_LOAD(block->max_connections); i++) {
            uint64_t word = HF_LOAD(*hf_block_connection(block, i));
            if ((uint32_t)word == HF_CONN_FREE || hf_connection_word_host(block, word) != host)
                continue;
            words++;
            CHECK_INT_EQ(word >> 32 & HF_OWNERS, living);
        }
        for (uint32_t owner = 0; owner < owners; owner++)
            CHECK_INT_EQ(hf_references_count(block, host, owner), owner == living ? words : 0);
        if (words > 0) {
            uint64_t state = HF_LOAD(hf_block_host(block, host)->word);
            CHECK((state & (HF_HOST_LIVE | HF_HOST_PARKED)) == HF_HOST_LIVE);
            CHECK(HF_LOAD(hf_block_host(block, host)->bound));
        }
    }
}

/* Answers are what values and rules make of them. */
static inline void check_answers(struct hf_block *block)
{
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        struct hf_values values = *hf_host_values(entry);
        if (!HF_LOAD(entry->bound))
            continue;
        if (entry->expired || entry->facts.fetched_ms == HF_NEVER)
            values = (struct hf_values){0, 0};
        CHECK(HF_LOAD(*hf_block_published(block, host)) ==
            hf_rules_merge(hf_block_rules(block), values.sent, values.on));
    }
    CHECK(HF_LOAD(*hf_block_fallback(block)) == hf_rules_merge(hf_block_rules(block), 0, 0));
}

/* Takes the lock, as whoever comes next does, and looks at everything. */
static inline void check_table(struct hf_registry *registry, uint32_t living)
{
    struct hf_block *block = hf_registry_block(registry);

    hf_registry_lock(registry);
    check_index(block);
    check_free_list(block);
    check_heap(block);
    check_references(block, living);
    check_answers(block);
    hf_registry_unlock(registry);
}

#endif

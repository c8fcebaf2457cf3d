/* SPDX-License-Identifier: PostgreSQL
 *
 * references.h: how many connections hold a host, counted by owner.
 *
 * An owner is a process that shares the registry (1 to HF_OWNERS), or the only one there is (0).
 * Each has a count per host, those who share in a row, so that with a death exactly its references
 * go, wherever it was interrupted: its row is zeroed. A host is held while any row counts it.
 *
 *     63      32 31    0
 *     | base    | count |    base: that of the registry's life in which it was counted
 *
 * A thread may be late: the registry was closed meanwhile, and perhaps opened again. It finds a
 * word of another base, or a zero one, and does nothing. So a word gets its base under the lock,
 * when the owner holds the host for the first time; without the lock nobody writes to one that has
 * none.
 *
 * Adding needs no lock, so whoever ends a host's life marks it first (HF_HOST_PARKED), then looks
 * at the counts; whoever has added looks at the mark afterwards. All four are sequentially
 * consistent: one of the two sees the other.
 */
#ifndef HOSTFLAGS_REFERENCES_H
#define HOSTFLAGS_REFERENCES_H

#include "plugin/block.h"

/* The only owner's word lies in the host's entry; the others' in rows. Neighbours in the table of
 * hosts are in different cache lines there, as long as an eighth of it is in use: threads that
 * count different hosts do not meet. */
static inline _Atomic uint64_t *hf_references(
    struct hf_block *block, struct hf_host_entry *entry, uint32_t host, uint32_t owner)
{
    uint64_t size, place;

    if (owner == 0)
        return &entry->references;
    size = atomic_load_explicit(&block->row_size, memory_order_relaxed);
    place = (host & 7) * (size / 8) + host / 8;
    return (_Atomic uint64_t *)hf_block_at(block, &block->rows_at) + (owner - 1) * size + place;
}

/* How many are counted in this life of the registry. */
static inline uint32_t hf_references_count(struct hf_block *block, _Atomic uint64_t *references)
{
    uint64_t value = atomic_load(references);

    return value >> 32 == HF_LOAD(block->base) ? (uint32_t)value : 0;
}

/* The lock is held, and the registry is open: the owner may count this host from now on. */
static inline void hf_references_begin_locked(struct hf_block *block, _Atomic uint64_t *references)
{
    uint32_t base = HF_LOAD(block->base);

    if (atomic_load(references) >> 32 != base)
        atomic_store(references, (uint64_t)base << 32);
}

/* Counts one in; *before is the owner's count until then. False: it has not begun to count this
 * host in that life of the registry, and nothing was changed. */
static inline bool hf_references_add(_Atomic uint64_t *references, uint32_t base, uint32_t *before)
{
    uint64_t value = atomic_load(references);

    do {
        if (value >> 32 != base)
            return false;
    } while (!atomic_compare_exchange_weak(references, &value, value + 1));
    *before = (uint32_t)value;
    return true;
}

/* Counts one out. True: it was the owner's last one; *idle_since_ms became `now` before. */
static inline bool hf_references_drop(
    _Atomic uint64_t *references, uint32_t base, _Atomic int64_t *idle_since_ms, int64_t now)
{
    uint64_t value = atomic_load(references);

    do {
        if (value >> 32 != base || (uint32_t)value == 0)
            return false;
        if ((uint32_t)value == 1)
            HF_STORE(*idle_since_ms, now);
    } while (!atomic_compare_exchange_weak(references, &value, value - 1));
    return (uint32_t)value == 1;
}

#endif

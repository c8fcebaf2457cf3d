/* SPDX-License-Identifier: PostgreSQL
 *
 * references.h: how many connections hold a host, counted by owner.
 *
 * Each owner has a row with a count per host; a host is held while any row counts it.
 *
 *   shared        An owner is a process (1 to HF_OWNERS). With its death exactly its references go,
 *                 wherever it was interrupted: its row is zeroed.
 *   not shared    The owners (from 0, HF_STRIPES of them) are there so that threads do not wait for
 *                 one another's caches: a thread counts in with the one that it was given, and out
 *                 with the one that the handle names.
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

/* A row is made of pages of 512 words, that is of 64 cache lines. The first 64 hosts of a page
 * are in different ones, so that threads that count different hosts do not meet. */
#define HF_ROW_PAGE 512u

static inline _Atomic uint64_t *hf_references(struct hf_block *block, uint32_t host, uint32_t owner)
{
    uint64_t size = atomic_load_explicit(&block->row_size, memory_order_relaxed);
    uint64_t place = (host & ~(HF_ROW_PAGE - 1)) | (host & 63) << 3 | (host >> 6 & 7);

    return (_Atomic uint64_t *)hf_block_at(block, &block->rows_at) + owner * size + place;
}

/* How many are counted in this life of the registry. */
static inline uint32_t hf_references_count(struct hf_block *block, uint32_t host, uint32_t owner)
{
    uint64_t value = atomic_load(hf_references(block, host, owner));

    return value >> 32 == HF_LOAD(block->base) ? (uint32_t)value : 0;
}

static inline void hf_references_begin_one_locked(
    struct hf_block *block, uint32_t host, uint32_t owner)
{
    _Atomic uint64_t *references = hf_references(block, host, owner);
    uint32_t base = HF_LOAD(block->base);

    if (atomic_load(references) >> 32 != base)
        atomic_store(references, (uint64_t)base << 32);
}

/* The lock is held, and the registry is open: the owner may count this host from now on; where the
 * registry is not shared, all of them. */
static inline void hf_references_begin_locked(struct hf_block *block, uint32_t host, uint32_t owner)
{
    if (hf_block_is_shared(block))
        hf_references_begin_one_locked(block, host, owner);
    else
        for (uint32_t any = 0; any < HF_STRIPES; any++)
            hf_references_begin_one_locked(block, host, any);
}

/* Counts one in. False: the owner has not begun to count this host in that life of the registry,
 * and nothing was changed. */
static inline bool hf_references_add(_Atomic uint64_t *references, uint32_t base)
{
    uint64_t value = atomic_load(references);

    do {
        if (value >> 32 != base)
            return false;
    } while (!atomic_compare_exchange_weak(references, &value, value + 1));
    return true;
}

/* Counts one out. True: it was the owner's last one; *idle_since_ms became `now` before, if it was
 * not changed by somebody else since. (It is read before the count, and other threads read that
 * line.) */
static inline bool hf_references_drop(
    _Atomic uint64_t *references, uint32_t base, _Atomic int64_t *idle_since_ms, int64_t now)
{
    int64_t idle = atomic_load(idle_since_ms);
    uint64_t value = atomic_load(references);

    do {
        if (value >> 32 != base || (uint32_t)value == 0)
            return false;
        if ((uint32_t)value == 1 && idle != now)
            atomic_compare_exchange_strong(idle_since_ms, &idle, now);
    } while (!atomic_compare_exchange_weak(references, &value, value - 1));
    return (uint32_t)value == 1;
}

#endif

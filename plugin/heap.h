/* SPDX-License-Identifier: PostgreSQL
 *
 * heap.h: a binary heap of due times over small numbers (host indices), in memory of the caller's.
 *
 * The three arrays have room for every number, so nothing here can fail. The caller locks.
 */
#ifndef HOSTFLAGS_HEAP_H
#define HOSTFLAGS_HEAP_H

#include <stdint.h>

struct hf_heap_item {
    int64_t when;
    uint32_t id;
    uint32_t unused;
};

struct hf_heap {
    uint32_t *count; /* items in use */
    struct hf_heap_item *items; /* a heap by `when`, the earliest first */
    uint32_t *positions; /* of each id: its place in items plus one; 0: it is not in the heap */
};

/* Puts id at `when`, wherever it was before; HF_NEVER takes it out. O(log n). */
void hf_heap_set(const struct hf_heap *heap, uint32_t id, int64_t when);

/* The earliest item, or NULL when the heap is empty. Valid until the next hf_heap_set. */
const struct hf_heap_item *hf_heap_first(const struct hf_heap *heap);

#endif

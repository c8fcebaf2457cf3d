/* SPDX-License-Identifier: PostgreSQL
 *
 * Blocks are in a hash table by address, with open addressing; mappings in a short list. All of it
 * is behind one spin lock.
 */
#include "tests/oom/kept.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCKS (1u << 13) /* a power of two, several times what is ever alive */
#define MAPPINGS 64

struct block {
    void *address; /* NULL: free */
    void *caller;
    size_t bytes;
    enum hf_within within;
};

struct mapping {
    uintptr_t start, end; /* as far as pages go; both 0: free */
    void *caller;
    enum hf_within within;
};

static atomic_flag lock = ATOMIC_FLAG_INIT;
static struct block blocks[BLOCKS];
static struct mapping mappings[MAPPINGS];

static void take(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        ;
}

static void give(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

/* Without stdio, which allocates. */
static void die_full(void)
{
    static const char text[] = "tests/oom/kept.c: a table is full\n";

    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    abort();
}

/* ---- blocks ---- */

static unsigned slot_of(const void *address)
{
    return (unsigned)((uintptr_t)address >> 4) * 2654435761u & (BLOCKS - 1);
}

void hf_kept_add(void *address, size_t bytes, void *caller, enum hf_within within)
{
    unsigned slot = slot_of(address), probes = 0;

    take();
    while (blocks[slot].address) {
        if (++probes == BLOCKS)
            die_full();
        slot = (slot + 1) & (BLOCKS - 1);
    }
    blocks[slot] = (struct block){address, caller, bytes, within};
    give();
}

/* Takes a slot out of its chain: a later one that may stand here fills the gap, and leaves one. */
static void remove_slot(unsigned gap)
{
    for (unsigned slot = (gap + 1) & (BLOCKS - 1); blocks[slot].address;
         slot = (slot + 1) & (BLOCKS - 1)) {
        unsigned home = slot_of(blocks[slot].address);
        if (((slot - home) & (BLOCKS - 1)) >= ((slot - gap) & (BLOCKS - 1))) {
            blocks[gap] = blocks[slot];
            gap = slot;
        }
    }
    blocks[gap].address = NULL;
}

void hf_kept_remove(const void *address)
{
    unsigned slot = slot_of(address);

    take();
    while (blocks[slot].address && blocks[slot].address != address)
        slot = (slot + 1) & (BLOCKS - 1);
    if (blocks[slot].address)
        remove_slot(slot);
    give();
}

/* ---- mappings ---- */

static uintptr_t end_of(const void *start, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    return ((uintptr_t)start + bytes + page - 1) & ~(page - 1);
}

static void put_mapping(struct mapping mapping)
{
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].end == 0) {
            mappings[i] = mapping;
            return;
        }
    }
    die_full();
}

/* What is left of those that lie there, before and behind it. */
static void cut_locked(uintptr_t start, uintptr_t end)
{
    for (int i = 0; i < MAPPINGS; i++) {
        struct mapping old = mappings[i], before = old, behind = old;
        if (old.end <= start || old.start >= end)
            continue;
        mappings[i] = (struct mapping){0};
        before.end = start;
        behind.start = end;
        if (old.start < start)
            put_mapping(before);
        if (old.end > end)
            put_mapping(behind);
    }
}

void hf_kept_map(void *start, size_t bytes, void *caller, enum hf_within within)
{
    struct mapping new = {(uintptr_t)start, end_of(start, bytes), caller, within};

    take();
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].start == new.start && mappings[i].end == new.end)
            new = mappings[i];
    }
    cut_locked(new.start, new.end);
    put_mapping(new);
    give();
}

void hf_kept_unmap(const void *start, size_t bytes)
{
    take();
    cut_locked((uintptr_t)start, end_of(start, bytes));
    give();
}

/* ---- what there is ---- */

int hf_kept_compare(const void *first, const void *second)
{
    const struct hf_kept *a = first, *b = second;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->within != b->within)
        return a->within < b->within ? -1 : 1;
    if (a->caller != b->caller)
        return a->caller < b->caller ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* False: there is no room for it. */
static bool count_in(struct hf_kept *list, size_t *count, size_t most, const struct hf_kept *one)
{
    for (size_t i = 0; i < *count; i++) {
        if (hf_kept_compare(&list[i], one) == 0) {
            list[i].count++;
            return true;
        }
    }
    if (*count == most)
        return false;
    list[(*count)++] = *one;
    return true;
}

size_t hf_kept_list(struct hf_kept *list, size_t most)
{
    size_t count = 0;
    bool fits = true;

    take();
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct block *block = &blocks[i];
        if (block->address)
            fits &= count_in(list, &count, most,
                &(struct hf_kept){HF_KEPT_BLOCK, block->within, block->caller, block->bytes, 1});
    }
    for (int i = 0; i < MAPPINGS; i++) {
        const struct mapping *mapping = &mappings[i];
        if (mapping->end != 0)
            fits &= count_in(list, &count, most,
                &(struct hf_kept){HF_KEPT_MAPPING, mapping->within, mapping->caller,
                    mapping->end - mapping->start, 1});
    }
    give();
    qsort(list, count, sizeof(*list), hf_kept_compare);
    return fits ? count : most + 1;
}

size_t hf_kept_blocks_within(enum hf_within within, struct hf_kept_block *list, size_t most)
{
    size_t count = 0;

    take();
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (!blocks[i].address || blocks[i].within != within)
            continue;
        if (count < most)
            list[count] = (struct hf_kept_block){blocks[i].address, blocks[i].bytes};
        count++;
    }
    give();
    return count;
}

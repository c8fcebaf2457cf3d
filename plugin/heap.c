/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/heap.h"

#include "plugin/terms.h"

#include <stddef.h>

static void put(const struct hf_heap *heap, uint32_t place, struct hf_heap_item item)
{
    heap->items[place] = item;
    heap->positions[item.id] = place + 1;
}

static void sift_up(const struct hf_heap *heap, uint32_t place, struct hf_heap_item item)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (heap->items[parent].when <= item.when)
            break;
        put(heap, place, heap->items[parent]);
        place = parent;
    }
    put(heap, place, item);
}

static void sift_down(const struct hf_heap *heap, uint32_t place, struct hf_heap_item item)
{
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= *heap->count)
            break;
        if (child + 1 < *heap->count && heap->items[child + 1].when < heap->items[child].when)
            child++;
        if (item.when <= heap->items[child].when)
            break;
        put(heap, place, heap->items[child]);
        place = child;
    }
    put(heap, place, item);
}

static void settle(const struct hf_heap *heap, uint32_t place, struct hf_heap_item item)
{
    if (place > 0 && item.when < heap->items[(place - 1) / 2].when)
        sift_up(heap, place, item);
    else
        sift_down(heap, place, item);
}

static void take_out(const struct hf_heap *heap, uint32_t id)
{
    uint32_t place = heap->positions[id] - 1;
    uint32_t last = --*heap->count;

    heap->positions[id] = 0;
    if (place != last)
        settle(heap, place, heap->items[last]);
}

void hf_heap_set(const struct hf_heap *heap, uint32_t id, int64_t when)
{
    struct hf_heap_item item = {.when = when, .id = id};

    if (heap->positions[id] != 0) {
        if (when == HF_NEVER)
            take_out(heap, id);
        else
            settle(heap, heap->positions[id] - 1, item);
    } else if (when != HF_NEVER) {
        sift_up(heap, (*heap->count)++, item);
    }
}

const struct hf_heap_item *hf_heap_first(const struct hf_heap *heap)
{
    return *heap->count == 0 ? NULL : &heap->items[0];
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/memory.h"

#include <sys/mman.h>

#define PROTECTION (PROT_READ | PROT_WRITE)
#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define SHARED_FLAGS (MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE)

int hf_memory_reserve(struct hf_memory *memory, size_t bytes)
{
    void *start;

    if (memory->start != NULL && bytes <= memory->bytes)
        return 0;
    start = mmap(NULL, bytes, PROTECTION, FLAGS, -1, 0);
    if (start == MAP_FAILED)
        return -1;
    *memory = (struct hf_memory){start, bytes};
    return 0;
}

static int replace(const struct hf_memory *memory, int flags)
{
    void *start = mmap(memory->start, memory->bytes, PROTECTION, flags | MAP_FIXED, -1, 0);

    return start == memory->start ? 0 : -1;
}

int hf_memory_share(const struct hf_memory *memory)
{
    return replace(memory, SHARED_FLAGS);
}

int hf_memory_zero(const struct hf_memory *memory)
{
    return memory->start == NULL ? 0 : replace(memory, FLAGS);
}

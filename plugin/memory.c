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

int hf_memory_share(const struct hf_memory *memory)
{
    void *pages = mmap(NULL, memory->bytes, PROTECTION, SHARED_FLAGS, -1, 0);

    if (pages == MAP_FAILED)
        return -1;
    if (mremap(pages, memory->bytes, memory->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, memory->start) ==
        memory->start)
        return 0;
    munmap(pages, memory->bytes);
    return -1;
}

int hf_memory_zero(const struct hf_memory *memory)
{
    if (memory->start == NULL)
        return 0;
    return mmap(memory->start, memory->bytes, PROTECTION, FLAGS | MAP_FIXED, -1, 0) == memory->start
        ? 0
        : -1;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * memory.h: the address range of the registry's block.
 *
 * A range that was once in use stays mapped for the rest of the process, as zero pages that cost
 * nothing: a thread that comes too late reads zeros there (a closed registry) and cannot fault. It
 * is writable for the same reason: a late compare-and-swap fails, but needs a writable page to do
 * so.
 */
#ifndef HOSTFLAGS_MEMORY_H
#define HOSTFLAGS_MEMORY_H

#include <stddef.h>

struct hf_memory {
    void *start; /* NULL: none yet */
    size_t bytes;
};

/* A range of at least `bytes` zero bytes: the one at hand if it is large enough, else a new one.
 * 0, or -1: out of memory, nothing changed. */
int hf_memory_reserve(struct hf_memory *memory, size_t bytes) __attribute__((warn_unused_result));

/* Replaces all pages by fresh zero ones that children share with us after a fork. -1: the system
 * refused them, nothing changed. */
int hf_memory_share(const struct hf_memory *memory) __attribute__((warn_unused_result));

/* Replaces all pages by fresh zero ones at the same addresses. -1: the system refused; the pages
 * are what they were. Async-signal-safe. */
int hf_memory_zero(const struct hf_memory *memory) __attribute__((warn_unused_result));

#endif

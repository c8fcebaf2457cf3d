/* SPDX-License-Identifier: PostgreSQL
 *
 * kept.h: which blocks and mappings are there, who asked for them, and within which call of a
 * library. Filled by the malloc family of allocations.c.
 *
 * One spin lock, and static memory, since nothing here may allocate. Where a table is full the
 * program ends, and says so. Threads: any.
 */
#ifndef HOSTFLAGS_TESTS_OOM_KEPT_H
#define HOSTFLAGS_TESTS_OOM_KEPT_H

#include <stddef.h>

/* The call during which the thread allocated, of those that are told apart (within.c). */
enum hf_within {
    HF_WITHIN_OTHER = 0,
    HF_WITHIN_PTHREAD_CREATE,
    HF_WITHIN_CURL_GLOBAL_INIT,
    HF_WITHIN_JSON_PARSE,
    HF_WITHINS
};

enum hf_kept_kind { HF_KEPT_BLOCK = 0, HF_KEPT_MAPPING };

/* What is still there, by who asked for it. */
struct hf_kept {
    enum hf_kept_kind kind;
    enum hf_within within;
    void *caller; /* of malloc, or of mmap */
    size_t bytes; /* of one */
    unsigned count;
};

void hf_kept_add(void *address, size_t bytes, void *caller, enum hf_within within);
void hf_kept_remove(const void *address); /* one that was not added is fine */

/* A new mapping takes the place of what it lies on, and its caller where it lies on all of it. */
void hf_kept_map(void *start, size_t bytes, void *caller, enum hf_within within);
void hf_kept_unmap(const void *start, size_t bytes);

/* Fills at most `most` entries, sorted as hf_kept_compare does, one for each that differs in more
 * than its count; how many there are: most + 1 where there was no room for all. */
size_t hf_kept_list(struct hf_kept *list, size_t most);

/* For qsort and bsearch: by all but the count. */
int hf_kept_compare(const void *first, const void *second);

/* The blocks that were allocated within such a call. Their number may be more than most; so many
 * are filled. */
struct hf_kept_block {
    void *address;
    size_t bytes;
};
size_t hf_kept_blocks_within(enum hf_within within, struct hf_kept_block *list, size_t most);

#endif

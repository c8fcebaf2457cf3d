/* SPDX-License-Identifier: PostgreSQL
 *
 * allocations.h: a malloc family (with mmap and pthread_create) of the program's own, which the
 * libraries it loads use as well. It counts what is allocated on behalf of the code under test,
 * refuses the n-th of these allocations, and knows which blocks are still there.
 *
 *     hf_allocations_refuse(HF_BY_CALLER, 7, false);
 *     hf_allocations_enter();
 *     result = plugin->init(...);             the seventh allocation of this call fails
 *     hf_allocations_leave();
 *     hf_allocations_refuse_none();
 *
 * On behalf of the code under test is what the main thread allocates between enter and leave, and
 * what any other thread of this process does: so nothing else may have threads here. The two are
 * numbered apart, since their order among each other is left to chance.
 *
 * A program that links this takes -rdynamic, so that libraries find these functions. Threads:
 * refuse, refuse_none, enter and leave are for the main thread.
 */
#ifndef HOSTFLAGS_TESTS_OOM_ALLOCATIONS_H
#define HOSTFLAGS_TESTS_OOM_ALLOCATIONS_H

#include <stdbool.h>
#include <stddef.h>

enum hf_by { HF_BY_CALLER = 0, HF_BY_THREADS, HF_BYS };

/* Where an allocation was asked for. */
struct hf_site {
    const char *what; /* "malloc", "pthread_create", … */
    size_t bytes; /* 0 for a thread */
    int depth;
    void *frames[24]; /* as from backtrace() */
};

/* Why nothing is counted or refused here, for hf_test_skip(): a sanitizer or valgrind has a malloc
 * of its own. NULL: it is. */
const char *hf_allocations_unavailable(void);

/* In a child that is not under test: nothing counts there. For good. */
void hf_allocations_ignore(void);

/* Counts anew, and refuses allocation number nth (from 1; 0: none); with rest, all that come after
 * it too, whoever asks. */
void hf_allocations_refuse(enum hf_by by, unsigned nth, bool rest);

/* Memory is back; the counts stay. */
void hf_allocations_refuse_none(void);

/* Between these the main thread allocates on behalf of the code under test. */
void hf_allocations_enter(void);
void hf_allocations_leave(void);

/* Since the latest hf_allocations_refuse. */
unsigned hf_allocations_count(enum hf_by by);

/* How many were refused since then, and the first of them; NULL: there is no such. */
unsigned hf_allocations_refused(void);
const struct hf_site *hf_allocations_site(unsigned i);

/* Whether that function was being called when one of them was refused; a library must export its
 * name. Looks at the first sixteen. */
bool hf_allocations_refused_in(const char *function);

/* Blocks allocated on behalf of the code under test that are still there, by who asked for them. */
struct hf_kept {
    void *caller; /* of malloc */
    size_t bytes; /* of one block */
    unsigned blocks;
};

/* Fills at most `most` entries, sorted, one for each caller and size; how many there are. */
size_t hf_allocations_kept(struct hf_kept *kept, size_t most);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * allocations.h: a malloc family (with mmap and pthread_create) of the program's own, which the
 * libraries it loads use as well. It counts what is allocated on behalf of the code under test,
 * refuses the n-th of these allocations; which are still there is in kept.h.
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

#include "tests/oom/kept.h"

#include <stdbool.h>
#include <stddef.h>

enum hf_by { HF_BY_CALLER = 0, HF_BY_THREADS, HF_BYS };

/* Where an allocation was asked for. */
struct hf_site {
    const char *what; /* "malloc", "pthread_create", … */
    size_t bytes; /* 0 for a thread */
    enum hf_within within;
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

/* Whether that function was being called then; a library must export its name. Slow. */
bool hf_allocations_site_is_in(const struct hf_site *site, const char *function);

/* What this thread allocates from now on is within such a call; what it was before. */
enum hf_within hf_allocations_within(enum hf_within now);

#endif

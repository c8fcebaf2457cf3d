/* SPDX-License-Identifier: PostgreSQL
 *
 * pool.h: lives of the plugin in children, several at a time, since most of a life is waiting.
 * Main thread.
 */
#ifndef HOSTFLAGS_TESTS_OOM_POOL_H
#define HOSTFLAGS_TESTS_OOM_POOL_H

#include "tests/oom/life.h"

enum { HF_POOL_MOST = 128 };

struct hf_pool;

/* Called for each life that has ended; result->ended is false where the child ended before.
 * wait_status as from waitpid. Both are borrowed for the call. */
typedef void hf_pool_done(void *arg, const struct hf_life_plan *plan,
    const struct hf_life_result *result, int wait_status);

/* Up to at_a_time (1 to HF_POOL_MOST) at once. life, done and arg are borrowed. NULL: no memory. */
struct hf_pool *hf_pool_create(
    const struct hf_life *life, int at_a_time, hf_pool_done *done, void *arg);
void hf_pool_destroy(struct hf_pool *pool); /* after hf_pool_finish; NULL is fine */

/* Starts a child for it, when there is room; waits for another's end otherwise. */
void hf_pool_start(struct hf_pool *pool, const struct hf_life_plan *plan);

/* Waits for all that were started. */
void hf_pool_finish(struct hf_pool *pool);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * share.h: what processes that share a registry need beside its tables: their lock, who is alive,
 * who refreshes, and a bell. One mapping, inherited by fork; it holds no pointers.
 *
 * Owner: a process that has joined, 1 to HF_SHARE_OWNERS. While it lives, one thread of it holds a
 * robust mutex; the kernel gives that back at the thread's death, whatever it dies of.
 *
 *     FREE --join--> ALIVE --found dead--> DYING --found dead again, buried--> FREE
 *
 *   All of these under the lock; join by the thread that is going to hold the mutex, the others by
 *   anybody. Two looks, HF_SHARE_PAUSE_MS apart, because other threads of a killed process may run
 * a
 *   little longer than the one that held the mutex.
 *
 * Lease: another robust mutex. Who holds it leads: refreshes for all and buries the dead.
 *
 * Nothing here is logged or allocated but in create; any thread, unless said otherwise.
 */
#ifndef HOSTFLAGS_SHARE_H
#define HOSTFLAGS_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define HF_SHARE_OWNERS 255 /* their numbers have eight bits */

struct hf_share;

/* Nobody has joined. NULL: out of memory. */
struct hf_share *hf_share_create(void);

/* Takes the mapping from this process. Nobody here may use it any more; NULL is fine. */
void hf_share_destroy(struct hf_share *share);

/* Takes the lock. True: whoever held it last died with it, and what it guards may be half-changed;
 * then put that right and call hf_share_repaired before anything else. Who dies meanwhile leaves it
 * to the next one. */
bool hf_share_lock(struct hf_share *share);
void hf_share_repaired(struct hf_share *share);
void hf_share_unlock(struct hf_share *share);

/* ---- owners; the lock is held ---- */

enum hf_owner_state { HF_OWNER_FREE = 0, HF_OWNER_ALIVE, HF_OWNER_DYING };

/* Makes the calling thread's life that of an owner, whose number is returned; 0: there are
 * HF_SHARE_OWNERS already. */
uint32_t hf_share_join_locked(struct hf_share *share);

#define HF_SHARE_PAUSE_MS 100

/* Looks whether the owner is still alive. True: it was found dead long enough ago, may be buried,
 * and hf_share_free_locked is to be called then. */
bool hf_share_is_dead_locked(struct hf_share *share, uint32_t owner, int64_t now);
void hf_share_free_locked(struct hf_share *share, uint32_t owner, uint64_t returned);

enum hf_owner_state hf_share_state(struct hf_share *share, uint32_t owner); /* without it as well */

/* ---- the lease ---- */

/* Tries to begin to lead; the same thread ends it. */
bool hf_share_begin_to_lead(struct hf_share *share, uint32_t owner);
void hf_share_end_to_lead(struct hf_share *share);

/* ---- the bell, by which anybody wakes whoever leads ---- */

uint32_t hf_share_bell(struct hf_share *share); /* how often it has rung; wraps around */
void hf_share_ring(struct hf_share *share);

/* Until it has rung more often than `heard`, for at most most_ms (INT64_MAX: no limit). May return
 * earlier. */
void hf_share_await_bell(struct hf_share *share, uint32_t heard, int64_t most_ms);

/* ---- for people ---- */

struct hf_share_facts {
    uint32_t processes; /* alive */
    uint32_t refresher; /* the owner that leads; 0: nobody, or it was found dead */
    int32_t refresher_pid; /* as that process sees itself; 0: nobody */
    uint64_t returned; /* references of the dead */
};
struct hf_share_facts hf_share_facts(struct hf_share *share);

#endif

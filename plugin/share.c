/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/share.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct hf_share {
    pthread_mutex_t lock;
    pthread_mutex_t lease;
    _Atomic uint32_t refresher;
    _Atomic int32_t refresher_pid;
    _Atomic uint64_t returned;
    _Alignas(64) _Atomic uint32_t bell;
    _Alignas(64) _Atomic uint8_t states[HF_SHARE_OWNERS + 1]; /* enum hf_owner_state */
    int64_t found_dead_ms[HF_SHARE_OWNERS + 1]; /* while DYING: when that was seen */
    pthread_mutex_t lives[HF_SHARE_OWNERS + 1];
};

static bool init_mutexes(struct hf_share *share)
{
    pthread_mutexattr_t robust;
    bool made;

    if (pthread_mutexattr_init(&robust) != 0)
        return false;
    made = pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST) == 0 &&
        pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED) == 0 &&
        pthread_mutex_init(&share->lock, &robust) == 0 &&
        pthread_mutex_init(&share->lease, &robust) == 0;
    for (uint32_t owner = 1; made && owner <= HF_SHARE_OWNERS; owner++)
        made = pthread_mutex_init(&share->lives[owner], &robust) == 0;
    pthread_mutexattr_destroy(&robust);
    return made;
}

struct hf_share *hf_share_create(void)
{
    void *start = mmap(
        NULL, sizeof(struct hf_share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (start == MAP_FAILED)
        return NULL;
    if (!init_mutexes(start)) {
        munmap(start, sizeof(struct hf_share));
        return NULL;
    }
    return start;
}

void hf_share_destroy(struct hf_share *share)
{
    if (share != NULL)
        munmap(share, sizeof(*share));
}

/* It can never be beyond recovery: whoever gets EOWNERDEAD repairs, or dies with it in turn. */
bool hf_share_lock(struct hf_share *share)
{
    return pthread_mutex_lock(&share->lock) == EOWNERDEAD;
}

void hf_share_repaired(struct hf_share *share)
{
    pthread_mutex_consistent(&share->lock);
}

void hf_share_unlock(struct hf_share *share)
{
    pthread_mutex_unlock(&share->lock);
}

/* Takes a robust mutex if nobody alive holds it. */
static bool try_robust(pthread_mutex_t *mutex)
{
    int error = pthread_mutex_trylock(mutex);

    if (error == EOWNERDEAD)
        pthread_mutex_consistent(mutex);
    return error == 0 || error == EOWNERDEAD;
}

/* ---- owners ---- */

enum hf_owner_state hf_share_state(struct hf_share *share, uint32_t owner)
{
    return (enum hf_owner_state)atomic_load(&share->states[owner]);
}

uint32_t hf_share_join_locked(struct hf_share *share)
{
    for (uint32_t owner = 1; owner <= HF_SHARE_OWNERS; owner++) {
        if (hf_share_state(share, owner) == HF_OWNER_FREE && try_robust(&share->lives[owner])) {
            atomic_store(&share->states[owner], HF_OWNER_ALIVE);
            return owner;
        }
    }
    return 0;
}

bool hf_share_is_dead_locked(struct hf_share *share, uint32_t owner, int64_t now)
{
    enum hf_owner_state before = hf_share_state(share, owner);

    if (before == HF_OWNER_DYING)
        return now - share->found_dead_ms[owner] >= HF_SHARE_PAUSE_MS;
    if (before == HF_OWNER_FREE || !try_robust(&share->lives[owner]))
        return false;
    pthread_mutex_unlock(&share->lives[owner]);
    share->found_dead_ms[owner] = now;
    atomic_store(&share->states[owner], HF_OWNER_DYING);
    return false;
}

void hf_share_free_locked(struct hf_share *share, uint32_t owner, uint64_t returned)
{
    atomic_fetch_add(&share->returned, returned);
    atomic_store(&share->states[owner], HF_OWNER_FREE);
}

/* ---- the lease ---- */

bool hf_share_begin_to_lead(struct hf_share *share, uint32_t owner)
{
    if (!try_robust(&share->lease))
        return false;
    atomic_store(&share->refresher_pid, (int32_t)getpid());
    atomic_store(&share->refresher, owner);
    return true;
}

void hf_share_end_to_lead(struct hf_share *share)
{
    atomic_store(&share->refresher, 0);
    atomic_store(&share->refresher_pid, 0);
    pthread_mutex_unlock(&share->lease);
}

/* ---- the bell ---- */

static void futex(_Atomic uint32_t *word, int operation, uint32_t value, struct timespec *timeout)
{
    syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

uint32_t hf_share_bell(struct hf_share *share)
{
    return atomic_load(&share->bell);
}

void hf_share_ring(struct hf_share *share)
{
    atomic_fetch_add(&share->bell, 1);
    futex(&share->bell, FUTEX_WAKE, INT_MAX, NULL);
}

void hf_share_await_bell(struct hf_share *share, uint32_t heard, int64_t most_ms)
{
    struct timespec timeout = {most_ms / 1000, most_ms % 1000 * 1000000};

    futex(&share->bell, FUTEX_WAIT, heard, most_ms == INT64_MAX ? NULL : &timeout);
}

/* ---- for people ---- */

struct hf_share_facts hf_share_facts(struct hf_share *share)
{
    struct hf_share_facts facts = {0, atomic_load(&share->refresher),
        atomic_load(&share->refresher_pid), atomic_load(&share->returned)};

    for (uint32_t owner = 1; owner <= HF_SHARE_OWNERS; owner++)
        facts.processes += hf_share_state(share, owner) == HF_OWNER_ALIVE;
    if (hf_share_state(share, facts.refresher) != HF_OWNER_ALIVE)
        facts.refresher = facts.refresher_pid = 0;
    return facts;
}

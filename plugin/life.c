/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/life.h"

#include "plugin/thread.h"

#define RETRY_MS 5000
#define LOOK_MS 1000 /* between two looks at the others */

static void enter_locked(struct hf_life *life, enum hf_life_state state)
{
    life->state = state;
    pthread_cond_broadcast(&life->changed);
}

/* All numbers may be those of the dead, with nobody left to bury them. */
static uint32_t join(struct hf_life *life)
{
    uint32_t owner = hf_registry_join(life->registry, life->share);

    if (owner != 0)
        return owner;
    life->found_dying = hf_life_bury_the_dead(life->registry, life->share, life->now) < LOOK_MS;
    return hf_registry_join(life->registry, life->share);
}

/* Holds the mutex until the end, and ends without giving it back. Whoever leads hears of it before
 * anything can be counted. */
static void *live(void *arg)
{
    struct hf_life *life = arg;
    uint32_t owner = join(life);

    if (owner != 0)
        hf_share_ring(life->share);
    pthread_mutex_lock(&life->mutex);
    atomic_store(&life->registry->owner, owner);
    enter_locked(life, owner != 0 ? HF_LIFE_INSIDE : HF_LIFE_REFUSED);
    while (life->state == HF_LIFE_INSIDE)
        pthread_cond_wait(&life->changed, &life->mutex);
    pthread_mutex_unlock(&life->mutex);
    return NULL;
}

static void await_locked(struct hf_life *life)
{
    while (life->state == HF_LIFE_JOINING || life->state == HF_LIFE_REFUSED)
        pthread_cond_wait(&life->changed, &life->mutex);
}

/* Starts the thread and waits until it has joined, or joins the thread if it could not. */
static void try_locked(struct hf_life *life, int64_t now)
{
    life->now = now;
    life->found_dying = false;
    life->retry_ms = now + RETRY_MS;
    if (hf_thread_start(&life->thread, "hostflags-life", live, life) != 0)
        return;
    enter_locked(life, HF_LIFE_JOINING);
    while (life->state == HF_LIFE_JOINING)
        pthread_cond_wait(&life->changed, &life->mutex);
    if (life->state == HF_LIFE_REFUSED) {
        pthread_mutex_unlock(&life->mutex);
        pthread_join(life->thread, NULL);
        pthread_mutex_lock(&life->mutex);
        if (life->found_dying)
            life->retry_ms = now + HF_SHARE_PAUSE_MS;
        enter_locked(life, HF_LIFE_OUTSIDE);
    }
}

void hf_life_open(struct hf_life *life, struct hf_registry *registry, struct hf_share *share)
{
    pthread_mutex_lock(&life->mutex);
    life->registry = registry;
    life->share = share;
    life->retry_ms = INT64_MIN;
    life->state = HF_LIFE_OUTSIDE;
    pthread_mutex_unlock(&life->mutex);
}

bool hf_life_join(struct hf_life *life, int64_t now)
{
    bool inside;

    pthread_mutex_lock(&life->mutex);
    await_locked(life);
    if (life->state == HF_LIFE_OUTSIDE && now >= life->retry_ms)
        try_locked(life, now);
    inside = life->state == HF_LIFE_INSIDE;
    pthread_mutex_unlock(&life->mutex);
    return inside;
}

void hf_life_end(struct hf_life *life)
{
    bool inside;

    pthread_mutex_lock(&life->mutex);
    await_locked(life);
    inside = life->state == HF_LIFE_INSIDE;
    enter_locked(life, HF_LIFE_CLOSED);
    pthread_mutex_unlock(&life->mutex);
    if (!inside)
        return;
    pthread_join(life->thread, NULL);
    atomic_store(&life->registry->owner, 0);
}

void hf_life_forget(struct hf_life *life)
{
    struct hf_life fresh = HF_LIFE_INITIALIZER;

    *life = fresh;
}

int64_t hf_life_bury_the_dead(struct hf_registry *registry, struct hf_share *share, int64_t now)
{
    uint32_t own = atomic_load(&registry->owner);
    int64_t next = INT64_MAX;

    for (uint32_t owner = 1; owner <= HF_SHARE_OWNERS; owner++) {
        if (owner == own || hf_share_state(share, owner) == HF_OWNER_FREE)
            continue;
        hf_registry_look_after(registry, share, owner, now);
        if (hf_share_state(share, owner) == HF_OWNER_DYING)
            next = HF_SHARE_PAUSE_MS;
        else if (next == INT64_MAX)
            next = LOOK_MS;
    }
    return next;
}

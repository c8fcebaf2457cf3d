/* SPDX-License-Identifier: PostgreSQL
 *
 * registry.c: the connections' side. The words, their states and what the lock guards are drawn in
 * block.h.
 *
 * A call works on one block from beginning to end: a thread that is late stays with that of its
 * life, which is empty by then.
 *
 * acquire of a known host: find it in the index and count ourselves in by one compare-and-swap in
 * our row; look at the host's word (live, not parked) and compare the key, which cannot change now;
 * claim a connection word by another; look at the base again, because the registry may have been
 * closed and opened in between. release: the same backwards. Everything else (a new host, one that
 * is idle for too long, parked or a mere record; the last release with linger = 0) is done under
 * the lock, and a miss without the lock is repeated under it: an entry that is being moved within
 * the index may be overlooked for a moment.
 */
#include "plugin/registry.h"

#include "plugin/allowed.h"
#include "plugin/references.h"

/* Where this thread looks for a free connection word next, and in which row it counts. Threads
 * start apart and stay apart. */
static __thread uint32_t probe, stripe;

/* ---- counting in and out ---- */

/* A host that the caller was counted in to. */
struct pin {
    uint64_t word; /* the host's afterwards, which is live; 0: counted in to none */
    uint32_t host, base; /* in which life of the registry */
};

/* Whether the thread's own row is not the only one that counts the host. Processes look for others
 * under the lock. */
static bool is_held_beside(struct hf_block *block, uint32_t host, uint32_t owner)
{
    uint32_t rows = hf_block_is_shared(block) ? 0 : HF_STRIPES;

    for (uint32_t other = 0; other < rows; other++)
        if (other != owner && hf_references_count(block, host, other) > 0)
            return true;
    return false;
}

/* Counts the caller out. With linger = 0 the owner's last reference may be the host's last: of
 * several who count the last ones out at once, at least one finds the other rows empty. */
static inline void host_unpin(struct hf_registry *registry, struct hf_block *block, uint32_t owner,
    uint32_t host, uint32_t base, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(block, host);

    if (hf_references_drop(hf_references(block, host, owner), base, &entry->idle_since_ms, now) &&
        HF_LOAD(block->linger_ms) == 0 && !is_held_beside(block, host, owner)) {
        hf_registry_lock(registry);
        if (HF_LOAD(block->base) == base)
            hf_host_end_life_locked(registry, host);
        hf_registry_unlock(registry);
    }
}

/* Whether somebody holds it, or did not long ago. Who asks has not counted itself in: two who ask
 * at the same moment must not take each other for holders. */
static inline bool is_there(
    struct hf_block *block, struct hf_host_entry *entry, uint32_t host, uint32_t owner, int64_t now)
{
    return hf_references_count(block, host, owner) > 0 ||
        now - HF_LOAD(entry->idle_since_ms) < HF_LOAD(block->linger_ms) ||
        is_held_beside(block, host, owner);
}

/* Counts the caller in. Fails on a host that is dead, parked, or idle for longer than linger. */
static inline struct pin host_pin(struct hf_block *block, struct hf_host_entry *entry,
    uint32_t host, uint32_t owner, uint32_t base, int64_t now)
{
    _Atomic uint64_t *references = hf_references(block, host, owner);
    _Atomic int64_t unchanged = now; /* to have looked is not to have held */
    uint64_t word;

    if ((HF_LOAD(entry->word) & (HF_HOST_LIVE | HF_HOST_PARKED)) != HF_HOST_LIVE ||
        !is_there(block, entry, host, owner, now) || !hf_references_add(references, base))
        return (struct pin){0};
    word = atomic_load(&entry->word);
    if ((word & (HF_HOST_LIVE | HF_HOST_PARKED)) == HF_HOST_LIVE)
        return (struct pin){word, host, base};
    hf_references_drop(references, base, &unchanged, now);
    return (struct pin){0};
}

/* By a thread that is counted in. Where another life has begun since, its answer means nothing. */
static inline bool is_key_of(const struct hf_host_entry *entry, const struct hf_upstream_key *key)
{
    return hf_upstream_equal(key, &entry->key);
}

/* base: of the life of the registry to which the owner belongs. */
static struct pin find_and_pin(struct hf_registry *registry, struct hf_block *block,
    const struct hf_upstream_key *key, uint64_t hash, uint32_t owner, uint32_t base, int64_t now)
{
    uint32_t mask = HF_LOAD(block->index_mask), most = HF_LOAD(block->max_hosts);

    for (uint32_t place = (uint32_t)hash & mask, tries = 0; tries <= mask; tries++) {
        uint64_t found = HF_LOAD(*hf_index_slot(block, place));
        if (found == 0)
            break;
        if (found >> 32 == hash >> 32 && (uint32_t)found <= most) {
            uint32_t host = (uint32_t)found - 1;
            struct hf_host_entry *entry = hf_block_host(block, host);
            struct pin pin = host_pin(block, entry, host, owner, base, now);
            if (pin.word != 0) {
                if (is_key_of(entry, key))
                    return pin;
                host_unpin(registry, block, owner, host, base, now);
            }
        }
        place = (place + 1) & mask;
    }
    return (struct pin){0};
}

/* ---- connection words ---- */

static hf_handle scan(
    struct hf_block *block, uint32_t capacity, uint32_t generations, uint32_t content)
{
    _Atomic uint64_t *words = hf_block_connection(block, 0);
    uint32_t index = probe < capacity ? probe : probe % capacity;

    for (uint32_t tries = 0; tries < capacity; tries++) {
        uint64_t word = atomic_load(words + index); /* pairs with give_back */
        if (word == 0)
            HF_STORE(block->used_pages[index / HF_CONNECTIONS_PER_PAGE], 1);
        while ((uint32_t)word == HF_CONN_FREE) {
            uint64_t generation = (uint64_t)((uint32_t)(word >> 32) + generations) << 32;
            if (HF_SWAP(words[index], word, generation | content)) {
                probe = index + 1;
                return generation | (index + 1);
            }
        }
        index = index + 1 < capacity ? index + 1 : 0;
    }
    return 0;
}

/* Makes a free word one with this content and a generation counted from `generations`; 0: there is
 * none. Once a scan has found every word taken, later calls do not scan until one was given back.
 * The second scan is for the word that was given back before it could see the mark. */
static hf_handle claim(struct hf_block *block, uint32_t generations, uint32_t content)
{
    uint32_t capacity = HF_LOAD(block->max_connections);
    bool full = atomic_load(&block->connections_full) || capacity == 0;
    hf_handle handle = 0;

    for (int tries = 0; tries < 2 && !full; tries++) {
        handle = scan(block, capacity, generations, content);
        if (handle != 0) {
            if (tries > 0)
                atomic_store(&block->connections_full, false);
            break;
        }
        atomic_store(&block->connections_full, true);
    }
    return handle;
}

/* What a word in use becomes when it is free again. */
static uint64_t freed(struct hf_block *block, uint64_t word, uint32_t base)
{
    uint32_t generation = (uint32_t)(word >> 32) - base;

    return (uint64_t)((generation | (HF_LOAD(block->owners) - 1)) + 1) << 32;
}

bool hf_connection_free(struct hf_block *block, uint32_t index, uint64_t word, uint32_t base)
{
    return atomic_compare_exchange_strong(
        hf_block_connection(block, index), &word, freed(block, word, base));
}

static inline bool give_back(struct hf_block *block, uint32_t index, uint64_t word, uint32_t base)
{
    if (!hf_connection_free(block, index, word, base))
        return false;
    if (atomic_load(&block->connections_full))
        atomic_store(&block->connections_full, false);
    probe = index;
    return true;
}

/* ---- the public side ---- */

/* A thread's row, and its first place to look: anywhere, so that threads do not meet, nor those of
 * processes that were forked from one. */
static void choose_place(uint32_t capacity, uint32_t owner, uint32_t seat)
{
    static __thread uint32_t chosen_for; /* owner + 1 */
    static _Atomic uint32_t threads;

    if (chosen_for != owner + 1) {
        uint32_t thread = atomic_fetch_add(&threads, 1) + seat;
        uint32_t place = (thread + owner * 97) * 2654435769u;
        chosen_for = owner + 1;
        stripe = thread % HF_STRIPES;
        probe = (uint32_t)((uint64_t)place * capacity >> 32);
    }
}

/* Counts the caller in to the key's host, which is made if need be. */
static struct pin hold_locked(struct hf_registry *registry, struct hf_block *block,
    const struct hf_upstream_key *key, uint64_t hash, uint32_t owner, int64_t now,
    struct hf_acquired *acquired)
{
    struct hf_host_entry *entry = NULL;

    if (HF_LOAD(block->max_hosts) == 0)
        acquired->error = HF_CLOSED;
    else if (hf_block_is_shared(block) && (owner == 0 || owner != HF_LOAD(registry->owner)))
        acquired->error = HF_NO_OWNER; /* it is that of an earlier life, as is the next one */
    else if (!hf_block_is_shared(block) && owner >= HF_STRIPES)
        acquired->error = HF_CLOSED;
    else if (!hf_allowed_fits(registry->settings->allowed_hosts, key))
        acquired->error = HF_NOT_ALLOWED;
    else
        entry = hf_host_hold_locked(registry, key, hash, owner, now, &acquired->evicted);
    if (entry == NULL)
        return (struct pin){0};
    return (struct pin){HF_LOAD(entry->word), hf_host_index(block, entry), HF_LOAD(block->base)};
}

/* A connection word for a host that the caller was counted in to; it is counted out where there is
 * none. */
static inline struct hf_acquired connect_to(struct hf_registry *registry, struct hf_block *block,
    uint32_t owner, struct pin pin, int64_t now)
{
    uint32_t asleep = (pin.word & HF_HOST_ASLEEP) != 0 ? HF_CONN_ASLEEP : 0;
    uint32_t content = (HF_LOAD(block->published_from) + pin.host) | asleep;
    hf_handle handle = claim(block, pin.base + owner, content);

    if (handle == 0) {
        host_unpin(registry, block, owner, pin.host, pin.base, now);
        return (struct hf_acquired){.error = HF_NO_CONNECTION_SLOT};
    }
    if (HF_LOAD(block->base) != pin.base) {
        /* Closed and opened meanwhile: what we were counted in to is gone. Only the word is ours.
         */
        give_back(block, (uint32_t)handle - 1, handle >> 32 << 32 | content, pin.base);
        return (struct hf_acquired){.error = HF_CLOSED};
    }
    return (struct hf_acquired){.handle = handle};
}

static struct hf_acquired acquire_under_lock(struct hf_registry *registry,
    const struct hf_upstream_key *key, uint64_t hash, uint32_t owner, int64_t now)
{
    struct hf_acquired result = {.error = HF_NO_HOST_SLOT};
    struct hf_block *block;
    bool evicted;
    struct pin pin;

    hf_registry_lock(registry);
    block = hf_registry_block(registry); /* that of before may have been left */
    pin = hold_locked(registry, block, key, hash, owner, now, &result);
    hf_registry_unlock(registry);
    if (pin.word == 0)
        return result;
    evicted = result.evicted;
    result = connect_to(registry, block, owner, pin, now);
    result.kick = true;
    result.evicted = evicted;
    return result;
}

struct hf_acquired hf_registry_acquire(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t base = HF_LOAD(block->base); /* first: the owner is not of an earlier life, then */
    uint32_t owner = HF_LOAD(registry->owner);
    uint64_t hash = hf_upstream_hash(key);
    struct pin pin;

    if (HF_LOAD(block->max_hosts) == 0)
        return (struct hf_acquired){.error = HF_CLOSED};
    if (owner == 0 && hf_block_is_shared(block))
        return (struct hf_acquired){.error = HF_NO_OWNER};
    choose_place(HF_LOAD(block->max_connections), owner, registry->seat);
    if (owner == 0)
        owner = stripe;
    pin = find_and_pin(registry, block, key, hash, owner, base, now);
    if (pin.word == 0)
        return acquire_under_lock(registry, key, hash, owner, now);
    return connect_to(registry, block, owner, pin, now);
}

/* The connection word of a live handle, asleep or not; 0: it is none. */
static inline uint64_t connection_word(struct hf_block *block, hf_handle handle)
{
    uint32_t index = (uint32_t)handle - 1;
    uint64_t word;

    if (index >= HF_LOAD(block->max_connections))
        return 0;
    word = HF_LOAD(*hf_block_connection(block, index));
    if (hf_handle_content(handle, word) > (HF_CONN_ANSWER | HF_CONN_ASLEEP) ||
        hf_connection_word_host(block, word) >= HF_LOAD(block->max_hosts))
        return 0;
    return word;
}

bool hf_connection_host(struct hf_block *block, hf_handle handle, uint32_t *host)
{
    uint64_t word = connection_word(block, handle);

    *host = hf_connection_word_host(block, word);
    return word != 0;
}

bool hf_registry_release(struct hf_registry *registry, hf_handle handle, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t owner = (uint32_t)(handle >> 32) & (HF_LOAD(block->owners) - 1);
    uint32_t base = HF_LOAD(block->base);
    uint64_t word;

    if (hf_block_is_shared(block) && owner != HF_LOAD(registry->owner))
        return false; /* it belongs to the process that made it */
    while ((word = connection_word(block, handle)) != 0) {
        uint32_t host = hf_connection_word_host(block, word);
        if (give_back(block, (uint32_t)handle - 1, word, base)) {
            host_unpin(registry, block, owner, host, base, now);
            return true;
        }
    }
    return false;
}

/* The first read of an asleep connection: its host is looked at under the lock alone, since the
 * registry may be closed meanwhile. Only if that is asleep as well is there more to do. */
bool hf_registry_awaken(struct hf_registry *registry, hf_handle handle, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint64_t word = connection_word(block, handle);
    bool planned = false;

    if ((word & HF_CONN_ASLEEP) == 0)
        return false;
    hf_registry_lock(registry);
    if (connection_word(block, handle) == word)
        planned = hf_host_awaken_locked(registry, hf_connection_word_host(block, word), now);
    hf_registry_unlock(registry);
    atomic_compare_exchange_strong(
        hf_block_connection(block, (uint32_t)handle - 1), &word, word ^ HF_CONN_ASLEEP);
    return planned;
}

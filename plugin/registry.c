/* SPDX-License-Identifier: PostgreSQL
 *
 * registry.c: the connections' side. The words, their states and what the lock guards are drawn in
 * block.h.
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

/* Where this thread looks for a free connection word next. Threads start apart and stay apart. */
static __thread uint32_t probe;

/* ---- counting in and out ---- */

/* The counting of one host by one owner in one life of the registry. */
struct pin {
    uint32_t host, owner, base;
    uint64_t word; /* the host's, after we were counted in */
};

/* Counts the caller out. With linger = 0 the owner's last reference may be the host's last. */
static void host_unpin(struct hf_registry *registry, const struct pin *pin, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, pin->host);

    if (hf_references_drop(block, pin->owner, pin->host, pin->base, &entry->idle_since_ms, now) &&
        HF_LOAD(block->linger_ms) == 0) {
        hf_registry_lock(registry);
        if (HF_LOAD(block->base) == pin->base)
            hf_host_end_life_locked(registry, pin->host);
        hf_registry_unlock(registry);
    }
}

/* Counts the caller in. Fails on a host that is dead, parked, or idle for longer than linger. */
static bool host_pin(
    struct hf_block *block, struct hf_host_entry *entry, struct pin *pin, int64_t now)
{
    _Atomic int64_t unchanged; /* to have looked is not to have held */
    uint32_t before;

    pin->host = hf_host_index(block, entry);
    if ((HF_LOAD(entry->word) & (HF_HOST_LIVE | HF_HOST_PARKED)) != HF_HOST_LIVE ||
        !hf_references_add(block, pin->owner, pin->host, pin->base, &before))
        return false;
    pin->word = atomic_load(&entry->word);
    if ((pin->word & (HF_HOST_LIVE | HF_HOST_PARKED)) == HF_HOST_LIVE &&
        (before > 0 || now - HF_LOAD(entry->idle_since_ms) < HF_LOAD(block->linger_ms)))
        return true;
    hf_references_drop(block, pin->owner, pin->host, pin->base, &unchanged, 0);
    return false;
}

static bool find_and_pin(struct hf_registry *registry, const struct hf_upstream_key *key,
    uint64_t hash, struct pin *pin, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t mask = HF_LOAD(block->index_mask), most = HF_LOAD(block->max_hosts);

    for (uint32_t place = (uint32_t)hash & mask, tries = 0; tries <= mask; tries++) {
        uint64_t found = HF_LOAD(*hf_index_slot(block, place));
        if (found == 0)
            return false;
        if (found >> 32 == hash >> 32 && (uint32_t)found <= most) {
            struct hf_host_entry *entry = hf_block_host(block, (uint32_t)found - 1);
            if (host_pin(block, entry, pin, now)) {
                if (hf_upstream_equal(&entry->key, key))
                    return true;
                host_unpin(registry, pin, now);
            }
        }
        place = (place + 1) & mask;
    }
    return false;
}

/* ---- connection words ---- */

static bool claim_from(struct hf_block *block, uint32_t capacity, const struct pin *pin,
    uint64_t content, hf_handle *handle)
{
    uint32_t index = probe < capacity ? probe : probe % capacity;

    for (uint32_t tries = 0; tries < capacity; tries++) {
        uint64_t word = atomic_load(&block->connections[index]); /* pairs with give_back */
        if (HF_LOAD(block->used_pages[index / HF_CONNECTIONS_PER_PAGE]) == 0)
            HF_STORE(block->used_pages[index / HF_CONNECTIONS_PER_PAGE], 1);
        while ((uint32_t)word == HF_CONN_FREE) {
            uint64_t generation = (uint64_t)((uint32_t)(word >> 32) + pin->base + pin->owner) << 32;
            if (HF_SWAP(block->connections[index], word, generation | content)) {
                probe = index + 1;
                *handle = generation | (index + 1);
                return true;
            }
        }
        index = index + 1 < capacity ? index + 1 : 0;
    }
    return false;
}

/* Once a scan has found every word taken, later calls do not scan until one was given back. The
 * second scan is for the word that was given back before it could see the mark. */
static bool claim(
    struct hf_block *block, const struct pin *pin, uint64_t content, hf_handle *handle)
{
    uint32_t capacity = HF_LOAD(block->max_connections);

    if (capacity == 0 || atomic_load(&block->connections_full))
        return false;
    if (claim_from(block, capacity, pin, content, handle))
        return true;
    atomic_store(&block->connections_full, true);
    if (!claim_from(block, capacity, pin, content, handle))
        return false;
    atomic_store(&block->connections_full, false);
    return true;
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
        &block->connections[index], &word, freed(block, word, base));
}

static bool give_back(struct hf_block *block, uint32_t index, uint64_t word, uint32_t base)
{
    if (!hf_connection_free(block, index, word, base))
        return false;
    if (atomic_load(&block->connections_full))
        atomic_store(&block->connections_full, false);
    probe = index;
    return true;
}

/* ---- the public side ---- */

/* A thread's first place to look: anywhere, so that threads do not meet, nor those of processes
 * that were forked from one. */
static void choose_probe(uint32_t capacity, uint32_t owner)
{
    static __thread uint32_t chosen_for; /* owner + 1 */
    static _Atomic uint32_t threads;

    if (chosen_for != owner + 1) {
        uint32_t place = (atomic_fetch_add(&threads, 1) + owner * 97) * 2654435769u;
        chosen_for = owner + 1;
        probe = (uint32_t)((uint64_t)place * capacity >> 32);
    }
}

static enum hf_acquire_error hold_locked(struct hf_registry *registry,
    const struct hf_upstream_key *key, uint64_t hash, int64_t now, struct pin *pin,
    struct hf_acquired *acquired)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry;

    if (HF_LOAD(block->max_hosts) == 0)
        return HF_CLOSED;
    if (!hf_allowed_fits(registry->settings->allowed_hosts, key))
        return HF_NOT_ALLOWED;
    entry = hf_host_hold_locked(registry, key, hash, pin->owner, now, &acquired->evicted);
    if (entry == NULL)
        return HF_NO_HOST_SLOT;
    pin->host = hf_host_index(block, entry);
    pin->base = HF_LOAD(block->base);
    pin->word = HF_LOAD(entry->word);
    return HF_ACQUIRED;
}

struct hf_acquired hf_registry_acquire(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_acquired result = {.handle = 0};
    struct pin pin = {.owner = HF_LOAD(registry->owner), .base = HF_LOAD(block->base)};
    uint64_t hash = hf_upstream_hash(key), state, content;

    if (HF_LOAD(block->max_hosts) == 0) {
        result.error = HF_CLOSED;
        return result;
    }
    if (pin.owner == 0 && HF_LOAD(block->owners) > 1) {
        result.error = HF_NO_OWNER;
        return result;
    }
    choose_probe(HF_LOAD(block->max_connections), pin.owner);
    if (!find_and_pin(registry, key, hash, &pin, now)) {
        hf_registry_lock(registry);
        result.error = hold_locked(registry, key, hash, now, &pin, &result);
        hf_registry_unlock(registry);
        if (result.error != HF_ACQUIRED)
            return result;
        result.kick = true;
    }
    state = (pin.word & HF_HOST_ASLEEP) != 0 ? HF_CONN_ASLEEP : HF_CONN_LIVE;
    content = state << 28 | pin.host;
    if (!claim(block, &pin, content, &result.handle)) {
        host_unpin(registry, &pin, now);
        result.error = HF_NO_CONNECTION_SLOT;
        return result;
    }
    if (HF_LOAD(block->base) != pin.base) {
        /* Closed and opened meanwhile: what we were counted in to is gone. Only the word is ours.
         * */
        give_back(
            block, (uint32_t)result.handle - 1, result.handle >> 32 << 32 | content, pin.base);
        result = (struct hf_acquired){.error = HF_CLOSED};
    }
    return result;
}

/* The connection word of a live handle, asleep or not; 0: it is none. */
static uint64_t connection_word(struct hf_block *block, hf_handle handle)
{
    uint32_t index = (uint32_t)handle - 1;
    uint64_t word;

    if (index >= HF_LOAD(block->max_connections))
        return 0;
    word = HF_LOAD(block->connections[index]);
    if ((word ^ hf_handle_word(handle, HF_CONN_LIVE)) <= HF_CONN_HOST_MASK ||
        (word ^ hf_handle_word(handle, HF_CONN_ASLEEP)) <= HF_CONN_HOST_MASK)
        return (word & HF_CONN_HOST_MASK) < HF_LOAD(block->max_hosts) ? word : 0;
    return 0;
}

bool hf_connection_host(struct hf_block *block, hf_handle handle, uint32_t *host)
{
    uint64_t word = connection_word(block, handle);

    *host = word & HF_CONN_HOST_MASK;
    return word != 0;
}

/* A handle belongs to the process that made it. */
static bool is_owners(struct hf_block *block, hf_handle handle, uint32_t owner)
{
    return ((uint32_t)(handle >> 32) & (HF_LOAD(block->owners) - 1)) == owner;
}

bool hf_registry_release(struct hf_registry *registry, hf_handle handle, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct pin pin = {.owner = HF_LOAD(registry->owner), .base = HF_LOAD(block->base)};
    uint64_t word;

    if (!is_owners(block, handle, pin.owner))
        return false;
    while ((word = connection_word(block, handle)) != 0) {
        pin.host = word & HF_CONN_HOST_MASK;
        if (give_back(block, (uint32_t)handle - 1, word, pin.base)) {
            host_unpin(registry, &pin, now);
            return true;
        }
    }
    return false;
}

/* The first read of an asleep connection. Only if its host is asleep as well is there more to do.
 * */
bool hf_registry_awaken(struct hf_registry *registry, hf_handle handle, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint64_t word = connection_word(block, handle);
    struct hf_host_entry *entry;
    bool planned = false;

    if (word == 0 || (word >> 28 & 0xf) != HF_CONN_ASLEEP)
        return false;
    entry = hf_block_host(block, word & HF_CONN_HOST_MASK);
    if ((HF_LOAD(entry->word) & HF_HOST_ASLEEP) != 0) {
        hf_registry_lock(registry);
        if (connection_word(block, handle) == word)
            planned = hf_host_awaken_locked(registry, word & HF_CONN_HOST_MASK, now);
        hf_registry_unlock(registry);
    }
    atomic_compare_exchange_strong(&block->connections[(uint32_t)handle - 1], &word,
        word ^ ((HF_CONN_ASLEEP ^ HF_CONN_LIVE) << 28));
    return planned;
}

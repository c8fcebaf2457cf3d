/* SPDX-License-Identifier: PostgreSQL
 *
 * registry.c: the connections' side. The words, their states and what the lock guards are drawn in
 * block.h.
 *
 * acquire of a known host: find it in the index and count ourselves in by one compare-and-swap on
 * its word; compare the key (it cannot change now); claim a connection word by another; look at the
 * host's word again, because the registry may have been closed and opened in between. release: the
 * same backwards. Everything else (a new host, one that is idle for too long, parked or a mere
 * record) is done under the lock, and a miss without the lock is repeated under it: an entry that
 * is being moved within the index may be overlooked for a moment.
 */
#include "plugin/registry.h"

#include "plugin/block.h"

/* Where this thread looks for a free connection word next. Threads start apart and stay apart. */
static __thread uint32_t probe;

/* ---- host words ---- */

/* Counts the caller in. Fails on a host that is dead, parked, or idle for longer than linger. */
static bool host_pin(
    struct hf_block *block, struct hf_host_entry *entry, int64_t now, uint64_t *pinned)
{
    uint64_t word = HF_LOAD(entry->word);

    for (;;) {
        if ((word & HF_HOST_LIVE) == 0 || (word & HF_HOST_PARKED) != 0)
            return false;
        if ((word & HF_HOST_REFERENCES) == 0 &&
            now - HF_LOAD(entry->idle_since_ms) >= HF_LOAD(block->linger_ms))
            return false;
        if (HF_SWAP(entry->word, word, word + 1)) {
            *pinned = word + 1;
            return true;
        }
    }
}

/* Counts the caller out, unless the entry's life `generation` has ended already. */
static void host_unpin(
    struct hf_block *block, struct hf_host_entry *entry, uint64_t generation, int64_t now)
{
    uint64_t word = HF_LOAD(entry->word), next;

    do {
        if ((word & HF_HOST_GENERATION) != generation || (word & HF_HOST_REFERENCES) == 0)
            return;
        next = word - 1;
        if ((next & HF_HOST_REFERENCES) == 0) {
            HF_STORE(entry->idle_since_ms, now);
            if (HF_LOAD(block->linger_ms) == 0)
                next = generation + HF_HOST_GENERATION_ONE;
        }
    } while (!HF_SWAP(entry->word, word, next));
}

static struct hf_host_entry *find_and_pin(struct hf_block *block, const struct hf_upstream_key *key,
    uint64_t hash, int64_t now, uint64_t *pinned)
{
    uint32_t mask = HF_LOAD(block->index_mask), most = HF_LOAD(block->max_hosts);

    for (uint32_t place = (uint32_t)hash & mask, tries = 0; tries <= mask; tries++) {
        uint64_t found = HF_LOAD(*hf_index_slot(block, place));
        if (found == 0)
            return NULL;
        if (found >> 32 == hash >> 32 && (uint32_t)found <= most) {
            struct hf_host_entry *entry = hf_block_host(block, (uint32_t)found - 1);
            if (host_pin(block, entry, now, pinned)) {
                if (hf_upstream_equal(&entry->key, key))
                    return entry;
                host_unpin(block, entry, *pinned & HF_HOST_GENERATION, now);
            }
        }
        place = (place + 1) & mask;
    }
    return NULL;
}

/* ---- connection words ---- */

static bool claim_from(
    struct hf_block *block, uint32_t capacity, uint64_t content, hf_handle *handle)
{
    uint32_t index = probe < capacity ? probe : probe % capacity, base = HF_LOAD(block->base);

    for (uint32_t tries = 0; tries < capacity; tries++) {
        uint64_t word = atomic_load(&block->connections[index]); /* pairs with give_back */
        while ((uint32_t)word == HF_CONN_FREE) {
            uint64_t generation = (uint64_t)((uint32_t)(word >> 32) + base) << 32;
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
static bool claim(struct hf_block *block, uint64_t content, hf_handle *handle)
{
    uint32_t capacity = HF_LOAD(block->max_connections);

    if (capacity == 0 || atomic_load(&block->connections_full))
        return false;
    if (claim_from(block, capacity, content, handle))
        return true;
    atomic_store(&block->connections_full, true);
    if (!claim_from(block, capacity, content, handle))
        return false;
    atomic_store(&block->connections_full, false);
    return true;
}

static bool give_back(struct hf_block *block, uint32_t index, uint64_t word)
{
    uint64_t next = (uint64_t)((uint32_t)(word >> 32) - HF_LOAD(block->base) + 1) << 32;

    if (!atomic_compare_exchange_strong(&block->connections[index], &word, next))
        return false;
    if (atomic_load(&block->connections_full))
        atomic_store(&block->connections_full, false);
    probe = index;
    return true;
}

/* ---- the public side ---- */

/* A thread's first place to look: anywhere, so that threads do not meet. */
static void choose_probe(uint32_t capacity)
{
    static __thread bool chosen;
    static _Atomic uint32_t threads;

    if (!chosen) {
        chosen = true;
        probe =
            (uint32_t)((uint64_t)(atomic_fetch_add(&threads, 1) * 2654435769u) * capacity >> 32);
    }
}

struct hf_acquired hf_registry_acquire(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_acquired result = {.handle = 0};
    uint64_t hash = hf_upstream_hash(key), pinned, again;
    struct hf_host_entry *entry;

    if (HF_LOAD(block->max_hosts) == 0) {
        result.error = HF_CLOSED;
        return result;
    }
    choose_probe(HF_LOAD(block->max_connections));
    entry = find_and_pin(block, key, hash, now, &pinned);
    if (entry == NULL) {
        hf_registry_lock(registry);
        entry = hf_host_hold_locked(registry, key, hash, now, &pinned, &result);
        hf_registry_unlock(registry);
        if (entry == NULL)
            return result;
        result.kick = true;
    }
    uint64_t state = (pinned & HF_HOST_ASLEEP) != 0 ? HF_CONN_ASLEEP : HF_CONN_LIVE;
    uint64_t content = state << 28 | (uint64_t)(entry - hf_block_host(block, 0));
    result.error = HF_ACQUIRED;
    if (!claim(block, content, &result.handle)) {
        host_unpin(block, entry, pinned & HF_HOST_GENERATION, now);
        result.error = HF_NO_CONNECTION_SLOT;
        return result;
    }
    again = HF_LOAD(entry->word);
    if ((again & HF_HOST_GENERATION) != (pinned & HF_HOST_GENERATION)) {
        /* Closed and opened meanwhile: what we were counted in to is gone. Only the word is ours.
         * */
        give_back(block, (uint32_t)result.handle - 1, result.handle >> 32 << 32 | content);
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

bool hf_registry_release(struct hf_registry *registry, hf_handle handle, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t index = (uint32_t)handle - 1;
    uint64_t word;

    while ((word = connection_word(block, handle)) != 0) {
        struct hf_host_entry *entry = hf_block_host(block, word & HF_CONN_HOST_MASK);
        uint64_t generation = HF_LOAD(entry->word) & HF_HOST_GENERATION;
        if (give_back(block, index, word)) {
            host_unpin(block, entry, generation, now);
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
            planned = hf_host_awaken_locked(registry, entry, now);
        hf_registry_unlock(registry);
    }
    atomic_compare_exchange_strong(&block->connections[(uint32_t)handle - 1], &word,
        word ^ ((HF_CONN_ASLEEP ^ HF_CONN_LIVE) << 28));
    return planned;
}

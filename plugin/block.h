/* SPDX-License-Identifier: PostgreSQL
 *
 * block.h: the registry's block of memory, for registry.c, agenda.c and view.c; and the inlined
 * read, for whoever hands it on to a host.
 *
 *     +---------+----------------------------------+-------+------------+-------+----------+
 *     | header  | words, 8 B each:                 | index | rows, by   | hosts | heap,    |
 *     |         | fallback, connections, published |       | owner, 8 B | 920 B | places   |
 *     +---------+----------------------------------+-------+------------+-------+----------+
 *
 * A thread may be late, and find the block closed (all zero) or with another layout. So without the
 * lock nothing is stored where an offset of the layout leads, but by a compare-and-swap that
 * expects what only this life of the registry has written there.
 *
 * Connection word, the whole of a connection entry:
 *
 *     63            32 31    29    28     27           0
 *     | generation    | 0    | asleep  | answered by |
 *
 *   free      nothing but the generation.
 *   live      the number of the word that answers it: its host's published one. So a read is two
 *             words of one table, and a free word of the right generation (there is none but by
 *             accident) leads to word 0, the fallback.
 *   asleep    live, but nobody has asked for an answer yet (prefetch = off).
 *
 *     free --acquire--> live --release--> free, generation + 1
 *     free --acquire, host asleep--> asleep --awaken--> live;  asleep --release--> free
 *
 *   Every step is one compare-and-swap by whoever makes it; none needs the lock. A free word's
 *   generation counts from 0, so that untouched pages cost nothing; a word in use, and the handle
 *   made with it, have the block's random base added. The lowest bits of a generation in use are
 *   the number of the owner in whose row it is counted (two bits, or eight where processes share
 *   the block), and it counts in steps of as many.
 *
 * Host word, changed only under the lock:
 *
 *     63         8      2       1      0
 *     | generation | asleep| parked| live|
 *
 *   dead      not live. The slot may still hold the key of a host that has left: its backoff (and a
 *             request in flight) outlive its value. Such a record is in the index, but only the
 *             lock holder looks at it.
 *   live      found without the lock. Held while any owner's row counts it (references.h), else
 *             idle.
 *   parked    the worker has stopped planning refreshes, because it is idle or (held or not) not
 *             allowed any more; the next acquire needs the lock. Also the mark of whoever ends the
 *             life of an idle host, until the counts have been looked at.
 *   asleep    nobody has asked for an answer yet (prefetch = off).
 *
 *     dead --acquire--> live
 *     live --idle, past linger or TTL: acquire, the worker--> dead, generation + 1
 *     live --last release, linger = 0--> dead, generation + 1
 *     live --idle at the due time: the worker--> live, parked --acquire--> live
 *
 *   Held and idle change into each other by the counts alone, without the lock. The key changes
 *   only under the lock while the host is dead and nobody is counted: whoever has counted itself in
 *   and then finds the host live and not parked may read it.
 *
 * What the lock guards: everything in the header and the hosts that is not _Atomic, the index's and
 * the heap's changes, host words, and publishing. Readers of `published` take no lock: a connection
 * word that is the same before and after says that the word in between belongs to its host.
 */
#ifndef HOSTFLAGS_BLOCK_H
#define HOSTFLAGS_BLOCK_H

#include "plugin/heap.h"
#include "plugin/refusal.h"
#include "plugin/registry.h"

#define HF_CONN_FREE 0u
#define HF_CONN_ANSWER 0x0fffffffu /* words are at most 2^24 + 2^20 and a few */
#define HF_CONN_ASLEEP 0x10000000u
#define HF_CONNECTIONS_MOST 16777216u /* as max_connections */
#define HF_CONNECTIONS_PER_PAGE 512u /* of 4 KiB */

#define HF_HOST_LIVE 1ull
#define HF_HOST_PARKED 2ull
#define HF_HOST_ASLEEP 4ull
#define HF_HOST_GENERATION (~0ull << 8)
#define HF_HOST_GENERATION_ONE (1ull << 8)

#define HF_LOAD(object) atomic_load_explicit(&(object), memory_order_acquire)
#define HF_STORE(object, value) atomic_store_explicit(&(object), (value), memory_order_release)
#define HF_SWAP(object, expected, value) \
    atomic_compare_exchange_weak_explicit( \
        &(object), &(expected), (value), memory_order_acq_rel, memory_order_acquire)

#define HF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* What stands before is stored before what follows: this process may be killed in between, and the
 * others go on with what is there. */
#define HF_IN_THIS_ORDER() atomic_signal_fence(memory_order_seq_cst)

/* Whatever is more than a word and must be all old or all new, also for those who go on after the
 * death of a process that was writing it: the next one is written, then the number changes. */
struct hf_values {
    uint64_t sent, on; /* as the service said */
};

struct hf_host_entry {
    _Atomic uint64_t word;
    struct hf_upstream_key key;
    /* what follows, up to the message: only under the lock */
    struct hf_facts facts;
    uint64_t hash;
    struct hf_values values[2];
    uint32_t current_values;
    uint32_t requests, not_modified, failed;
    uint64_t token_mark; /* of the latest completed request, see auth.h */
    int64_t probe_ms; /* when to look whether the token has changed; HF_NEVER: not */
    uint32_t attempt; /* number of the latest request */
    uint32_t next_free; /* in the list of free slots: index + 1 */
    _Atomic bool bound; /* the slot has a key and is in the index; set last, cleared first */
    bool expired; /* max_stale has passed and the defaults are published */
    bool lost; /* its latest request was given up because the process died that had sent it */
    bool asked_twice; /* because of a 304 that meant nothing; once is enough */
    char etag[HF_ETAG_MAX + 1]; /* of the values; "": none */
    char message[HF_MESSAGE_MAX]; /* about the latest completed request */
    _Atomic int64_t idle_since_ms; /* meaningful while nobody holds it; far from what all read */
};
_Static_assert(sizeof(struct hf_host_entry) <= 920, "with its place in the tables: 1 KiB per host");

struct hf_block {
    /* Written by open alone, read by everybody. max_hosts is written last: 0 means closed. */
    _Atomic uint32_t max_connections, max_hosts;
    _Atomic uint32_t base; /* of the generations of connections */
    _Atomic uint32_t index_mask;
    _Atomic uint32_t owners; /* rows: HF_STRIPES, or HF_OWNERS + 1 where the block is shared */
    _Atomic uint64_t row_size; /* counts in a row */
    _Atomic uint32_t published_from; /* number of the first host's word */
    _Atomic uint64_t index_at, rows_at, hosts_at, items_at, positions_at; /* bytes from here */
    _Atomic int64_t linger_ms;

    _Alignas(64) _Atomic bool connections_full; /* a whole scan found no free connection word */

    /* Under the lock. */
    _Alignas(64) uint32_t slots_used; /* host slots that were ever in use */
    uint32_t first_free; /* list of those that are free again: index + 1 */
    uint32_t heap_count;
    uint32_t owners_used; /* rows that were ever in use, and those before them */
    uint32_t led_by; /* the owner that began to lead last, or HF_LED_BY_THE_DEAD; 0: nobody has
                        yet, or the block is not shared */
    struct hf_rules rules[2];
    uint32_t current_rules;
    struct hf_totals totals;

    struct hf_refusals refusals; /* counts by themselves */

    /* Whether any connection word of a page was ever written; set before the first one is. Whoever
     * looks for the words of a dead owner leaves the other pages untouched. */
    _Alignas(64) _Atomic uint8_t used_pages[HF_CONNECTIONS_MOST / HF_CONNECTIONS_PER_PAGE];

    /* 0: the fallback, what a handle that is not live is answered. From 1: connections. From
     * published_from: what each host's connections are answered. */
    _Alignas(64) _Atomic uint64_t words[];
};

static inline void *hf_block_at(struct hf_block *block, _Atomic uint64_t *offset)
{
    return (char *)block + atomic_load_explicit(offset, memory_order_relaxed);
}

static inline _Atomic uint64_t *hf_block_fallback(struct hf_block *block)
{
    return &block->words[0];
}

static inline _Atomic uint64_t *hf_block_connection(struct hf_block *block, uint32_t index)
{
    return &block->words[1 + (uint64_t)index];
}

static inline _Atomic uint64_t *hf_block_published(struct hf_block *block, uint32_t host)
{
    return &block->words[HF_LOAD(block->published_from) + host];
}

/* The host of a connection word in use. */
static inline uint32_t hf_connection_word_host(struct hf_block *block, uint64_t word)
{
    return ((uint32_t)word & HF_CONN_ANSWER) - HF_LOAD(block->published_from);
}

/* By several processes. */
static inline bool hf_block_is_shared(struct hf_block *block)
{
    return HF_LOAD(block->owners) > HF_STRIPES;
}

static inline struct hf_host_entry *hf_block_host(struct hf_block *block, uint32_t host)
{
    return (struct hf_host_entry *)hf_block_at(block, &block->hosts_at) + host;
}

static inline uint32_t hf_host_index(struct hf_block *block, const struct hf_host_entry *entry)
{
    return (uint32_t)(entry - hf_block_host(block, 0));
}

static inline struct hf_heap hf_block_heap(struct hf_block *block)
{
    return (struct hf_heap){&block->heap_count, hf_block_at(block, &block->items_at),
        hf_block_at(block, &block->positions_at)};
}

static inline const struct hf_values *hf_host_values(const struct hf_host_entry *entry)
{
    return &entry->values[entry->current_values & 1];
}

/* The lock is held. */
static inline const struct hf_rules *hf_block_rules(const struct hf_block *block)
{
    return &block->rules[block->current_rules & 1];
}

static inline struct hf_block *hf_registry_block(struct hf_registry *registry)
{
    return atomic_load_explicit(&registry->block, memory_order_acquire);
}

static inline struct hf_refusals *hf_registry_refusals(struct hf_registry *registry)
{
    return &hf_registry_block(registry)->refusals;
}

static inline bool hf_registry_is_closed(struct hf_registry *registry)
{
    return HF_LOAD(hf_registry_block(registry)->max_hosts) == 0;
}

/* What a connection word says besides its generation, if that is the handle's; else more than 32
 * bits. */
static inline uint64_t hf_handle_content(hf_handle handle, uint64_t word)
{
    return word ^ (handle & ~0xffffffffull);
}

#define HF_READ_ASLEEP (-1)

/* The answer, 0 or 1: wait-free, no clock. For a handle that is not live: the default, or 0 when
 * the registry is closed. HF_READ_ASLEEP: nobody has asked for this host yet (prefetch = off): call
 * hf_registry_awaken. */
static inline int hf_registry_read(struct hf_registry *registry, hf_handle handle, uint32_t flag)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t index = (uint32_t)handle - 1;

    if (HF_UNLIKELY(flag >= HF_MAX_FLAGS))
        return 0;
    if (HF_LIKELY(index < HF_LOAD(block->max_connections))) {
        uint64_t word = HF_LOAD(*hf_block_connection(block, index));
        uint64_t content = hf_handle_content(handle, word);
        if (HF_LIKELY(content <= HF_CONN_ANSWER)) {
            uint64_t answers = HF_LOAD(block->words[content]);
            if (HF_LIKELY(HF_LOAD(*hf_block_connection(block, index)) == word))
                return (int)(answers >> flag & 1);
        } else if (content <= (HF_CONN_ANSWER | HF_CONN_ASLEEP)) {
            return HF_READ_ASLEEP;
        }
    }
    return (int)(HF_LOAD(*hf_block_fallback(block)) >> flag & 1);
}

#define HF_LED_BY_THE_DEAD (HF_OWNERS + 1)

/* ---- registry.c ---- */

/* Makes a connection word in use, as it was read, a free one. False: it is another one by now.
 * base: that of the generation. */
bool hf_connection_free(struct hf_block *block, uint32_t index, uint64_t word, uint32_t base);

/* The host that a live handle refers to. False: it is none. */
bool hf_connection_host(struct hf_block *block, hf_handle handle, uint32_t *host);

/* ---- block.c ---- */

/* The index: hash tag << 32 | host + 1, or 0; linear probing from the hash's low bits. */
_Atomic uint64_t *hf_index_slot(struct hf_block *block, uint32_t place);
void hf_index_insert_locked(struct hf_block *block, uint64_t hash, uint32_t host);
void hf_index_remove_locked(struct hf_block *block, uint64_t hash, uint32_t host);
struct hf_host_entry *hf_index_find_locked(
    struct hf_block *block, const struct hf_upstream_key *key, uint64_t hash);

/* ---- hosts.c ---- */

/* How many connections hold it. The lock is held; what is not held may be at any moment, unless the
 * host is parked. */
uint64_t hf_host_references_locked(struct hf_block *block, uint32_t host);
bool hf_host_is_held_locked(struct hf_block *block, uint32_t host);

/* Finds or binds the key's slot, makes it live and counts `owner` in. *evicted becomes true if an
 * idle host lost its value or backoff by that. NULL: the table is full of hosts that are held. */
struct hf_host_entry *hf_host_hold_locked(struct hf_registry *registry,
    const struct hf_upstream_key *key, uint64_t hash, uint32_t owner, int64_t now, bool *evicted);

/* Whether the last request to it was rejected for its token, or for want of one, and that token
 * lies in a file: then the file is looked at until it changes. */
bool hf_host_wants_probe(struct hf_registry *registry, const struct hf_host_entry *entry);

/* Replaces the rules, and the answer of handles that are not live; publishes nothing else. */
void hf_block_set_rules_locked(struct hf_block *block, const struct hf_rules *rules);

/* Replaces the values as the service said them; does not publish. */
void hf_host_set_values_locked(struct hf_host_entry *entry, uint64_t sent, uint64_t on);

/* Writes what readers of this host are answered: its values, or the defaults where it has none. */
void hf_host_publish_locked(struct hf_registry *registry, uint32_t host);

/* Whether it may be asked, by the settings of this process. If not, it never is. */
bool hf_host_is_allowed(struct hf_registry *registry, const struct hf_host_entry *entry);

/* Puts the host where the worker has to look at it next. */
void hf_host_plan_locked(struct hf_registry *registry, uint32_t host);

/* Counts what its connections are answered from now on. */
void hf_host_tally_locked(struct hf_registry *registry, struct hf_host_entry *entry, int64_t now);

/* Whether it is a mere record, or idle and its time is over. */
bool hf_host_has_left_locked(
    struct hf_registry *registry, struct hf_host_entry *entry, int64_t now);

/* Parks an idle host: from now on who acquires it needs the lock. False: it is held, and was left
 * as it is. */
bool hf_host_park_locked(struct hf_registry *registry, uint32_t host);

/* Ends the life of an idle host. False: somebody has just acquired it. True as well: it was dead
 * already. */
bool hf_host_end_life_locked(struct hf_registry *registry, uint32_t host);

/* Somebody wants to know: plans the first request. False: that was done before. */
bool hf_host_awaken_locked(struct hf_registry *registry, uint32_t host, int64_t now);

/* Takes a record's key out of the index and frees its slot. */
void hf_host_unbind_locked(struct hf_registry *registry, uint32_t host);

/* ---- apply.c ---- */

/* What the settings of this process, which leads, change about a host: its word, plan and answer.
 * What is in flight stays so. anew: it is to be asked again, whether its values are fresh or not.
 * */
void hf_host_apply_locked(struct hf_registry *registry, uint32_t host, bool anew, int64_t now);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * hosts.c: how the lives of hosts begin and end, all under the registry's lock (block.h).
 *
 * A slot is free, or bound to a key. A bound slot is live, or a record: what must outlive a value,
 * that is a backoff or a request in flight. A record becomes live again by the next acquire of its
 * key, with its backoff but without a value.
 */
#include "plugin/allowed.h"
#include "plugin/references.h"

void hf_host_set_values_locked(struct hf_host_entry *entry, uint64_t sent, uint64_t on)
{
    uint32_t next = (entry->current_values & 1) ^ 1;

    entry->values[next] = (struct hf_values){sent, on};
    HF_IN_THIS_ORDER();
    entry->current_values = next;
    HF_IN_THIS_ORDER();
}

void hf_block_set_rules_locked(struct hf_block *block, const struct hf_rules *rules)
{
    uint32_t next = (block->current_rules & 1) ^ 1;

    block->rules[next] = *rules;
    HF_IN_THIS_ORDER();
    block->current_rules = next;
    HF_IN_THIS_ORDER();
    HF_STORE(*hf_block_fallback(block), hf_rules_merge(rules, 0, 0));
}

void hf_host_publish_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    struct hf_values none = {0, 0}, values = *hf_host_values(entry);

    if (entry->expired || entry->facts.fetched_ms == HF_NEVER)
        values = none;
    HF_STORE(*hf_block_published(block, host),
        hf_rules_merge(hf_block_rules(block), values.sent, values.on));
}

uint64_t hf_host_references_locked(struct hf_block *block, uint32_t host)
{
    uint64_t sum = 0;

    for (uint32_t owner = 0; owner < block->owners_used; owner++)
        sum += hf_references_count(block, host, owner);
    return sum;
}

bool hf_host_is_held_locked(struct hf_block *block, uint32_t host)
{
    return hf_host_references_locked(block, host) > 0;
}

bool hf_host_is_allowed(struct hf_registry *registry, const struct hf_host_entry *entry)
{
    return hf_allowed_fits(registry->settings->allowed_hosts, &entry->key);
}

void hf_host_plan_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    struct hf_heap heap = hf_block_heap(block);
    int64_t when = entry->facts.due_ms < entry->probe_ms ? entry->facts.due_ms : entry->probe_ms;
    int64_t expiry = hf_schedule_expiry(&registry->settings->policy, &entry->facts);

    hf_heap_set(&heap, host, entry->expired || when < expiry ? when : expiry);
}

bool hf_host_has_left_locked(struct hf_registry *registry, struct hf_host_entry *entry, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t host = hf_host_index(block, entry);

    return (HF_LOAD(entry->word) & HF_HOST_LIVE) == 0 ||
        (!hf_host_is_held_locked(block, host) &&
            now >= hf_schedule_leave(
                       &registry->settings->policy, &entry->facts, HF_LOAD(entry->idle_since_ms)));
}

bool hf_host_park_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    uint64_t before = atomic_load(&entry->word);

    atomic_store(&entry->word, before | HF_HOST_PARKED);
    if (!hf_host_is_held_locked(block, host))
        return true;
    atomic_store(&entry->word, before);
    return false;
}

bool hf_host_end_life_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & HF_HOST_LIVE) == 0)
        return true;
    if (!hf_host_park_locked(registry, host))
        return false;
    HF_STORE(entry->word, (word & HF_HOST_GENERATION) + HF_HOST_GENERATION_ONE);
    return true;
}

void hf_host_unbind_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    struct hf_heap heap = hf_block_heap(block);

    HF_STORE(entry->bound, false);
    hf_index_remove_locked(block, entry->hash, host);
    hf_heap_set(&heap, host, HF_NEVER);
    block->totals.host_slots--;
    entry->next_free = block->first_free;
    block->first_free = host + 1;
}

/* How willingly a slot is given up when the table is full; lower goes first. */
enum { SPARE_RECORD, SPARE_IDLE, SPARE_IN_BACKOFF, NOT_SPARE };

static int spare_class(struct hf_registry *registry, struct hf_host_entry *entry, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);

    if (entry->facts.in_flight || hf_host_is_held_locked(block, hf_host_index(block, entry)))
        return NOT_SPARE;
    if (entry->facts.not_before_ms > now)
        return SPARE_IN_BACKOFF;
    return hf_host_has_left_locked(registry, entry, now) ? SPARE_RECORD : SPARE_IDLE;
}

/* Frees the slots of all hosts that have left, or, where there is none, the one unused longest:
 * true then, since something is lost by that. */
static bool make_room_locked(struct hf_registry *registry, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    int best_class = NOT_SPARE;
    uint32_t best = 0;

    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        int class = spare_class(registry, entry, now);
        if (class == SPARE_RECORD) {
            if (hf_host_end_life_locked(registry, host))
                hf_host_unbind_locked(registry, host);
        } else if (class < best_class ||
            (class == best_class && class != NOT_SPARE &&
                HF_LOAD(entry->idle_since_ms) <
                    HF_LOAD(hf_block_host(block, best)->idle_since_ms))) {
            best_class = class;
            best = host;
        }
    }
    if (block->first_free != 0 || best_class == NOT_SPARE ||
        !hf_host_end_life_locked(registry, best))
        return false;
    hf_host_unbind_locked(registry, best);
    return true;
}

static struct hf_host_entry *bind_locked(struct hf_registry *registry,
    const struct hf_upstream_key *key, uint64_t hash, int64_t now, bool *evicted)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry;
    uint32_t host;

    if (block->first_free == 0 && block->slots_used == HF_LOAD(block->max_hosts))
        *evicted = make_room_locked(registry, now);
    if (block->first_free != 0) {
        host = block->first_free - 1;
        block->first_free = hf_block_host(block, host)->next_free;
    } else if (block->slots_used < HF_LOAD(block->max_hosts)) {
        host = block->slots_used++;
    } else {
        return NULL;
    }
    entry = hf_block_host(block, host);
    if (HF_LOAD(entry->word) == 0)
        HF_STORE(entry->word, (uint64_t)HF_LOAD(block->base) << 24 | HF_HOST_GENERATION_ONE);
    entry->key = *key;
    entry->hash = hash;
    entry->facts = hf_facts_none();
    entry->requests = entry->not_modified = entry->failed = 0;
    entry->token_mark = 0;
    entry->probe_ms = HF_NEVER;
    entry->asked_twice = entry->lost = false;
    entry->message[0] = '\0';
    HF_STORE(entry->bound, true);
    block->totals.host_slots++;
    hf_index_insert_locked(block, hash, host);
    return entry;
}

bool hf_host_wants_probe(struct hf_registry *registry, const struct hf_host_entry *entry)
{
    const struct hf_facts *facts = &entry->facts;

    return registry->settings->token_file != NULL &&
        (facts->outcome == HF_OUTCOME_TOKEN ||
            (facts->outcome == HF_OUTCOME_HTTP &&
                (facts->http_status == 401 || facts->http_status == 403)));
}

/* Starts a life: no value, but the backoff of an earlier life stands. */
static void begin_life_locked(
    struct hf_registry *registry, struct hf_host_entry *entry, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    uint32_t host = hf_host_index(block, entry);
    uint64_t asleep = registry->settings->prefetch ? 0 : HF_HOST_ASLEEP;
    uint64_t generation = (HF_LOAD(entry->word) & HF_HOST_GENERATION) + HF_HOST_GENERATION_ONE;

    entry->facts.fetched_ms = HF_NEVER;
    entry->expired = false;
    entry->etag[0] = '\0';
    HF_STORE(entry->idle_since_ms, now);
    entry->probe_ms = hf_host_wants_probe(registry, entry) ? now : HF_NEVER;
    hf_host_publish_locked(registry, host);
    if (!entry->facts.in_flight)
        entry->facts.due_ms = asleep ? HF_NEVER : hf_schedule_resume(&entry->facts, now);
    hf_host_plan_locked(registry, host);
    HF_STORE(entry->word, generation | HF_HOST_LIVE | asleep);
}

/* Goes on with a live host, whatever its state; plans what parking has unplanned. */
static void resume_life_locked(
    struct hf_registry *registry, struct hf_host_entry *entry, int64_t now)
{
    uint32_t host = hf_host_index(hf_registry_block(registry), entry);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & HF_HOST_PARKED) != 0) {
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
        entry->probe_ms = hf_host_wants_probe(registry, entry) ? now : HF_NEVER;
        hf_host_plan_locked(registry, host);
        HF_STORE(entry->word, word & ~HF_HOST_PARKED);
    }
}

struct hf_host_entry *hf_host_hold_locked(struct hf_registry *registry,
    const struct hf_upstream_key *key, uint64_t hash, uint32_t owner, int64_t now, bool *evicted)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_index_find_locked(block, key, hash);
    uint32_t host;

    if (entry == NULL)
        entry = bind_locked(registry, key, hash, now, evicted);
    if (entry == NULL)
        return NULL;
    host = hf_host_index(block, entry);
    if (hf_host_has_left_locked(registry, entry, now) && hf_host_end_life_locked(registry, host))
        begin_life_locked(registry, entry, now);
    else
        resume_life_locked(registry, entry, now);
    hf_references_begin_locked(block, host, owner);
    (void)!hf_references_add(hf_references(block, host, owner), HF_LOAD(block->base));
    return entry;
}

bool hf_host_awaken_locked(struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & HF_HOST_ASLEEP) == 0)
        return false;
    if (!entry->facts.in_flight) {
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
        hf_host_plan_locked(registry, host);
    }
    HF_STORE(entry->word, word & ~HF_HOST_ASLEEP);
    return true;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * view.c: copies of what the registry knows, for people. Taken under the lock, host by host.
 */
#include "plugin/block.h"

#include <string.h>

static void copy_locked(struct hf_block *block, uint32_t host, struct hf_view *view)
{
    struct hf_host_entry *entry = hf_block_host(block, host);

    view->key = entry->key;
    view->facts = entry->facts;
    view->rules = *hf_block_rules(block);
    view->sent = hf_host_values(entry)->sent;
    view->on = hf_host_values(entry)->on;
    view->requests = entry->requests;
    view->not_modified = entry->not_modified;
    view->failed = entry->failed;
    view->references = (uint32_t)hf_host_references_locked(block, host);
    memcpy(view->message, entry->message, sizeof(view->message));
}

bool hf_registry_view(
    struct hf_registry *registry, uint32_t slot, int64_t now, struct hf_view *view)
{
    struct hf_block *block;
    bool there = false;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    if (slot < block->slots_used) {
        struct hf_host_entry *entry = hf_block_host(block, slot);
        there = entry->bound && !hf_host_has_left_locked(registry, entry, now);
        if (there)
            copy_locked(block, slot, view);
    }
    hf_registry_unlock(registry);
    return there;
}

bool hf_registry_view_connection(
    struct hf_registry *registry, hf_handle handle, struct hf_view *view)
{
    struct hf_block *block;
    uint32_t host;
    bool there = false;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    if (hf_connection_host(block, handle, &host)) {
        copy_locked(block, host, view);
        /* Released meanwhile: the host in that slot may be another one. */
        there = hf_connection_host(block, handle, &host);
    }
    hf_registry_unlock(registry);
    return there;
}

struct hf_totals hf_registry_totals(struct hf_registry *registry)
{
    struct hf_totals totals;

    hf_registry_lock(registry);
    totals = hf_registry_block(registry)->totals;
    hf_registry_unlock(registry);
    return totals;
}

struct hf_rules hf_registry_rules(struct hf_registry *registry)
{
    struct hf_rules rules;

    hf_registry_lock(registry);
    rules = *hf_block_rules(hf_registry_block(registry));
    hf_registry_unlock(registry);
    return rules;
}

uint32_t hf_registry_slots(struct hf_registry *registry)
{
    uint32_t slots;

    hf_registry_lock(registry);
    slots = hf_registry_block(registry)->slots_used;
    hf_registry_unlock(registry);
    return slots;
}

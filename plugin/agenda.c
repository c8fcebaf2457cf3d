/* SPDX-License-Identifier: PostgreSQL
 *
 * agenda.c: the worker's side of the registry: which host is due, and what a request's end changes.
 *
 * A heap of host slots by the time at which the worker has to look at them. What it does then
 * depends on the host:
 *
 *     record                 unbind it once its backoff is over and its failures may be forgotten
 *     idle, its time over    end its life; what is left is a record
 *     idle                   park it: no more requests; look again when its time is over
 *     held, value expired    publish the defaults (max_stale)
 *     held, asleep           nothing until somebody reads
 *     held, not allowed      nothing: it was allowed before a reload, or by another process
 *     held, due              hand it out as a job
 *     held, rejected         hand it out as a probe: has the token's file changed?
 *
 * A job is one request. While it is in flight its host's slot stays bound. How it ends is written
 * in completion.c.
 */
#include "plugin/allowed.h"
#include "plugin/block.h"

#include <string.h>

/* A transfer ends by itself within request_timeout. One that has not been heard of for so much
 * longer is lost, and the host is asked again. */
#define LOST_AFTER_MS 5000

/* A changed token file is to be noticed within 5 s, and the request is to follow it. */
#define PROBE_INTERVAL_MS 3000

static void tend_record_locked(
    struct hf_registry *registry, uint32_t host, struct hf_host_entry *entry, int64_t now)
{
    if (!entry->facts.in_flight && hf_schedule_forget(&entry->facts) <= now) {
        hf_host_unbind_locked(registry, host);
        return;
    }
    entry->facts.fetched_ms = HF_NEVER;
    entry->probe_ms = HF_NEVER;
    if (!entry->facts.in_flight)
        entry->facts.due_ms = hf_schedule_forget(&entry->facts);
    else if (entry->facts.due_ms <= now)
        entry->facts.in_flight = false; /* lost */
    hf_host_plan_locked(registry, host);
}

/* False: somebody has acquired it meanwhile. */
static bool tend_idle_locked(
    struct hf_registry *registry, uint32_t host, struct hf_host_entry *entry, int64_t now)
{
    if (hf_host_has_left_locked(registry, entry, now)) {
        if (!hf_host_end_life_locked(registry, host))
            return false;
        tend_record_locked(registry, host, entry, now);
        return true;
    }
    if (!hf_host_park_locked(registry, host))
        return false;
    entry->probe_ms = HF_NEVER;
    entry->facts.due_ms = hf_schedule_leave(
        &registry->settings->policy, &entry->facts, HF_LOAD(entry->idle_since_ms));
    hf_host_plan_locked(registry, host);
    return true;
}

/* A conditional request makes sense only for values that are there. */
static void fill_job_locked(struct hf_registry *registry, uint32_t host, struct hf_job *job)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    job->host = host;
    job->generation = HF_LOAD(entry->word) & HF_HOST_GENERATION;
    job->key = entry->key;
    job->attempt = entry->attempt;
    memcpy(job->etag, entry->etag, sizeof(job->etag));
    if (entry->facts.fetched_ms == HF_NEVER)
        job->etag[0] = '\0';
}

static void start_probe_locked(
    struct hf_registry *registry, uint32_t host, int64_t now, struct hf_job *job)
{
    hf_block_host(hf_registry_block(registry), host)->probe_ms = now + PROBE_INTERVAL_MS;
    fill_job_locked(registry, host, job);
    job->probe = true;
    hf_host_plan_locked(registry, host);
}

static void start_job_locked(
    struct hf_registry *registry, uint32_t host, int64_t now, struct hf_job *job)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    entry->facts.in_flight = true; /* first, and cleared last: it says that somebody must end it */
    HF_IN_THIS_ORDER();
    entry->facts.asked_ms = now;
    entry->facts.due_ms = now + registry->settings->request_timeout_ms + LOST_AFTER_MS;
    entry->requests++;
    entry->attempt++;
    entry->probe_ms = HF_NEVER;
    fill_job_locked(registry, host, job);
    job->probe = false;
    hf_host_plan_locked(registry, host);
}

/* True: *job is to be done. */
static bool tend_locked(
    struct hf_registry *registry, uint32_t host, int64_t now, struct hf_job *job)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & HF_HOST_LIVE) == 0) {
        tend_record_locked(registry, host, entry, now);
        return false;
    }
    if (!entry->expired && hf_schedule_expiry(&registry->settings->policy, &entry->facts) <= now) {
        entry->expired = true;
        hf_host_publish_locked(registry, host);
        hf_host_tally_locked(registry, entry, now);
    }
    if (entry->facts.due_ms > now && entry->probe_ms > now) {
        hf_host_plan_locked(registry, host);
        return false;
    }
    if (!hf_host_is_held_locked(block, host) && tend_idle_locked(registry, host, entry, now))
        return false;
    if ((word & HF_HOST_ASLEEP) != 0 || !hf_host_is_allowed(registry, entry) ||
        !hf_rules_ask(hf_block_rules(block))) {
        entry->facts.due_ms = entry->probe_ms = HF_NEVER;
        hf_host_plan_locked(registry, host);
        return false;
    }
    if (entry->facts.due_ms <= now)
        start_job_locked(registry, host, now, job);
    else
        start_probe_locked(registry, host, now, job);
    return true;
}

size_t hf_registry_take_due(
    struct hf_registry *registry, int64_t now, struct hf_job *jobs, size_t most)
{
    struct hf_heap heap;
    const struct hf_heap_item *first;
    size_t count = 0;

    hf_registry_lock(registry);
    heap = hf_block_heap(hf_registry_block(registry));
    while (count < most && (first = hf_heap_first(&heap)) != NULL && first->when <= now) {
        if (tend_locked(registry, first->id, now, &jobs[count]))
            count++;
    }
    hf_registry_unlock(registry);
    return count;
}

int64_t hf_registry_next_due(struct hf_registry *registry)
{
    struct hf_heap heap;
    const struct hf_heap_item *first;
    int64_t when;

    hf_registry_lock(registry);
    heap = hf_block_heap(hf_registry_block(registry));
    first = hf_heap_first(&heap);
    when = first == NULL ? HF_NEVER : first->when;
    hf_registry_unlock(registry);
    return when;
}

/* ---- asking ahead of the plan ---- */

static enum hf_refresh_result refresh_locked(
    struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    if (entry->facts.in_flight)
        return HF_REFRESH_IN_FLIGHT;
    if (hf_schedule_ask_again(&entry->facts, now) > now)
        return HF_REFRESH_TOO_SOON;
    entry->facts.due_ms = now;
    hf_host_plan_locked(registry, host);
    HF_STORE(entry->word, HF_LOAD(entry->word) & ~HF_HOST_ASLEEP);
    return HF_REFRESH_PLANNED;
}

enum hf_refresh_result hf_registry_refresh(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now)
{
    enum hf_refresh_result best = HF_REFRESH_UNKNOWN;
    struct hf_block *block;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    if (key != NULL && HF_LOAD(block->max_hosts) != 0 && /* else there are no settings any more */
        !hf_allowed_fits(registry->settings->allowed_hosts, key))
        best = HF_REFRESH_NOT_ALLOWED;
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        if (!entry->bound || !hf_host_is_allowed(registry, entry) ||
            (HF_LOAD(entry->word) & HF_HOST_LIVE) == 0 || !hf_host_is_held_locked(block, host) ||
            (key != NULL && !hf_upstream_same_host(&entry->key, key)))
            continue;
        enum hf_refresh_result result = refresh_locked(registry, host, now);
        if (result < best)
            best = result;
    }
    hf_registry_unlock(registry);
    return best;
}

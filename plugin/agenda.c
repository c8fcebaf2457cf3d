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
 *     held, due              hand it out as a job
 *
 * A job is one request. While it is in flight its host's slot stays bound. Its completion counts
 * only if no later request was started for the slot (`attempt`), and its value lands only in the
 * life it was started for (`generation`); its backoff belongs to the key and counts in any life.
 */
#include "plugin/block.h"

/* A transfer ends by itself within request_timeout. One that has not been heard of for so much
 * longer is lost, and the host is asked again. */
#define LOST_AFTER_MS 5000

/* Puts the host where it has to be looked at next. */
static void plan_locked(struct hf_registry *registry, uint32_t host)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, host);
    struct hf_heap heap = hf_block_heap(block);
    int64_t when = entry->facts.due_ms;
    int64_t expiry = hf_schedule_expiry(&registry->settings->policy, &entry->facts);

    if (!entry->expired && expiry < when)
        when = expiry;
    hf_heap_set(&heap, host, when);
}

static void tend_record_locked(
    struct hf_registry *registry, uint32_t host, struct hf_host_entry *entry, int64_t now)
{
    if (!entry->facts.in_flight && hf_schedule_forget(&entry->facts) <= now) {
        hf_host_unbind_locked(registry, host);
        return;
    }
    entry->facts.fetched_ms = HF_NEVER;
    if (!entry->facts.in_flight)
        entry->facts.due_ms = hf_schedule_forget(&entry->facts);
    else if (entry->facts.due_ms <= now)
        entry->facts.in_flight = false; /* lost */
    plan_locked(registry, host);
}

/* False: somebody has acquired it meanwhile. */
static bool tend_idle_locked(
    struct hf_registry *registry, uint32_t host, struct hf_host_entry *entry, int64_t now)
{
    uint64_t word = HF_LOAD(entry->word);

    if (hf_host_has_left_locked(registry, entry, now)) {
        if (!hf_host_end_life_locked(entry))
            return false;
        tend_record_locked(registry, host, entry, now);
        return true;
    }
    do {
        if ((word & HF_HOST_REFERENCES) != 0)
            return false;
    } while (!HF_SWAP(entry->word, word, word | HF_HOST_PARKED));
    entry->facts.due_ms = hf_schedule_leave(
        &registry->settings->policy, &entry->facts, HF_LOAD(entry->idle_since_ms));
    plan_locked(registry, host);
    return true;
}

static void start_job_locked(
    struct hf_registry *registry, uint32_t host, int64_t now, struct hf_job *job)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    entry->facts.in_flight = true;
    entry->facts.asked_ms = now;
    entry->facts.due_ms = now + registry->settings->request_timeout_ms + LOST_AFTER_MS;
    entry->requests++;
    job->host = host;
    job->attempt = ++entry->attempt;
    job->generation = HF_LOAD(entry->word) & HF_HOST_GENERATION;
    job->key = entry->key;
    plan_locked(registry, host);
}

/* True: *job is to be done. */
static bool tend_locked(
    struct hf_registry *registry, uint32_t host, int64_t now, struct hf_job *job)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    uint64_t word = HF_LOAD(entry->word);

    if ((word & HF_HOST_LIVE) == 0) {
        tend_record_locked(registry, host, entry, now);
        return false;
    }
    if (!entry->expired && hf_schedule_expiry(&registry->settings->policy, &entry->facts) <= now) {
        entry->expired = true;
        hf_host_publish_locked(registry, host, 0, 0);
    }
    if (entry->facts.due_ms > now) {
        plan_locked(registry, host);
        return false;
    }
    if ((word & HF_HOST_REFERENCES) == 0 && tend_idle_locked(registry, host, entry, now))
        return false;
    if ((word & HF_HOST_ASLEEP) != 0 || !hf_settings_asks(registry->settings)) {
        entry->facts.due_ms = HF_NEVER;
        plan_locked(registry, host);
        return false;
    }
    start_job_locked(registry, host, now, job);
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

/* ---- completions ---- */

static void succeed_locked(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_document *document, int64_t now, uint32_t jitter)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), job->host);
    uint64_t word = HF_LOAD(entry->word);

    entry->facts.failures = 0;
    entry->facts.not_before_ms = 0;
    entry->facts.due_ms = now;
    if ((word & HF_HOST_LIVE) == 0 || (word & HF_HOST_GENERATION) != job->generation)
        return; /* asked for an earlier life: this one, if there is one, asks for itself */
    entry->sent = document->sent;
    entry->on = document->on;
    entry->expired = false;
    entry->facts.fetched_ms = now;
    entry->facts.ttl_ms = hf_schedule_ttl_ms(&registry->settings->policy, document->ttl_seconds);
    entry->facts.due_ms = hf_schedule_refresh(now, entry->facts.ttl_ms, jitter);
    hf_host_publish_locked(registry, job->host, document->sent, document->on);
}

static void fail_locked(struct hf_host_entry *entry, int64_t now, uint32_t jitter)
{
    if (entry->facts.failures < UINT32_MAX)
        entry->facts.failures++;
    entry->failed++;
    entry->facts.not_before_ms = hf_schedule_backoff(now, entry->facts.failures, jitter);
    entry->facts.due_ms = entry->facts.not_before_ms;
}

static bool is_worth_a_report(struct hf_facts *facts, int64_t now)
{
    if (facts->logged_ms != HF_NEVER && now - facts->logged_ms < HF_REPORT_INTERVAL_MS)
        return false;
    facts->logged_ms = now;
    return true;
}

static bool is_held(struct hf_host_entry *entry)
{
    uint64_t word = HF_LOAD(entry->word);

    return (word & HF_HOST_LIVE) != 0 && (word & HF_HOST_REFERENCES) != 0;
}

struct hf_completed hf_registry_complete(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_completion *completion, int64_t now, uint32_t jitter)
{
    struct hf_completed completed = {.counted = false};
    struct hf_host_entry *entry;

    hf_registry_lock(registry);
    entry = hf_block_host(hf_registry_block(registry), job->host);
    if (entry->bound && entry->facts.in_flight && entry->attempt == job->attempt) {
        completed.counted = true;
        completed.failures = entry->facts.failures;
        entry->facts.in_flight = false;
        entry->facts.outcome = (uint8_t)completion->outcome;
        entry->facts.http_status = completion->http_status;
        if (completion->outcome == HF_OUTCOME_OK) {
            succeed_locked(registry, job, &completion->document, now, jitter);
            completed.report = completed.failures > 0 && entry->facts.logged_ms != HF_NEVER;
            if (completed.report)
                entry->facts.logged_ms = HF_NEVER;
        } else {
            fail_locked(entry, now, jitter);
            completed.failures = entry->facts.failures;
            completed.report = is_worth_a_report(&entry->facts, now);
        }
        completed.has_values = entry->facts.fetched_ms != HF_NEVER;
        completed.next_ms = is_held(entry) ? entry->facts.due_ms - now : -1;
        plan_locked(registry, job->host);
    }
    hf_registry_unlock(registry);
    return completed;
}

/* ---- asking ahead of the plan ---- */

#define REFRESH_PAUSE_MS 1000 /* one request per second and host, whoever asks for it */

static enum hf_refresh_result refresh_locked(
    struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);

    if (entry->facts.in_flight)
        return HF_REFRESH_IN_FLIGHT;
    if (entry->facts.asked_ms != HF_NEVER && now - entry->facts.asked_ms < REFRESH_PAUSE_MS)
        return HF_REFRESH_TOO_SOON;
    atomic_fetch_and(&entry->word, ~HF_HOST_ASLEEP);
    entry->facts.due_ms = now;
    plan_locked(registry, host);
    return HF_REFRESH_PLANNED;
}

enum hf_refresh_result hf_registry_refresh(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now)
{
    enum hf_refresh_result best = HF_REFRESH_UNKNOWN;
    struct hf_block *block;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    for (uint32_t host = 0; host < block->slots_used; host++) {
        struct hf_host_entry *entry = hf_block_host(block, host);
        uint64_t word = HF_LOAD(entry->word);
        if (!entry->bound || (word & HF_HOST_LIVE) == 0 || (word & HF_HOST_REFERENCES) == 0 ||
            (key != NULL && !hf_upstream_same_host(&entry->key, key)))
            continue;
        enum hf_refresh_result result = refresh_locked(registry, host, now);
        if (result < best)
            best = result;
    }
    hf_registry_unlock(registry);
    return best;
}

/* ---- other settings ---- */

static void apply_to_host_locked(struct hf_registry *registry, uint32_t host, int64_t now)
{
    struct hf_host_entry *entry = hf_block_host(hf_registry_block(registry), host);
    bool awake = registry->settings->prefetch;
    uint64_t word = awake ? atomic_fetch_and(&entry->word, ~HF_HOST_ASLEEP) & ~HF_HOST_ASLEEP
                          : HF_LOAD(entry->word);
    bool wanted = (word & HF_HOST_LIVE) != 0 && (word & (HF_HOST_ASLEEP | HF_HOST_PARKED)) == 0;

    entry->expired = hf_schedule_expiry(&registry->settings->policy, &entry->facts) <= now;
    hf_host_publish_locked(
        registry, host, entry->expired ? 0 : entry->sent, entry->expired ? 0 : entry->on);
    if (entry->facts.in_flight)
        entry->facts.not_before_ms = hf_schedule_give_up(&entry->facts);
    else if (entry->facts.outcome ==
        HF_OUTCOME_REFUSED) { /* by us: no service has seen a request */
        entry->facts.not_before_ms = 0;
        entry->facts.due_ms = HF_NEVER;
    }
    if (wanted && (entry->facts.in_flight || entry->facts.due_ms == HF_NEVER))
        entry->facts.due_ms = hf_schedule_resume(&entry->facts, now);
    entry->facts.in_flight = false;
    plan_locked(registry, host);
}

void hf_registry_apply(
    struct hf_registry *registry, const struct hf_settings *settings, int64_t now)
{
    struct hf_block *block;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    registry->settings = settings;
    HF_STORE(block->linger_ms, settings->policy.linger_ms);
    HF_STORE(block->fallback, hf_settings_merge(settings, 0, 0));
    for (uint32_t host = 0; host < block->slots_used; host++) {
        if (hf_block_host(block, host)->bound)
            apply_to_host_locked(registry, host, now);
    }
    hf_registry_unlock(registry);
}

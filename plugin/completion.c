/* SPDX-License-Identifier: PostgreSQL
 *
 * completion.c: what the end of a request changes.
 *
 * It counts only if no later request was started for the slot (`attempt`). Its values land only in
 * the life it was started for (`generation`); its backoff belongs to the key and counts in any
 * life.
 *
 *     200, understood      its values and its ETag replace those at hand; failures end
 *     304 to our own ETag  the values at hand are fresh for the TTL of their 200; failures end
 *     304 to no ETag       while somebody holds the host, asked once more, at once; the second time
 *                          in a row, among failures, or to nobody, it is a failure like others
 *     401, 403, 404        a failure; asked again after 15 min, or when the token has changed
 *     429, 503, each with Retry-After
 *                          a failure; not before that time, and nobody may shorten it
 *     anything else        a failure: backoff
 *
 * No failure touches the values or their ETag.
 */
#include "plugin/block.h"
#include "plugin/describe.h"

#include <stdio.h>
#include <string.h>

void hf_host_tally_locked(struct hf_registry *registry, struct hf_host_entry *entry, int64_t now)
{
    struct hf_block *block = hf_registry_block(registry);
    enum hf_state state = hf_schedule_state(&registry->settings->policy, &entry->facts, now);

    if ((HF_LOAD(entry->word) & HF_HOST_LIVE) == 0)
        return; /* it has left meanwhile: nobody is answered anything */
    hf_describe_tally(
        hf_block_rules(block), state, hf_host_values(entry)->sent, block->totals.published);
}

static bool is_of_this_life(struct hf_host_entry *entry, const struct hf_job *job)
{
    uint64_t word = HF_LOAD(entry->word);

    return (word & HF_HOST_LIVE) != 0 && (word & HF_HOST_GENERATION) == job->generation;
}

static void take_values(struct hf_registry *registry, struct hf_host_entry *entry,
    const struct hf_completion *completion)
{
    char *etag = entry->etag;

    etag[0] = '\0'; /* never that of other values, or half of one */
    HF_IN_THIS_ORDER();
    hf_host_set_values_locked(entry, completion->document.sent, completion->document.on);
    entry->facts.ttl_ms =
        hf_schedule_ttl_ms(&registry->settings->policy, completion->document.ttl_seconds);
    if (completion->etag[0] != '\0')
        snprintf(etag + 1, sizeof(entry->etag) - 1, "%s", completion->etag + 1);
    HF_IN_THIS_ORDER();
    etag[0] = completion->etag[0];
}

static void succeed_locked(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_completion *completion, int64_t now, uint32_t jitter)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, job->host);

    entry->facts.failures = 0;
    entry->facts.not_before_ms = entry->facts.retry_at_ms = 0;
    entry->facts.due_ms = now;
    if (completion->http_status == 304) {
        entry->not_modified++;
        block->totals.not_modified++;
    }
    if (!is_of_this_life(entry, job))
        return; /* asked for an earlier life: this one, if there is one, asks for itself */
    if (completion->http_status != 304)
        take_values(registry, entry, completion);
    entry->expired = false;
    entry->facts.fetched_ms = now;
    entry->facts.due_ms = hf_schedule_refresh(now, entry->facts.ttl_ms, jitter);
    hf_host_publish_locked(registry, job->host);
}

static bool is_refusal(const struct hf_completion *completion)
{
    uint16_t status = completion->http_status;

    return completion->outcome == HF_OUTCOME_HTTP &&
        (status == 401 || status == 403 || status == 404);
}

static bool has_retry_after(const struct hf_completion *completion)
{
    return completion->outcome == HF_OUTCOME_HTTP && completion->retry_after_ms > 0 &&
        (completion->http_status == 429 || completion->http_status == 503);
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void fail_locked(struct hf_registry *registry, struct hf_host_entry *entry,
    const struct hf_completion *completion, int64_t now, uint32_t jitter)
{
    struct hf_facts *facts = &entry->facts;

    if (facts->failures < UINT32_MAX)
        facts->failures++;
    entry->failed++;
    facts->not_before_ms = hf_schedule_backoff(now, facts->failures, jitter);
    if (is_refusal(completion))
        facts->not_before_ms = hf_schedule_refusal(now, jitter);
    facts->retry_at_ms = 0;
    if (has_retry_after(completion)) {
        facts->retry_at_ms = hf_schedule_retry_floor(now, completion->retry_after_ms);
        facts->not_before_ms = later_of(
            facts->not_before_ms, hf_schedule_retry_after(now, completion->retry_after_ms, jitter));
    }
    facts->due_ms = facts->not_before_ms;
    if (hf_host_wants_probe(registry, entry))
        entry->probe_ms = now;
}

static bool is_worth_a_report(struct hf_facts *facts, int64_t now)
{
    if (facts->logged_ms != HF_NEVER && now - facts->logged_ms < HF_REPORT_INTERVAL_MS)
        return false;
    facts->logged_ms = now;
    return true;
}

static bool is_held(struct hf_block *block, uint32_t host)
{
    return (HF_LOAD(hf_block_host(block, host)->word) & HF_HOST_LIVE) != 0 &&
        hf_host_is_held_locked(block, host);
}

/* Facts about the request itself, whatever it changes. */
static void note_end(
    struct hf_block *block, struct hf_host_entry *entry, const struct hf_completion *completion)
{
    bool nothing_sent =
        completion->outcome == HF_OUTCOME_TOKEN || completion->outcome == HF_OUTCOME_REFUSED;

    entry->lost = false;
    entry->facts.outcome = (uint8_t)completion->outcome;
    entry->facts.http_status = completion->http_status;
    entry->token_mark = completion->token_mark;
    if (nothing_sent) {
        entry->requests--;
        entry->facts.asked_ms = HF_NEVER;
    }
    snprintf(entry->message, sizeof(entry->message), "%s", completion->message);
    block->totals.requests[completion->outcome]++;
}

/* A 304 that came although nothing was asked that it could answer. */
static bool is_useless_304(const struct hf_completion *completion)
{
    return completion->outcome == HF_OUTCOME_HTTP && completion->http_status == 304;
}

static void end_locked(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_completion *completion, int64_t now, uint32_t jitter,
    struct hf_completed *completed)
{
    struct hf_block *block = hf_registry_block(registry);
    struct hf_host_entry *entry = hf_block_host(block, job->host);
    bool once_more = is_useless_304(completion) && !entry->asked_twice &&
        entry->facts.failures == 0 && is_held(block, job->host);

    note_end(block, entry, completion);
    entry->asked_twice = is_useless_304(completion);
    completed->failures = entry->facts.failures;
    if (completion->outcome == HF_OUTCOME_OK) {
        succeed_locked(registry, job, completion, now, jitter);
        completed->report = completed->failures > 0 && entry->facts.logged_ms != HF_NEVER;
        if (completed->report)
            entry->facts.logged_ms = HF_NEVER;
    } else if (once_more) {
        entry->etag[0] = '\0';
        entry->facts.due_ms = now;
        /* For the next life, should this one end before it is asked. */
        entry->facts.not_before_ms = hf_schedule_backoff(now, 1, jitter);
    } else {
        fail_locked(registry, entry, completion, now, jitter);
        completed->failures = entry->facts.failures;
        completed->report = is_worth_a_report(&entry->facts, now);
    }
}

struct hf_completed hf_registry_complete(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_completion *completion, int64_t now, uint32_t jitter)
{
    struct hf_completed completed = {.counted = false};
    struct hf_host_entry *entry;
    struct hf_block *block;

    hf_registry_lock(registry);
    block = hf_registry_block(registry);
    entry = hf_block_host(block, job->host);
    if (entry->bound && entry->facts.in_flight && entry->attempt == job->attempt) {
        completed.counted = true;
        end_locked(registry, job, completion, now, jitter, &completed);
        hf_host_tally_locked(registry, entry, now);
        completed.has_values = entry->facts.fetched_ms != HF_NEVER;
        completed.next_ms = is_held(block, job->host) ? entry->facts.due_ms - now : -1;
        hf_host_plan_locked(registry, job->host);
        HF_IN_THIS_ORDER();
        entry->facts.in_flight = false;
    }
    hf_registry_unlock(registry);
    return completed;
}

void hf_registry_probed(
    struct hf_registry *registry, const struct hf_job *job, uint64_t token_mark, int64_t now)
{
    struct hf_host_entry *entry;

    hf_registry_lock(registry);
    entry = hf_block_host(hf_registry_block(registry), job->host);
    if (entry->bound && !entry->facts.in_flight && entry->attempt == job->attempt &&
        is_of_this_life(entry, job) && token_mark != 0 && entry->token_mark != token_mark) {
        entry->facts.due_ms = hf_schedule_ask_again(&entry->facts, now);
        hf_host_plan_locked(registry, job->host);
    }
    hf_registry_unlock(registry);
}

uint64_t hf_registry_salt(struct hf_registry *registry)
{
    return HF_LOAD(hf_registry_block(registry)->base);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * fleet.c: one heap of times decides what happens next. Each proxy has a stretch of ids in it:
 *
 *     START     it starts (anew)
 *     WAKE      something is due, by its own registry
 *     FIRST...  the request in this slot ends; max_in_flight of them
 *
 * One thread, no lock.
 */
#include "tests/simulate/fleet.h"

#include "plugin/block.h"
#include "plugin/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096

enum { START, WAKE, FIRST };

struct slot {
    struct hf_job job;
    struct hf_service_answer answer;
    uint32_t next_free; /* index + 1 */
    bool busy;
};

struct proxy {
    struct hf_registry registry;
    void *memory; /* of the registry: block_bytes */
    uint64_t random;
    struct slot *slots; /* max_in_flight */
    uint32_t first_free, free_count; /* index + 1 */
    int64_t started_ms; /* -1: not yet */
};

struct fleet {
    const struct hf_fleet_options *options;
    const struct hf_scenario *scenario;
    struct hf_settings *settings;
    struct hf_lock lock;
    struct hf_upstream_key *keys;
    struct hf_service *service;
    struct hf_ledger *ledger;
    struct proxy *proxies;
    struct hf_heap heap;
    size_t block_bytes;
    uint32_t stride; /* ids of a proxy */
    uint64_t lives; /* so far */
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        abort();
    return memory;
}

static void nothing(void *arg)
{
    (void)arg;
}

static uint32_t number_of(const struct fleet *fleet, const struct proxy *proxy)
{
    return (uint32_t)(proxy - fleet->proxies);
}

static void plan(struct fleet *fleet, struct proxy *proxy, uint32_t what, int64_t when)
{
    hf_heap_set(&fleet->heap, number_of(fleet, proxy) * fleet->stride + what, when);
}

/* Hosts are acquired in order by an empty registry, so a host's slot is its number. */
static uint32_t pair_of(const struct fleet *fleet, const struct proxy *proxy, uint32_t host)
{
    return number_of(fleet, proxy) * fleet->options->hosts + host;
}

static struct hf_facts *facts_of(struct proxy *proxy, uint32_t host)
{
    return &hf_block_host(hf_registry_block(&proxy->registry), host)->facts;
}

/* ---- what the ledger is told ---- */

/* At a success, or at the end of a life: the values at hand were stale, or unknown, until now. */
static void note_span(struct fleet *fleet, struct proxy *proxy, uint32_t host, int64_t now)
{
    const struct hf_facts *facts = facts_of(proxy, host);
    uint32_t pair = pair_of(fleet, proxy, host);

    if (facts->fetched_ms == HF_NEVER)
        hf_ledger_span(fleet->ledger, HF_SPAN_UNKNOWN, pair, proxy->started_ms, now);
    else
        hf_ledger_span(fleet->ledger, HF_SPAN_STALE, pair, facts->fetched_ms + facts->ttl_ms, now);
}

static void note_request(
    struct fleet *fleet, struct proxy *proxy, const struct slot *slot, int64_t now)
{
    const struct hf_facts *facts = facts_of(proxy, slot->job.host);

    hf_ledger_request(fleet->ledger, slot->job.host, slot->answer.reply, now);
    if (facts->fetched_ms != HF_NEVER && facts->failures == 0)
        hf_ledger_interval(fleet->ledger, now - facts->fetched_ms);
}

static void note_end_of_life(struct fleet *fleet, struct proxy *proxy, int64_t now)
{
    for (uint32_t host = 0; host < fleet->options->hosts; host++) {
        struct hf_view view;

        note_span(fleet, proxy, host, now);
        if (hf_registry_view(&proxy->registry, host, now, &view))
            fleet->ledger->counted += view.requests;
    }
}

/* ---- one request ---- */

static void ask(struct fleet *fleet, struct proxy *proxy, const struct hf_job *job, int64_t now)
{
    uint32_t number = proxy->first_free - 1;
    struct slot *slot = &proxy->slots[number];

    proxy->first_free = slot->next_free;
    proxy->free_count--;
    slot->busy = true;
    slot->job = *job;
    slot->answer = hf_service_ask(fleet->service, job->host, now);
    note_request(fleet, proxy, slot, now);
    plan(fleet, proxy, FIRST + number, now + slot->answer.latency_ms);
}

static void give_back(struct proxy *proxy, uint32_t number)
{
    proxy->slots[number].busy = false;
    proxy->slots[number].next_free = proxy->first_free;
    proxy->first_free = number + 1;
    proxy->free_count++;
}

static struct hf_completion completion_of(
    const struct fleet *fleet, const struct hf_service_answer *answer)
{
    static const uint16_t statuses[HF_REPLIES] = {
        [HF_REPLY_200] = 200, [HF_REPLY_503] = 503, [HF_REPLY_429] = 429};
    struct hf_completion completion = {.outcome = HF_OUTCOME_HTTP,
        .http_status = statuses[answer->reply],
        .retry_after_ms = answer->retry_after_ms,
        .etag = "",
        .message = ""};

    if (answer->reply == HF_REPLY_REFUSED)
        completion.outcome = HF_OUTCOME_CONNECT;
    if (answer->reply == HF_REPLY_200) {
        completion.outcome = HF_OUTCOME_OK;
        completion.document.sent = completion.document.on = 1;
        completion.document.ttl_seconds = fleet->options->ttl_s;
    }
    return completion;
}

static uint32_t draw(const struct fleet *fleet, struct proxy *proxy)
{
    int64_t jitter = fleet->options->jitter;

    return jitter == HF_JITTER_RANDOM ? hf_random_draw(&proxy->random) : (uint32_t)jitter;
}

static void end(struct fleet *fleet, struct proxy *proxy, uint32_t number, int64_t now)
{
    struct slot *slot = &proxy->slots[number];
    struct hf_completion completion = completion_of(fleet, &slot->answer);

    if (slot->answer.reply == HF_REPLY_200)
        note_span(fleet, proxy, slot->job.host, now);
    (void)hf_registry_complete(&proxy->registry, &slot->job, &completion, now, draw(fleet, proxy));
    plan(fleet, proxy, FIRST + number, HF_NEVER);
    give_back(proxy, number);
}

/* ---- a proxy ---- */

/* What a turn of the refresher does after it has taken note of what ended. */
static void start_due(struct fleet *fleet, struct proxy *proxy, int64_t now)
{
    struct hf_job jobs[HF_TAKE_AT_ONCE];
    size_t count;

    while ((count = hf_registry_take_some(&proxy->registry, now, jobs, proxy->free_count)) > 0) {
        for (size_t i = 0; i < count; i++)
            ask(fleet, proxy, &jobs[i], now);
    }
    plan(fleet, proxy, WAKE,
        proxy->free_count == 0 ? HF_NEVER : hf_registry_next_due(&proxy->registry));
}

/* What was in flight is given up, as by fini. */
static void stop(struct fleet *fleet, struct proxy *proxy, int64_t now)
{
    note_end_of_life(fleet, proxy, now);
    for (uint32_t number = 0; number < fleet->settings->max_in_flight; number++) {
        if (!proxy->slots[number].busy)
            continue;
        plan(fleet, proxy, FIRST + number, HF_NEVER);
        give_back(proxy, number);
    }
    memset(proxy->memory, 0, fleet->block_bytes);
}

static void start(struct fleet *fleet, struct proxy *proxy, int64_t now)
{
    if (proxy->started_ms >= 0)
        stop(fleet, proxy, now);
    proxy->started_ms = now;
    proxy->random = hf_random_state(fleet->options->seed, fleet->lives++);
    hf_registry_open(&proxy->registry, proxy->memory, fleet->settings, (uint32_t)proxy->random);
    for (uint32_t host = 0; host < fleet->options->hosts; host++) {
        if (hf_registry_acquire(&proxy->registry, &fleet->keys[host], now).handle == 0)
            abort();
    }
    plan(fleet, proxy, START,
        hf_scenario_next_start(
            fleet->scenario, number_of(fleet, proxy), fleet->options->proxies, now));
    start_due(fleet, proxy, now);
}

static void prepare(struct fleet *fleet, struct proxy *proxy)
{
    uint32_t slots = fleet->settings->max_in_flight;

    proxy->registry.lock = &fleet->lock;
    proxy->started_ms = -1;
    proxy->slots = allocate(slots, sizeof(*proxy->slots));
    for (uint32_t number = 0; number < slots; number++)
        give_back(proxy, number);
    proxy->memory = aligned_alloc(PAGE, fleet->block_bytes);
    if (proxy->memory == NULL)
        abort();
    memset(proxy->memory, 0, fleet->block_bytes);
    plan(fleet, proxy, START,
        hf_scenario_next_start(
            fleet->scenario, number_of(fleet, proxy), fleet->options->proxies, -1));
}

/* ---- the fleet ---- */

/* Production's settings, but for the sizes of tables. */
static struct hf_settings *make_settings(uint32_t hosts)
{
    struct hf_settings *settings = hf_settings_create();
    char error[512] = "out of memory", count[16];

    snprintf(count, sizeof(count), "%u", hosts);
    if (settings == NULL ||
        hf_settings_set(settings, "max_hosts", count, error, sizeof(error)) != 0 ||
        hf_settings_set(settings, "max_connections", count, error, sizeof(error)) != 0 ||
        hf_settings_finish(settings, error, sizeof(error)) != 0) {
        fprintf(stderr, "simulate: %s\n", error);
        abort();
    }
    return settings;
}

static void open_fleet(struct fleet *fleet)
{
    const struct hf_fleet_options *options = fleet->options;
    size_t ids;

    fleet->settings = make_settings(options->hosts);
    fleet->block_bytes = (hf_registry_bytes(fleet->settings) + PAGE - 1) / PAGE * PAGE;
    fleet->lock = (struct hf_lock){nothing, nothing, NULL};
    fleet->service = hf_service_create(fleet->scenario, options->hosts, options->seed);
    fleet->ledger = hf_ledger_create(options->proxies, options->hosts, fleet->scenario->length_s);
    fleet->keys = allocate(options->hosts, sizeof(*fleet->keys));
    for (uint32_t host = 0; host < options->hosts; host++) {
        char name[32];
        snprintf(name, sizeof(name), "h%u.example", host);
        if (hf_upstream_parse(&fleet->keys[host], name, 0, NULL) != NULL)
            abort();
    }
    fleet->stride = FIRST + fleet->settings->max_in_flight;
    ids = (size_t)options->proxies * fleet->stride;
    fleet->heap.count = allocate(1, sizeof(*fleet->heap.count));
    fleet->heap.items = allocate(ids, sizeof(*fleet->heap.items));
    fleet->heap.positions = allocate(ids, sizeof(*fleet->heap.positions));
    fleet->proxies = allocate(options->proxies, sizeof(*fleet->proxies));
    for (uint32_t i = 0; i < options->proxies; i++)
        prepare(fleet, &fleet->proxies[i]);
}

static void close_fleet(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->options->proxies; i++) {
        struct proxy *proxy = &fleet->proxies[i];

        if (proxy->started_ms >= 0)
            note_end_of_life(fleet, proxy, fleet->scenario->length_s * 1000);
        free(proxy->memory);
        free(proxy->slots);
    }
    free(fleet->proxies);
    free(fleet->heap.positions);
    free(fleet->heap.items);
    free(fleet->heap.count);
    free(fleet->keys);
    hf_service_destroy(fleet->service);
    hf_settings_destroy(fleet->settings);
}

static void happen(struct fleet *fleet, struct hf_heap_item item)
{
    struct proxy *proxy = &fleet->proxies[item.id / fleet->stride];
    uint32_t what = item.id % fleet->stride;

    if (what == START) {
        start(fleet, proxy, item.when);
        return;
    }
    if (what >= FIRST)
        end(fleet, proxy, what - FIRST, item.when);
    start_due(fleet, proxy, item.when);
}

struct hf_ledger *hf_fleet_run(
    const struct hf_fleet_options *options, const struct hf_scenario *scenario)
{
    struct fleet fleet = {.options = options, .scenario = scenario};
    const struct hf_heap_item *first;

    open_fleet(&fleet);
    while ((first = hf_heap_first(&fleet.heap)) != NULL && first->when < scenario->length_s * 1000)
        happen(&fleet, *first);
    close_fleet(&fleet);
    return fleet.ledger;
}

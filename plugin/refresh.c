/* SPDX-License-Identifier: PostgreSQL
 *
 * refresh.c: one slot per request in flight (max_in_flight of them). A slot is free, or it belongs
 * to a job from take_due until the request's end; then it is free again. All of it belongs to the
 * thread that drives the turns, so there is nothing to lock here; the registry locks itself.
 */
#include "plugin/refresh.h"

#include "plugin/clock.h"
#include "plugin/decode.h"
#include "plugin/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define TAKE_AT_ONCE 8 /* jobs per look into the registry: they lie on the stack */

struct slot {
    struct hf_job job;
    struct slot *next_free;
};

struct hf_refresher {
    struct hf_registry *registry;
    const struct hf_settings *settings;
    const struct hf_log *log;
    struct hf_fetcher *fetcher;
    uint64_t random;
    struct slot *free;
    uint32_t free_count;
    struct slot slots[]; /* max_in_flight */
};

/* xorshift64*: jitter needs no better source. */
static uint32_t draw(struct hf_refresher *refresher)
{
    refresher->random ^= refresher->random >> 12;
    refresher->random ^= refresher->random << 25;
    refresher->random ^= refresher->random >> 27;
    return (uint32_t)(refresher->random * 2685821657736338717u >> 32);
}

/* ---- logging what became of a request ---- */

/* "next try in 4.2 s", or what there is to say instead. */
static const char *say_next(const struct hf_completed *completed, char *text, size_t size)
{
    if (completed->next_ms < 0)
        return "asked again when a connection needs it";
    snprintf(text, size, "asked again in %.1f s", (double)completed->next_ms / 1000);
    return text;
}

static void log_failure(struct hf_refresher *refresher, const struct hf_job *job,
    enum hf_outcome outcome, const char *message, const struct hf_completed *completed)
{
    char origin[HF_ORIGIN_MAX], next[64];

    if (!completed->report)
        return;
    hf_upstream_origin(&job->key, origin);
    hf_log_line(refresher->log, HF_WARNING,
        "asking for the flags of %s failed (%s): %s; %s stay; %s (failure %u in a row; reported at "
        "most once a minute)",
        origin, hf_outcome_name(outcome), message,
        completed->has_values ? "the last known values" : "the defaults",
        say_next(completed, next, sizeof(next)), completed->failures);
}

static void log_success(struct hf_refresher *refresher, const struct hf_job *job,
    const struct hf_document *document, const struct hf_completed *completed)
{
    char origin[HF_ORIGIN_MAX], next[64];

    hf_upstream_origin(&job->key, origin);
    if (completed->report)
        hf_log_line(refresher->log, HF_INFO, "the flags of %s are known again after %u failure(s)",
            origin, completed->failures);
    hf_log_line(refresher->log, HF_DEBUG,
        "the service of %s sent %d of our %u flag(s), %d of them on; %s", origin,
        __builtin_popcountll(document->sent), refresher->settings->flag_count,
        __builtin_popcountll(document->on), say_next(completed, next, sizeof(next)));
}

/* ---- one request ---- */

static void complete(struct hf_refresher *refresher, struct slot *slot,
    const struct hf_completion *completion, const char *message)
{
    struct hf_completed completed = hf_registry_complete(
        refresher->registry, &slot->job, completion, hf_clock_ms(), draw(refresher));

    if (completed.counted && completion->outcome != HF_OUTCOME_OK)
        log_failure(refresher, &slot->job, completion->outcome, message, &completed);
    else if (completed.counted)
        log_success(refresher, &slot->job, &completion->document, &completed);
    slot->next_free = refresher->free;
    refresher->free = slot;
    refresher->free_count++;
}

static void on_fetched(void *arg, const struct hf_fetch_result *result)
{
    struct hf_refresher *refresher = arg;
    const struct hf_settings *settings = refresher->settings;
    struct hf_completion completion = {
        .outcome = result->outcome, .http_status = result->http_status};
    const char *message = result->message;

    if (result->outcome == HF_OUTCOME_OK) {
        const char *refused = hf_decode(settings->protocol, settings->flags, settings->flag_count,
            result->body, result->length, &completion.document);
        if (refused != NULL) {
            completion.outcome = HF_OUTCOME_PARSE;
            message = refused;
        }
    }
    complete(refresher, result->tag, &completion, message);
}

/* Plain http goes where allow_http lets it go. */
static const char *refuse_http(enum hf_allow_http allow, const struct hf_upstream_key *asked)
{
    if (asked->scheme == HF_HTTPS)
        return NULL;
    switch (allow) {
    case HF_HTTP_OFF:
        return "its flag service has a plain http address, and the setting allow_http is off "
               "(expected https, or allow_http = loopback or any)";
    case HF_HTTP_LOOPBACK:
        return hf_upstream_is_loopback(asked)
            ? NULL
            : "its flag service has a plain http address that is no literal loopback address, and "
              "the setting allow_http is loopback (expected https, or allow_http = any)";
    case HF_HTTP_ANY:
        return NULL;
    }
    return NULL;
}

static const char *org_id_header(
    const struct hf_settings *settings, const struct hf_upstream_key *key, char *line, size_t size)
{
    if (key->org_id[0] == '\0' || settings->protocol->org_id_header == NULL)
        return NULL;
    snprintf(line, size, "%s: %s", settings->protocol->org_id_header, key->org_id);
    return line;
}

static void ask(struct hf_refresher *refresher, struct slot *slot)
{
    const struct hf_settings *settings = refresher->settings;
    struct hf_target target = {settings->protocol, settings->service, settings->endpoint,
        settings->client, settings->client_version, settings->flags, settings->flag_count};
    struct hf_completion failed = {.outcome = HF_OUTCOME_REFUSED};
    struct hf_upstream_key asked;
    char line[128], *url = NULL;
    const char *refused = hf_protocol_url(&target, &slot->job.key, &asked, &url);

    if (refused == NULL)
        refused = refuse_http(settings->allow_http, &asked);
    if (refused == NULL) {
        struct hf_fetch_request request = {
            .url = url,
            .header = org_id_header(settings, &slot->job.key, line, sizeof(line)),
            .direct = hf_upstream_is_loopback(&asked),
            .tag = slot,
        };
        if (hf_fetcher_start(refresher->fetcher, &request) != 0) {
            failed.outcome = HF_OUTCOME_OTHER;
            refused = "out of memory";
        }
    }
    if (refused != NULL)
        complete(refresher, slot, &failed, refused);
    free(url);
}

/* ---- the loop ---- */

static void start_due(struct hf_refresher *refresher)
{
    struct hf_job jobs[TAKE_AT_ONCE];
    size_t most, count;

    do {
        most = refresher->free_count < TAKE_AT_ONCE ? refresher->free_count : TAKE_AT_ONCE;
        count = hf_registry_take_due(refresher->registry, hf_clock_ms(), jobs, most);
        for (size_t i = 0; i < count; i++) {
            struct slot *slot = refresher->free;
            refresher->free = slot->next_free;
            refresher->free_count--;
            slot->job = jobs[i];
            ask(refresher, slot);
        }
    } while (count > 0 && count == most);
}

/* How long there is nothing to start. With all slots in use it is an end that is awaited. */
static int64_t until_due(struct hf_refresher *refresher, int64_t most_ms)
{
    int64_t due = hf_registry_next_due(refresher->registry), wait_ms;

    if (refresher->free_count == 0 || due == HF_NEVER)
        return most_ms;
    wait_ms = due - hf_clock_ms();
    return wait_ms < 0 ? 0 : wait_ms < most_ms ? wait_ms : most_ms;
}

/* What has ended is taken note of before anything is started: a turn that comes late must not take
 * requests for lost whose answers are waiting. */
void hf_refresher_turn(struct hf_refresher *refresher, int64_t most_ms)
{
    hf_fetcher_run(refresher->fetcher, until_due(refresher, most_ms));
    start_due(refresher);
}

void hf_refresher_kick(struct hf_refresher *refresher)
{
    hf_fetcher_wake(refresher->fetcher);
}

/* ---- life ---- */

/* Proxies that start at the same moment must not draw the same jitter. Never 0. */
static uint64_t random_seed(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = (uint64_t)hf_clock_ms() << 32 | (uint32_t)getpid();
    return seed | 1;
}

struct hf_refresher *hf_refresher_create(struct hf_registry *registry,
    const struct hf_settings *settings, const struct hf_log *log, const char *user_agent)
{
    struct hf_fetch_options options = {
        .connect_timeout_ms = settings->connect_timeout_ms,
        .request_timeout_ms = settings->request_timeout_ms,
        .max_response_bytes = settings->max_response_bytes,
        .ca_file = settings->ca_file,
        .user_agent = user_agent,
    };
    struct hf_refresher *refresher =
        calloc(1, sizeof(*refresher) + settings->max_in_flight * sizeof(struct slot));

    if (refresher == NULL)
        return NULL;
    refresher->registry = registry;
    refresher->settings = settings;
    refresher->log = log;
    refresher->random = random_seed();
    for (uint32_t i = 0; i < settings->max_in_flight; i++) {
        refresher->slots[i].next_free = refresher->free;
        refresher->free = &refresher->slots[i];
    }
    refresher->free_count = settings->max_in_flight;
    refresher->fetcher = hf_fetcher_create(&options, on_fetched, refresher);
    if (refresher->fetcher == NULL) {
        free(refresher);
        return NULL;
    }
    return refresher;
}

void hf_refresher_destroy(struct hf_refresher *refresher)
{
    if (refresher == NULL)
        return;
    hf_fetcher_destroy(refresher->fetcher);
    free(refresher);
}

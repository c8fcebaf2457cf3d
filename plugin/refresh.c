/* SPDX-License-Identifier: PostgreSQL
 *
 * refresh.c: one slot per request in flight (max_in_flight of them). A slot is free, or it belongs
 * to a job from take_due until the request's end; then it is free again. All of it belongs to the
 * thread that drives the turns, so there is nothing to lock here; the registry locks itself.
 */
#include "plugin/refresh.h"

#include "plugin/clock.h"
#include "plugin/random.h"
#include "plugin/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct slot {
    struct hf_request request;
    struct slot *next_free;
};

struct hf_refresher {
    struct hf_refresher_parts parts;
    struct hf_requester requester;
    uint64_t random;
    struct slot *free;
    uint32_t free_count;
    struct slot slots[]; /* max_in_flight */
};

/* ---- logging what became of a request ---- */

#define NEXT_MAX 64

/* "asked again in 4.2 s", or what there is to say instead. Gives text. */
static const char *say_next(const struct hf_completed *completed, char text[NEXT_MAX])
{
    if (completed->next_ms < 0)
        snprintf(text, NEXT_MAX, "asked again when a connection needs it");
    else
        snprintf(text, NEXT_MAX, "asked again in %.1f s", (double)completed->next_ms / 1000);
    return text;
}

static void log_failure(struct hf_refresher *refresher, const struct hf_job *job,
    const struct hf_completion *completion, const struct hf_completed *completed)
{
    char origin[HF_ORIGIN_MAX], next[NEXT_MAX];

    if (!completed->report)
        return;
    hf_upstream_origin(&job->key, origin);
    hf_log_line(refresher->parts.log, HF_WARNING,
        "asking for the flags of %s failed (%s): %s; %s stay; %s (failure %u in a row; reported at "
        "most once a minute)",
        origin, hf_outcome_name(completion->outcome), completion->message,
        completed->has_values ? "the last known values" : "the defaults", say_next(completed, next),
        completed->failures);
}

static void log_success(struct hf_refresher *refresher, const struct hf_job *job,
    const struct hf_completion *completion, const struct hf_completed *completed)
{
    char origin[HF_ORIGIN_MAX], next[NEXT_MAX];

    hf_upstream_origin(&job->key, origin);
    say_next(completed, next);
    if (completed->report)
        hf_log_line(refresher->parts.log, HF_INFO,
            "the flags of %s are known again after %u failure(s)", origin, completed->failures);
    if (completion->http_status == 304)
        hf_log_line(refresher->parts.log, HF_DEBUG,
            "the service of %s says that nothing has changed (304); %s", origin, next);
    else
        hf_log_line(refresher->parts.log, HF_DEBUG,
            "the service of %s sent %d of our %u flag(s), %d of them on; %s", origin,
            __builtin_popcountll(completion->document.sent), refresher->parts.settings->flag_count,
            __builtin_popcountll(completion->document.on), next);
}

/* ---- one request ---- */

static void complete(
    struct hf_refresher *refresher, struct slot *slot, const struct hf_completion *completion)
{
    const struct hf_job *job = &slot->request.job;
    struct hf_completed completed = hf_registry_complete(refresher->parts.registry, job, completion,
        hf_clock_ms(), hf_random_draw(&refresher->random));

    if (completed.counted && completion->outcome != HF_OUTCOME_OK)
        log_failure(refresher, job, completion, &completed);
    else if (completed.counted)
        log_success(refresher, job, completion, &completed);
    slot->next_free = refresher->free;
    refresher->free = slot;
    refresher->free_count++;
}

static void on_fetched(void *arg, const struct hf_fetch_result *result)
{
    struct hf_refresher *refresher = arg;
    struct slot *slot = result->tag;
    struct hf_completion completion;

    hf_request_end(&refresher->requester, &slot->request, result, hf_clock_wall_s(), &completion);
    complete(refresher, slot, &completion);
}

static void ask(struct hf_refresher *refresher, const struct hf_job *job)
{
    struct slot *slot = refresher->free;
    struct hf_completion completion;

    refresher->free = slot->next_free;
    refresher->free_count--;
    slot->request.job = *job;
    if (!hf_request_start(&refresher->requester, &slot->request, slot, &completion))
        complete(refresher, slot, &completion);
}

static void probe(struct hf_refresher *refresher, const struct hf_job *job)
{
    hf_registry_probed(refresher->parts.registry, job,
        hf_request_look_at_token(&refresher->requester, job->key.host), hf_clock_ms());
}

/* ---- the loop ---- */

static void start_due(struct hf_refresher *refresher)
{
    struct hf_job jobs[HF_TAKE_AT_ONCE];
    size_t count;

    while ((count = hf_registry_take_some(
                refresher->parts.registry, hf_clock_ms(), jobs, refresher->free_count)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (jobs[i].probe)
                probe(refresher, &jobs[i]);
            else
                ask(refresher, &jobs[i]);
        }
    }
}

/* How long there is nothing to start. With all slots in use it is an end that is awaited. */
int64_t hf_refresher_until_due(struct hf_refresher *refresher, int64_t most_ms)
{
    int64_t due = hf_registry_next_due(refresher->parts.registry), wait_ms;

    if (refresher->free_count == 0 || due == HF_NEVER)
        return most_ms;
    wait_ms = due - hf_clock_ms();
    return wait_ms < 0 ? 0 : wait_ms < most_ms ? wait_ms : most_ms;
}

/* What has ended is taken note of before anything is started: a turn that comes late must not take
 * requests for lost whose answers are waiting. */
void hf_refresher_turn(struct hf_refresher *refresher, int64_t most_ms)
{
    hf_fetcher_run(refresher->requester.fetcher, hf_refresher_until_due(refresher, most_ms));
    start_due(refresher);
}

bool hf_refresher_is_idle(const struct hf_refresher *refresher)
{
    return refresher->free_count == refresher->parts.settings->max_in_flight;
}

void hf_refresher_kick(struct hf_refresher *refresher)
{
    hf_fetcher_wake(refresher->requester.fetcher);
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

struct hf_refresher *hf_refresher_create(const struct hf_refresher_parts *parts)
{
    const struct hf_settings *settings = parts->settings;
    struct hf_fetch_options options = {
        .connect_timeout_ms = settings->connect_timeout_ms,
        .request_timeout_ms = settings->request_timeout_ms,
        .max_response_bytes = settings->max_response_bytes,
        .ca_file = settings->ca_file,
        .client_cert_file = settings->client_cert_file,
        .client_key_file = settings->client_key_file,
        .proxy = settings->proxy,
        .user_agent = parts->user_agent,
    };
    struct hf_refresher *refresher =
        calloc(1, sizeof(*refresher) + settings->max_in_flight * sizeof(struct slot));

    if (refresher == NULL)
        return NULL;
    refresher->parts = *parts;
    refresher->random = random_seed();
    for (uint32_t i = 0; i < settings->max_in_flight; i++) {
        refresher->slots[i].next_free = refresher->free;
        refresher->free = &refresher->slots[i];
    }
    refresher->free_count = settings->max_in_flight;
    refresher->requester.settings = settings;
    refresher->requester.giver = parts->giver;
    refresher->requester.salt = hf_registry_salt(parts->registry);
    refresher->requester.fetcher = hf_fetcher_create(&options, on_fetched, refresher);
    if (refresher->requester.fetcher == NULL) {
        free(refresher);
        return NULL;
    }
    return refresher;
}

void hf_refresher_destroy(struct hf_refresher *refresher)
{
    if (refresher == NULL)
        return;
    hf_fetcher_destroy(refresher->requester.fetcher);
    free(refresher);
}

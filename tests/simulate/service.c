/* SPDX-License-Identifier: PostgreSQL
 *
 * service.c: each service has a bucket of permits for the time in which it limits its rate. Permits
 * are counted in thousandths, so that each millisecond adds a whole number.
 */
#include "tests/simulate/service.h"

#include "plugin/random.h"

#include <stdlib.h>

#define LATENCY_LEAST_MS 20
#define LATENCY_MOST_MS 80
#define REFUSED_MS 1
#define BURST_S 10 /* a full bucket holds the permits of so many seconds */
#define PERMIT 1000

struct bucket {
    int64_t filled_ms, content;
};

struct hf_service {
    const struct hf_scenario *scenario;
    uint64_t random;
    struct bucket buckets[];
};

/* splitmix64: neighbouring numbers give states that have nothing in common. */
uint64_t hf_random_state(uint64_t seed, uint64_t number)
{
    uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) | 1;
}

struct hf_service *hf_service_create(
    const struct hf_scenario *scenario, uint32_t hosts, uint64_t seed)
{
    struct hf_service *service = calloc(1, sizeof(*service) + hosts * sizeof(struct bucket));

    if (service == NULL)
        abort();
    service->scenario = scenario;
    service->random = hf_random_state(seed, UINT64_MAX - 1);
    return service;
}

void hf_service_destroy(struct hf_service *service)
{
    free(service);
}

/* A bucket that was not looked at for long is full. */
static bool take_permit(struct bucket *bucket, int64_t per_second, int64_t now)
{
    int64_t most = per_second * BURST_S * PERMIT;

    bucket->content += (now - bucket->filled_ms) * per_second;
    if (bucket->content > most)
        bucket->content = most;
    bucket->filled_ms = now;
    if (bucket->content < PERMIT)
        return false;
    bucket->content -= PERMIT;
    return true;
}

static enum hf_reply reply_to(
    struct hf_service *service, const struct hf_event *trouble, uint32_t host, int64_t now)
{
    if (trouble == NULL)
        return HF_REPLY_200;
    if (trouble->kind == HF_EVENT_REFUSED)
        return HF_REPLY_REFUSED;
    if (trouble->kind == HF_EVENT_503)
        return HF_REPLY_503;
    return take_permit(&service->buckets[host], trouble->per_second, now) ? HF_REPLY_200
                                                                          : HF_REPLY_429;
}

struct hf_service_answer hf_service_ask(struct hf_service *service, uint32_t host, int64_t now)
{
    const struct hf_event *trouble = hf_scenario_trouble(service->scenario, now);
    struct hf_service_answer answer = {.reply = reply_to(service, trouble, host, now)};
    uint32_t choices = LATENCY_MOST_MS - LATENCY_LEAST_MS + 1;

    if (answer.reply == HF_REPLY_503 || answer.reply == HF_REPLY_429)
        answer.retry_after_ms = trouble->retry_after_s * 1000;
    answer.latency_ms = answer.reply == HF_REPLY_REFUSED
        ? REFUSED_MS
        : LATENCY_LEAST_MS + hf_random_draw(&service->random) % choices;
    return answer;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/simulate/scenario.h"

#include "plugin/terms.h"

#define AT(hour, minute) ((hour)*3600 + (minute)*60)
#define MINUTES(n) ((n)*60)

/* The waves that a common start makes need hours to go flat, so the calm comes late. The outage at
 * 22:00 is the worst case of an equal Retry-After: all proxies start in its first second, and are
 * told the same in that second. */
static const struct hf_event day[] = {
    {.what = "all start at once", .at_s = AT(0, 0), .kind = HF_EVENT_START},
    {.what = "calm", .at_s = AT(8, 0), .length_s = MINUTES(240), .kind = HF_EVENT_CALM},
    {.what = "connections refused",
        .at_s = AT(12, 0),
        .length_s = MINUTES(60),
        .kind = HF_EVENT_REFUSED},
    {.what = "503, Retry-After 120",
        .at_s = AT(15, 0),
        .length_s = MINUTES(30),
        .kind = HF_EVENT_503,
        .retry_after_s = 120},
    {.what = "429 above 1/s, Retry-After 60",
        .at_s = AT(17, 0),
        .length_s = MINUTES(60),
        .kind = HF_EVENT_429,
        .retry_after_s = 60,
        .per_second = 1},
    {.what = "rolling restart",
        .at_s = AT(19, 30),
        .length_s = MINUTES(60),
        .kind = HF_EVENT_START},
    {.what = "503, Retry-After 120, all restart",
        .at_s = AT(21, 45),
        .length_s = MINUTES(20),
        .kind = HF_EVENT_503,
        .retry_after_s = 120,
        .with_start = true},
    {.what = "all restart at once", .at_s = AT(23, 15), .kind = HF_EVENT_START},
};

const struct hf_scenario hf_scenario_day = {day, sizeof(day) / sizeof(day[0]), AT(24, 0)};

int64_t hf_scenario_next_start(
    const struct hf_scenario *scenario, uint32_t proxy, uint32_t proxies, int64_t after)
{
    for (size_t i = 0; i < scenario->count; i++) {
        const struct hf_event *event = &scenario->events[i];
        int64_t at = event->at_s * 1000;

        if (event->kind == HF_EVENT_START)
            at += event->length_s * 1000 * proxy / proxies;
        else if (!event->with_start)
            continue;
        if (at > after)
            return at;
    }
    return HF_NEVER;
}

static bool is_trouble(const struct hf_event *event)
{
    return event->kind != HF_EVENT_START && event->kind != HF_EVENT_CALM;
}

const struct hf_event *hf_scenario_trouble(const struct hf_scenario *scenario, int64_t now)
{
    for (size_t i = 0; i < scenario->count; i++) {
        const struct hf_event *event = &scenario->events[i];
        int64_t from = event->at_s * 1000;

        if (is_trouble(event) && now >= from && now < from + event->length_s * 1000)
            return event;
    }
    return NULL;
}

int64_t hf_scenario_aftermath_s(const struct hf_scenario *scenario, size_t event)
{
    return event + 1 < scenario->count ? scenario->events[event + 1].at_s : scenario->length_s;
}

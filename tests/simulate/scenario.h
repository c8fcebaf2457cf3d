/* SPDX-License-Identifier: PostgreSQL
 *
 * scenario.h: what happens in a simulated day: a table of events, each with its time and length.
 *
 * Pure functions over constant tables. Times count from the beginning of the day, in seconds or
 * milliseconds as their names say; `now` and `after` are milliseconds.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_SCENARIO_H
#define HOSTFLAGS_TESTS_SIMULATE_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hf_event_kind {
    HF_EVENT_START, /* every proxy starts (if it runs, anew): evenly over the length; 0: all in the
                       same millisecond */
    HF_EVENT_CALM, /* nothing happens: what is measured here is the steady state */
    HF_EVENT_REFUSED, /* the services refuse connections */
    HF_EVENT_503, /* they answer 503 with retry_after_s to everybody */
    HF_EVENT_429 /* each takes so many requests per_second (on average, and ten times as many at
                    once), and answers 429 with retry_after_s to the others */
};

struct hf_event {
    const char *what; /* for the table and the picture */
    int64_t at_s, length_s;
    enum hf_event_kind kind;
    int64_t retry_after_s, per_second;
    bool with_start; /* all proxies start (anew) in its first millisecond */
};

struct hf_scenario {
    const struct hf_event *events; /* in the order of their times, none within another */
    size_t count;
    int64_t length_s;
};

/* The day of `make simulate`. */
extern const struct hf_scenario hf_scenario_day;

/* When this one of so many proxies starts next after `after` (-1: first of all); HF_NEVER: never
 * more. */
int64_t hf_scenario_next_start(
    const struct hf_scenario *scenario, uint32_t proxy, uint32_t proxies, int64_t after);

/* What keeps the services from answering 200 at that time; NULL: nothing. */
const struct hf_event *hf_scenario_trouble(const struct hf_scenario *scenario, int64_t now);

/* When the event after this one begins, or the day ends: what is seen until then is its doing. */
int64_t hf_scenario_aftermath_s(const struct hf_scenario *scenario, size_t event);

#endif

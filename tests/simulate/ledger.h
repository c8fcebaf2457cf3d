/* SPDX-License-Identifier: PostgreSQL
 *
 * ledger.h: what is written down of a simulation, second by second: the requests that reach the
 * services, and how many pairs of proxy and host have no fresh value. All figures are made from it
 * (figures.h); nothing of it leads back into the simulation.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_LEDGER_H
#define HOSTFLAGS_TESTS_SIMULATE_LEDGER_H

#include "tests/simulate/service.h"

#include <stdio.h>

/* A time in which a pair's connections are not answered with a fresh value. */
enum hf_span { HF_SPAN_STALE, HF_SPAN_UNKNOWN, HF_SPANS };

struct hf_ledger {
    uint32_t proxies, hosts;
    int64_t length_s;
    uint16_t *by_host; /* requests [second * hosts + host] */
    uint32_t (*by_reply)[HF_REPLIES]; /* [second] */
    int32_t *changes[HF_SPANS]; /* [second]: pairs that were not so at the second before */
    int64_t *span_ms[HF_SPANS]; /* [pair]: in all */
    int64_t longest_ms[HF_SPANS]; /* one span of one pair */
    /* Between a success and the next request of the same pair, and of the same life of its proxy:
     * what the schedule promises. */
    int64_t shortest_interval_ms, longest_interval_ms;
    uint64_t requests; /* in all */
    uint64_t counted; /* the same, as the registries count them */
};

/* Memory that cannot be had ends the program. */
struct hf_ledger *hf_ledger_create(uint32_t proxies, uint32_t hosts, int64_t length_s);
void hf_ledger_destroy(struct hf_ledger *ledger);

/* Times are milliseconds from the beginning. */
void hf_ledger_request(struct hf_ledger *ledger, uint32_t host, enum hf_reply reply, int64_t now);
void hf_ledger_interval(struct hf_ledger *ledger, int64_t interval_ms);
void hf_ledger_span(
    struct hf_ledger *ledger, enum hf_span span, uint32_t pair, int64_t from, int64_t to);

/* Requests to all hosts in that second. */
uint32_t hf_ledger_second(const struct hf_ledger *ledger, int64_t second);

/* Pairs that are so at that moment, one after the other from second 0: *pairs is that of the second
 * before, and 0 at first. */
static inline int64_t hf_ledger_advance(
    const struct hf_ledger *ledger, enum hf_span span, int64_t second, int64_t *pairs)
{
    return *pairs += ledger->changes[span][second];
}

/* line_s seconds a line: requests, the busiest second of all hosts together and of any one host,
 * requests by what was answered, and how many pairs were stale or unknown at the beginning. */
void hf_ledger_write_csv(const struct hf_ledger *ledger, int64_t line_s, FILE *file);

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/simulate/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct hf_ledger *hf_ledger_create(uint32_t proxies, uint32_t hosts, int64_t length_s)
{
    struct hf_ledger *ledger = allocate(1, sizeof(*ledger));
    size_t seconds = (size_t)length_s;

    ledger->proxies = proxies;
    ledger->hosts = hosts;
    ledger->length_s = length_s;
    ledger->by_host = allocate(seconds * hosts, sizeof(*ledger->by_host));
    ledger->by_reply = allocate(seconds, sizeof(*ledger->by_reply));
    for (int span = 0; span < HF_SPANS; span++) {
        ledger->changes[span] = allocate(seconds + 1, sizeof(int32_t));
        ledger->span_ms[span] = allocate((size_t)proxies * hosts, sizeof(int64_t));
    }
    ledger->shortest_interval_ms = INT64_MAX;
    return ledger;
}

void hf_ledger_destroy(struct hf_ledger *ledger)
{
    for (int span = 0; span < HF_SPANS; span++) {
        free(ledger->changes[span]);
        free(ledger->span_ms[span]);
    }
    free(ledger->by_host);
    free(ledger->by_reply);
    free(ledger);
}

void hf_ledger_request(struct hf_ledger *ledger, uint32_t host, enum hf_reply reply, int64_t now)
{
    int64_t second = now / 1000;

    ledger->by_host[second * ledger->hosts + host]++;
    ledger->by_reply[second][reply]++;
    ledger->requests++;
}

void hf_ledger_interval(struct hf_ledger *ledger, int64_t interval_ms)
{
    if (interval_ms < ledger->shortest_interval_ms)
        ledger->shortest_interval_ms = interval_ms;
    if (interval_ms > ledger->longest_interval_ms)
        ledger->longest_interval_ms = interval_ms;
}

/* The first full second that is not before that time. */
static int64_t second_from(int64_t ms)
{
    return (ms + 999) / 1000;
}

void hf_ledger_span(
    struct hf_ledger *ledger, enum hf_span span, uint32_t pair, int64_t from, int64_t to)
{
    int64_t end = ledger->length_s * 1000;

    to = to < end ? to : end;
    if (from >= to)
        return;
    ledger->changes[span][second_from(from)]++;
    ledger->changes[span][second_from(to)]--;
    ledger->span_ms[span][pair] += to - from;
    if (to - from > ledger->longest_ms[span])
        ledger->longest_ms[span] = to - from;
}

uint32_t hf_ledger_second(const struct hf_ledger *ledger, int64_t second)
{
    uint32_t sum = 0;

    for (int reply = 0; reply < HF_REPLIES; reply++)
        sum += ledger->by_reply[second][reply];
    return sum;
}

/* ---- CSV ---- */

struct line {
    uint64_t requests, replies[HF_REPLIES];
    uint32_t busiest, busiest_of_one;
};

static void add_second(const struct hf_ledger *ledger, int64_t second, struct line *line)
{
    uint32_t sum = hf_ledger_second(ledger, second);

    line->requests += sum;
    if (sum > line->busiest)
        line->busiest = sum;
    for (int reply = 0; reply < HF_REPLIES; reply++)
        line->replies[reply] += ledger->by_reply[second][reply];
    for (uint32_t host = 0; host < ledger->hosts; host++) {
        uint16_t count = ledger->by_host[second * ledger->hosts + host];
        if (count > line->busiest_of_one)
            line->busiest_of_one = count;
    }
}

static void print_line(int64_t start, const struct line *line, const int64_t *pairs, FILE *file)
{
    fprintf(file, "%" PRId64 ",%" PRIu64 ",%u,%u", start, line->requests, line->busiest,
        line->busiest_of_one);
    for (int reply = 0; reply < HF_REPLIES; reply++)
        fprintf(file, ",%" PRIu64, line->replies[reply]);
    fprintf(file, ",%" PRId64 ",%" PRId64 "\n", pairs[HF_SPAN_STALE], pairs[HF_SPAN_UNKNOWN]);
}

void hf_ledger_write_csv(const struct hf_ledger *ledger, int64_t line_s, FILE *file)
{
    int64_t pairs[HF_SPANS] = {0, 0}, at_start[HF_SPANS] = {0, 0}, second = 0;

    fputs("time_s,requests,busiest_second,busiest_second_of_one_host,replies_200,refused,"
          "replies_503,replies_429,stale,unknown\n",
        file);
    while (second < ledger->length_s) {
        int64_t start = second;
        struct line line = {0};

        for (; second < ledger->length_s && second < start + line_s; second++) {
            for (int span = 0; span < HF_SPANS; span++)
                hf_ledger_advance(ledger, span, second, &pairs[span]);
            if (second == start)
                memcpy(at_start, pairs, sizeof(pairs));
            add_second(ledger, second, &line);
        }
        print_line(start, &line, at_start, file);
    }
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/simulate/figures.h"

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t count_of(const struct hf_ledger *ledger, int64_t second, uint32_t host)
{
    return ledger->by_host[second * ledger->hosts + host];
}

/* One host's busiest second, and its busiest 60 seconds in a row. */
static void look_at_host(const struct hf_ledger *ledger, uint32_t host, int64_t from_s,
    int64_t to_s, struct hf_load *load)
{
    uint32_t minute = 0;

    for (int64_t second = from_s; second < to_s; second++) {
        uint32_t count = count_of(ledger, second, host);

        minute += count;
        if (second - 60 >= from_s)
            minute -= count_of(ledger, second - 60, host);
        load->busiest_second_of_one = larger(load->busiest_second_of_one, count);
        load->busiest_minute_of_one = larger(load->busiest_minute_of_one, minute);
    }
}

struct hf_load hf_figures_load(const struct hf_ledger *ledger, int64_t from_s, int64_t to_s)
{
    struct hf_load load = {0};

    for (int64_t second = from_s; second < to_s; second++) {
        uint32_t count = hf_ledger_second(ledger, second);

        load.requests += count;
        load.busiest_second = larger(load.busiest_second, count);
    }
    for (uint32_t host = 0; host < ledger->hosts; host++)
        look_at_host(ledger, host, from_s, to_s, &load);
    load.mean_per_s = (double)load.requests / (double)(to_s - from_s);
    load.mean_of_one_per_s = load.mean_per_s / ledger->hosts;
    return load;
}

int64_t hf_figures_recovery_s(
    const struct hf_ledger *ledger, int64_t from_s, int64_t to_s, int per_cent)
{
    int64_t pairs = (int64_t)ledger->proxies * ledger->hosts, stale = 0, unknown = 0;

    for (int64_t second = 0; second < to_s; second++) {
        int64_t bad = hf_ledger_advance(ledger, HF_SPAN_STALE, second, &stale) +
            hf_ledger_advance(ledger, HF_SPAN_UNKNOWN, second, &unknown);

        if (second >= from_s && (pairs - bad) * 100 >= pairs * per_cent)
            return second - from_s;
    }
    return -1;
}

int64_t hf_figures_quiet_from_s(
    const struct hf_ledger *ledger, int64_t from_s, int64_t to_s, double most)
{
    while (to_s > from_s && hf_ledger_second(ledger, to_s - 1) <= most)
        to_s--;
    return to_s;
}

struct hf_pair_time hf_figures_pair_time(const struct hf_ledger *ledger, enum hf_span span)
{
    size_t pairs = (size_t)ledger->proxies * ledger->hosts;
    struct hf_pair_time time = {0, 0};

    for (size_t pair = 0; pair < pairs; pair++) {
        double seconds = (double)ledger->span_ms[span][pair] / 1000;

        time.mean_s += seconds / (double)pairs;
        if (seconds > time.most_s)
            time.most_s = seconds;
    }
    return time;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * figures.h: what a ledger says about the promises: how even the load of a service is, how many
 * proxies come in the same second, and how long it takes until all is well after a failure.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_FIGURES_H
#define HOSTFLAGS_TESTS_SIMULATE_FIGURES_H

#include "tests/simulate/ledger.h"

/* Over a stretch of time. */
struct hf_load {
    uint64_t requests;
    double mean_per_s; /* all hosts together */
    uint32_t busiest_second; /* the same */
    double mean_of_one_per_s; /* one host */
    uint32_t busiest_second_of_one, busiest_minute_of_one; /* any one host */
};

/* The stretch from one second to another one, the latter not included. */
struct hf_load hf_figures_load(const struct hf_ledger *ledger, int64_t from_s, int64_t to_s);

/* How long after a moment so many per cent of the pairs have a fresh value; -1: not until to_s. In
 * full seconds. */
int64_t hf_figures_recovery_s(
    const struct hf_ledger *ledger, int64_t from_s, int64_t to_s, int per_cent);

/* From when on, between two seconds, no second has more requests than `most`. */
int64_t hf_figures_quiet_from_s(
    const struct hf_ledger *ledger, int64_t from_s, int64_t to_s, double most);

/* How long a pair was stale (or unknown) in all: mean and most, in seconds. */
struct hf_pair_time {
    double mean_s, most_s;
};
struct hf_pair_time hf_figures_pair_time(const struct hf_ledger *ledger, enum hf_span span);

#endif

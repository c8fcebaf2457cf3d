/* SPDX-License-Identifier: PostgreSQL
 *
 * fleet.h: many proxies in simulated time. Each one is a real registry of the plugin, driven as
 * refresh.c drives it, with the same limit of requests in flight and with jitter from the same kind
 * of random numbers; only clock and services are simulated. Every proxy holds one connection to
 * every host for as long as it runs.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_FLEET_H
#define HOSTFLAGS_TESTS_SIMULATE_FLEET_H

#include "tests/simulate/ledger.h"

#define HF_JITTER_RANDOM (-1)

struct hf_fleet_options {
    uint32_t proxies, hosts;
    int64_t ttl_s; /* as the services say it */
    int64_t jitter; /* HF_JITTER_RANDOM, or the same for each draw: 0 to UINT32_MAX */
    uint64_t seed; /* the same seed, the same day */
};

/* Runs the scenario from its beginning to its end. The ledger is for the caller to destroy. */
struct hf_ledger *hf_fleet_run(
    const struct hf_fleet_options *options, const struct hf_scenario *scenario);

#endif

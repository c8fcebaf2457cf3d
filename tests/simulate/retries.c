/* SPDX-License-Identifier: PostgreSQL */
#include "tests/simulate/retries.h"

#include "tests/simulate/figures.h"
#include "tests/simulate/fleet.h"

#define HOSTS 5 /* each is another sample */
#define OUTAGE_S 600
#define LENGTH_S 7200 /* the longest Retry-After is an hour */

static const int64_t values_s[HF_RETRIES] = {5, 30, 60, 120, 600, 1800, 3300, 3600};

static double share(const struct hf_ledger *ledger, int64_t from_s, int64_t to_s, uint32_t proxies)
{
    return (double)hf_figures_load(ledger, from_s, to_s).busiest_second_of_one / proxies;
}

void hf_retries_run(uint32_t proxies, uint64_t seed, struct hf_retries rows[HF_RETRIES])
{
    struct hf_fleet_options options = {
        .proxies = proxies, .hosts = HOSTS, .ttl_s = 900, .jitter = HF_JITTER_RANDOM, .seed = seed};

    for (int i = 0; i < HF_RETRIES; i++) {
        struct hf_event outage = {.what = "",
            .length_s = OUTAGE_S,
            .kind = HF_EVENT_503,
            .retry_after_s = values_s[i],
            .with_start = true};
        struct hf_scenario scenario = {&outage, 1, LENGTH_S};
        struct hf_ledger *ledger = hf_fleet_run(&options, &scenario);

        rows[i].retry_after_s = values_s[i];
        rows[i].share_during = share(ledger, 1, OUTAGE_S, proxies);
        rows[i].share_after = share(ledger, OUTAGE_S, LENGTH_S, proxies);
        hf_ledger_destroy(ledger);
    }
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * service.h: the flag services of a simulation, one for each host: what they answer, and after how
 * long. They answer 200 after 20 to 80 ms, unless the scenario says otherwise.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_SERVICE_H
#define HOSTFLAGS_TESTS_SIMULATE_SERVICE_H

#include "tests/simulate/scenario.h"

#include <stdbool.h>
#include <stdint.h>

enum hf_reply { HF_REPLY_200, HF_REPLY_REFUSED, HF_REPLY_503, HF_REPLY_429, HF_REPLIES };

struct hf_service_answer {
    enum hf_reply reply;
    int64_t retry_after_ms; /* 0: none */
    int64_t latency_ms;
};

struct hf_service;

/* The scenario is borrowed. Memory that cannot be had ends the program. */
struct hf_service *hf_service_create(
    const struct hf_scenario *scenario, uint32_t hosts, uint64_t seed);
void hf_service_destroy(struct hf_service *service);

/* One request to the service of that host. `now` never decreases. */
struct hf_service_answer hf_service_ask(struct hf_service *service, uint32_t host, int64_t now);

/* For hf_random_draw: another state, never 0, for each number of a seed. */
uint64_t hf_random_state(uint64_t seed, uint64_t number);

#endif

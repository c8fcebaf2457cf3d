/* SPDX-License-Identifier: PostgreSQL
 *
 * retries.h: the worst case of an equal Retry-After, for many of its values: all proxies start in
 * the first second of an outage of ten minutes, and all are told the same in that second. How many
 * of them are at one service in the same second later on?
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_RETRIES_H
#define HOSTFLAGS_TESTS_SIMULATE_RETRIES_H

#include <stdint.h>

#define HF_RETRIES 8

struct hf_retries {
    int64_t retry_after_s;
    double share_during, share_after; /* of the proxies, 0 to 1: in the outage's busiest second but
                                         its first, and in the busiest one after it */
};

void hf_retries_run(uint32_t proxies, uint64_t seed, struct hf_retries rows[HF_RETRIES]);

#endif

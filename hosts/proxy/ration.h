/* SPDX-License-Identifier: PostgreSQL
 *
 * ration.h: keeps a log readable where others decide how often something happens: of a kind of line
 * one is written per period, and the next one says how many were left out.
 *
 *     char more[HF_RATION_SIZE];
 *
 *     if (hf_ration_take(&listener->failures, HF_RATION_MS, more))
 *         hf_log(HF_LOG_WARNING, "cannot accept a client%s", more);
 *
 * The caller's storage, zeroed at the start. No lock: a ration belongs to one thread.
 */
#ifndef HOSTFLAGS_PROXY_RATION_H
#define HOSTFLAGS_PROXY_RATION_H

#include <stdbool.h>
#include <stdint.h>

enum { HF_RATION_SIZE = 64, HF_RATION_MS = 10000 /* the usual period */ };

struct hf_ration {
    uint64_t next_ms; /* monotonic: when the next line may be written */
    unsigned long left_out; /* since the latest one */
};

/* Whether to write the line now. If so `more` is what to put at its end: nothing, or
 * " (and 41 more since the last report)". If not it is counted. */
bool hf_ration_take(struct hf_ration *ration, uint64_t period_ms, char more[HF_RATION_SIZE])
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * describe.h: from the facts about a host to the words for people. The one place where that is
 * done: explain and status both come here. Pure; time is a parameter.
 */
#ifndef HOSTFLAGS_DESCRIBE_H
#define HOSTFLAGS_DESCRIBE_H

#include "plugin/registry.h"

struct hf_host_words {
    enum hf_state state;
    int64_t age_ms; /* of the values; -1: there are none */
    int64_t ttl_ms; /* of the values; -1: there are none */
    int64_t next_refresh_ms; /* from now; 0: in flight or due; -1: not planned */
    int64_t retry_after_ms; /* what is left of a Retry-After; 0: none */
};

struct hf_flag_words {
    bool enabled;
    enum hf_reason reason;
};

struct hf_host_words hf_describe_host(
    const struct hf_policy *policy, const struct hf_view *view, int64_t now);

/* Adds to tally, by reason, the number of flags that are answered for it. */
void hf_describe_tally(
    const struct hf_rules *rules, enum hf_state state, uint64_t sent, uint64_t tally[HF_REASONS]);

/* view NULL: a connection that refers to no host. */
struct hf_flag_words hf_describe_flag(
    const struct hf_rules *rules, const struct hf_view *view, enum hf_state state, uint32_t flag);

#endif

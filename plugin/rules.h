/* SPDX-License-Identifier: PostgreSQL
 *
 * rules.h: from what a service sent to what is answered. One word each, one bit per flag, so that
 * the registry can keep them beside the answers, where all who share it find the same. Pure.
 */
#ifndef HOSTFLAGS_RULES_H
#define HOSTFLAGS_RULES_H

#include <stdbool.h>
#include <stdint.h>

struct hf_rules {
    uint64_t all; /* the flags that there are */
    uint64_t defaults; /* on while nothing is known */
    uint64_t overridden, overrides; /* flags that are overridden / to on */
    bool enabled; /* off: as if nothing was ever sent */
};

/* The value where sent, else the default, and an override over all. */
static inline uint64_t hf_rules_merge(const struct hf_rules *rules, uint64_t sent, uint64_t on)
{
    uint64_t known = rules->enabled ? sent : 0;
    uint64_t merged = (on & known) | (rules->defaults & ~known);

    return (merged & ~rules->overridden) | (rules->overrides & rules->overridden);
}

/* Whether any request makes sense: enabled, and not every flag overridden. */
static inline bool hf_rules_ask(const struct hf_rules *rules)
{
    return rules->enabled && rules->overridden != rules->all;
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * refusal.h: connections that get no reference: counted, and for each reason logged at most once a
 * minute. Any thread.
 */
#ifndef HOSTFLAGS_REFUSAL_H
#define HOSTFLAGS_REFUSAL_H

#include "plugin/log.h"

#include <stdatomic.h>

#define HF_REFUSAL_INTERVAL_MS 60000

enum hf_refusal {
    HF_REFUSED_TABLE, /* on_connect was called with something that is no upstream */
    HF_REFUSED_NAME,
    HF_REFUSED_NOT_ALLOWED,
    HF_REFUSED_HOSTS_FULL,
    HF_REFUSED_CONNECTIONS_FULL,
    HF_REFUSED_NOT_SHARING, /* share = on, and the process could not join */
    HF_REFUSED_NOTHING /* an idle host made room in a full table: see hf_report_eviction */
};
#define HF_REFUSAL_REASONS 7

/* Zeroed: none yet. */
struct hf_refusals {
    _Atomic uint64_t total;
    struct {
        _Atomic uint64_t count;
        _Atomic int64_t next_log_ms;
    } reasons[HF_REFUSAL_REASONS];
};

/* The word for a reason in status: "hosts_full". HF_REFUSED_NOTHING is no reason. */
const char *hf_refusal_name(enum hf_refusal reason);

/* upstream: as the host named it, NULL where it did not. detail: what is wrong with it. */
void hf_refuse(struct hf_refusals *refusals, const struct hf_log *log, enum hf_refusal reason,
    const char *upstream, const char *detail, int64_t now);

/* That an idle host lost its entry to `upstream`: counted and logged likewise, but no refusal. */
void hf_report_eviction(
    struct hf_refusals *refusals, const struct hf_log *log, const char *upstream, int64_t now);

#endif

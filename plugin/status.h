/* SPDX-License-Identifier: PostgreSQL
 *
 * status.h: the state of the cache as text. Any thread; allocates; takes the registry's lock once
 * per host, never for the whole.
 */
#ifndef HOSTFLAGS_STATUS_H
#define HOSTFLAGS_STATUS_H

#include "plugin/refusal.h"
#include "plugin/registry.h"

/* What it is about. All borrowed. */
struct hf_status {
    struct hf_registry *registry;
    const struct hf_settings *settings;
    struct hf_share *share; /* NULL: the registry is not shared */
    struct hf_refusals *refusals;
    int64_t now;
};

/* The JSON object that host_api.h describes, or metrics in the text format of Prometheus (version
 * 0.0.4), NUL-terminated; the caller frees it. NULL: out of memory. */
char *hf_status_json(const struct hf_status *status);
char *hf_status_prometheus(const struct hf_status *status);

#endif

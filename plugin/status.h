/* SPDX-License-Identifier: PostgreSQL
 *
 * status.h: the state of the cache as text. Any thread; allocates; takes the registry's lock once
 * per host, never for the whole.
 */
#ifndef HOSTFLAGS_STATUS_H
#define HOSTFLAGS_STATUS_H

#include "plugin/registry.h"

/* The JSON object that host_api.h describes, NUL-terminated; the caller frees it. NULL: out of
 * memory. rejected: connections that were refused a reference. */
char *hf_status_json(struct hf_registry *registry, const struct hf_settings *settings,
    uint64_t rejected, int64_t now);

#endif

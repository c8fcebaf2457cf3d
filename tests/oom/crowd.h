/* SPDX-License-Identifier: PostgreSQL
 *
 * crowd.h: more requests in flight than libcurl can wait for without allocating, while no thread
 * gets any memory.
 */
#ifndef HOSTFLAGS_TESTS_OOM_CROWD_H
#define HOSTFLAGS_TESTS_OOM_CROWD_H

#include "host_api.h"

enum { HF_CROWD = 24 };

struct hf_crowd {
    unsigned waiting; /* requests that have come: HF_CROWD */
    unsigned refused; /* allocations within half a second */
    long long fini_ms;
};

/* For a child process: what the worker does meanwhile goes to *crowd, in shared memory. */
void hf_crowd_live(const struct hf_plugin *plugin, struct hf_crowd *crowd);

#endif

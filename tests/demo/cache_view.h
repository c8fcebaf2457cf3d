/* SPDX-License-Identifier: PostgreSQL
 *
 * cache_view.h: what the proxy's status socket says, as rows of a table.
 */
#ifndef HOSTFLAGS_TESTS_DEMO_CACHE_VIEW_H
#define HOSTFLAGS_TESTS_DEMO_CACHE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

enum { CACHE_MAX_ROWS = 64 };

struct cache_row {
    char host[64];
    int64_t references, age_ms, requests, failures;
    char state[16], reason[16], last_error[16];
    bool enabled; /* the first flag */
};

struct cache_view {
    int count;
    struct cache_row rows[CACHE_MAX_ROWS]; /* by host */
    int64_t references; /* their sum */
    /* Of processes that share the cache; processes 0: it is not shared. */
    int64_t processes, refresher, refresher_pid, take_overs, returned;
};

/* Asks the socket at path. False: nobody answers there, or not with a status. */
bool cache_view_read(const char *path, struct cache_view *view);

/* How many rows are in that state. */
int cache_view_count_state(const struct cache_view *view, const char *state);

/* The row of a host; NULL: it is not there. */
const struct cache_row *cache_view_find(const struct cache_view *view, const char *host);

#endif

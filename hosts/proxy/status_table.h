/* SPDX-License-Identifier: PostgreSQL
 *
 * status_table.h: the status as a table for people, as text. A pure function: what is drawn depends
 * on its arguments alone.
 *
 *     HOST             REFS  STATE  AGE   TTL    NEXT    REQ  304  FAIL  ON   LAST ERROR
 *     db2.example.com    40  stale  17m   15m    2m10s     9    0     3  2/3  http 503
 *         503: the service is overloaded
 *     db1.example.com   120  fresh  1m2s  15m    12m40s    1    0     0  2/3  -
 *
 *     connections 160/65536, hosts 2/1024, rejected 0, evictions 0
 *     requests: ok 7, http 3; 304s: 0
 *     4 processes, refreshed by process 2 (pid 4711), 1 take-over, 300 references returned
 *
 * The last line is there where processes share one cache.
 * A dash stands for what there is not, or what the proxy does not say.
 */
#ifndef HOSTFLAGS_PROXY_STATUS_TABLE_H
#define HOSTFLAGS_PROXY_STATUS_TABLE_H

#include <stdbool.h>

#include "hosts/proxy/status_view.h"

struct hf_table_style {
    int width; /* columns; host names are cut to fit, then the lines; 0: nothing is cut */
    int lines; /* at most, at least 1; hosts that have no room are counted; 0: any number */
    bool colour; /* rows of hosts that need attention */
};

/* Lines, each with its newline, for the caller to free. */
char *hf_status_table(const struct hf_status_view *view, const struct hf_table_style *style)
    __attribute__((returns_nonnull));

#endif

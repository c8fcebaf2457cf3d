/* SPDX-License-Identifier: PostgreSQL
 *
 * retry_after.h: what a service means by Retry-After (RFC 9110, 10.2.3). Pure; any thread.
 */
#ifndef HOSTFLAGS_RETRY_AFTER_H
#define HOSTFLAGS_RETRY_AFTER_H

#include <stdint.h>

/* How long to wait, in milliseconds; at least 1, and saturating at INT64_MAX. value: the header's
 * text: seconds ("120"), an HTTP date in one of its three forms, or a time as RFC 3339 writes it
 * ("2026-11-25T21:00:00.5+01:00", which some services send). A date is taken against date, the text
 * of the answer's own Date header, so that clocks that differ do not matter; where that is NULL or
 * no date, against wall_s, the seconds since 1970 here. 0: nonsense, or not in the future. */
int64_t hf_retry_after_ms(const char *value, const char *date, int64_t wall_s);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * advice.h: what an operator can do about a request that failed. Pure function, any thread.
 */
#ifndef HOSTFLAGS_PROXY_ADVICE_H
#define HOSTFLAGS_PROXY_ADVICE_H

#include <stdint.h>

/* For a last_error and http_status of the plugin's status. NULL: there is nothing to say that the
 * message of the failure does not say itself. */
const char *hf_advice(const char *last_error, int64_t http_status);

#endif

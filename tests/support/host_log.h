/* SPDX-License-Identifier: PostgreSQL
 *
 * host_log.h: the log callback that host.c hands to the plugin. Any thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_HOST_LOG_H
#define HOSTFLAGS_TESTS_SUPPORT_HOST_LOG_H

#include <stdint.h>

/* Copies the line, then calls the hook, without a lock held. */
void hf_test_log_append(void *ctx, int32_t level, const char *message);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * log.h: the program's log, on stderr:
 *
 *     2026-01-02 03:04:05.678 UTC [4711] WARNING: upstream `warehouse`: cannot connect to ...
 *
 * One line is one write(2): lines of several threads never mix. All functions may be called from
 * any thread. Levels are HF_LOG_ERROR to HF_LOG_DEBUG of host_api.h, so that the plugin's lines
 * need no translation.
 */
#ifndef HOSTFLAGS_PROXY_LOG_H
#define HOSTFLAGS_PROXY_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "host_api.h"

/* Lines above this level are dropped from now on. The level before the first call: HF_LOG_INFO. */
void hf_log_set_level(int level);

/* From now on the lines of other threads than this one need this level as well. */
void hf_log_set_level_elsewhere(int level);

/* Writes one line; a newline is added, control characters become '?', and what is beyond 2000 bytes
 * is cut. */
void hf_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for hf_host.log: `ctx` is a const char * that is put in front ("hostflags: "). */
void hf_log_from_plugin(void *ctx, int32_t level, const char *message);

/* The time now as UTC, "2026-01-02 03:04:05.678"; for JSON with 'T' as separator and 'Z' at the
 * end. Written into text, which has at least 32 bytes. */
void hf_log_time(char *text, size_t size, char separator, const char *end);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * log.h: one line to wherever the host program logs.
 *
 * Never called with a lock held: the receiver may call the plugin again.
 */
#ifndef HOSTFLAGS_LOG_H
#define HOSTFLAGS_LOG_H

#include <stdint.h>

enum hf_log_level { HF_ERROR = 0, HF_WARNING = 1, HF_INFO = 2, HF_DEBUG = 3 };

#define HF_LOG_LINE_MAX 1024 /* bytes with the NUL; longer lines are cut */

struct hf_log {
    void (*write)(void *arg, enum hf_log_level level, const char *line); /* any thread */
    void *arg;
};

/* Formats one line and hands it on; control characters in it become '?'. log->write may be NULL. */
void hf_log_line(const struct hf_log *log, enum hf_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

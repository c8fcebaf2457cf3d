/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/log.h"

#include <stdarg.h>
#include <stdio.h>

void hf_log_line(const struct hf_log *log, enum hf_log_level level, const char *format, ...)
{
    char line[HF_LOG_LINE_MAX];
    va_list args;

    if (log->write == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
    log->write(log->arg, level, line);
}

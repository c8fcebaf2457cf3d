/* SPDX-License-Identifier: PostgreSQL
 *
 * log.c: see log.h.
 */
#include "hosts/proxy/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_int max_level = HF_LOG_INFO;
static atomic_int max_level_elsewhere = HF_LOG_DEBUG;
static _Thread_local bool is_here; /* not elsewhere */

void hf_log_set_level(int level)
{
    atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

void hf_log_set_level_elsewhere(int level)
{
    is_here = true;
    atomic_store_explicit(&max_level_elsewhere, level, memory_order_relaxed);
}

static bool is_dropped(int level)
{
    return level > atomic_load_explicit(&max_level, memory_order_relaxed) ||
        (!is_here && level > atomic_load_explicit(&max_level_elsewhere, memory_order_relaxed));
}

void hf_log_time(char *text, size_t size, char separator, const char *end)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    snprintf(text, size, "%04d-%02d-%02d%c%02d:%02d:%02d.%03ld%s", utc.tm_year + 1900,
        utc.tm_mon + 1, utc.tm_mday, separator, utc.tm_hour, utc.tm_min, utc.tm_sec,
        now.tv_nsec / 1000000, end);
}

static const char *level_name(int level)
{
    static const char *const names[] = {"ERROR", "WARNING", "INFO", "DEBUG"};

    return names[level < HF_LOG_ERROR ? HF_LOG_ERROR : level > HF_LOG_DEBUG ? HF_LOG_DEBUG : level];
}

void hf_log(int level, const char *format, ...)
{
    char message[2000], line[2100], when[40];
    va_list arguments;
    int length;

    if (is_dropped(level))
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    for (char *at = message; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    hf_log_time(when, sizeof(when), ' ', " UTC");
    length = snprintf(
        line, sizeof(line), "%s [%ld] %s: %s\n", when, (long)getpid(), level_name(level), message);
    /* Nothing can be done about a log that cannot be written. */
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return;
}

void hf_log_from_plugin(void *ctx, int32_t level, const char *message)
{
    const char *prefix = ctx;

    hf_log(level, "%s%s", prefix, message);
}

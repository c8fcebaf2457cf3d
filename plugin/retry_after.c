/* SPDX-License-Identifier: PostgreSQL
 *
 * retry_after.c: HTTP dates are read by libcurl, which knows all forms and no locale. It also reads
 * much that is no date for HTTP; so the shape is looked at before.
 */
#include "plugin/retry_after.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NO_TIME INT64_MIN

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *text)
{
    while (is_digit(*text))
        text++;
    return text;
}

/* Digits alone; saturates. */
static int64_t read_seconds(const char *text)
{
    int64_t seconds = 0;

    for (; is_digit(*text); text++) {
        if (__builtin_mul_overflow(seconds, 10, &seconds) ||
            __builtin_add_overflow(seconds, *text - '0', &seconds))
            return INT64_MAX;
    }
    return seconds;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" or "Sun Nov  6 08:49:37 1994":
 * begins with a letter, has a time of day, and ends with GMT or the year. */
static int64_t read_http_date(const char *text)
{
    size_t length = strlen(text);
    time_t time;

    if (!isalpha((unsigned char)text[0]) || length < strlen("Sun Nov  6 08:49:37 1994") ||
        strchr(text, ':') == NULL ||
        (strcmp(text + length - 3, "GMT") != 0 && !is_digit(text[length - 1])))
        return NO_TIME;
    time = curl_getdate(text, NULL);
    return time == -1 ? NO_TIME : (int64_t)time;
}

/* Whether text begins as shape says: d stands for a digit, T for what may be between date and time.
 */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; shape++, text++) {
        if (*shape == 'd'       ? !is_digit(*text)
                : *shape == 'T' ? *text != 'T' && *text != 't' && *text != ' '
                                : *text != *shape)
            return false;
    }
    return true;
}

/* "Z", or "+01:00": seconds east of Greenwich. */
static bool read_zone(const char *text, int64_t *east_s)
{
    int hours, minutes;

    *east_s = 0;
    if ((*text == 'Z' || *text == 'z') && text[1] == '\0')
        return true;
    if ((*text != '+' && *text != '-') || !has_shape(text + 1, "dd:dd") || text[6] != '\0' ||
        sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2 || hours > 23 || minutes > 59)
        return false;
    *east_s = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* RFC 3339, 5.6. A fraction is rounded up: the wait is a floor. */
static int64_t read_rfc3339(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    struct tm tm = {0};
    int64_t east_s, fraction = 0;

    if (!has_shape(text, shape) ||
        sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
            &tm.tm_min, &tm.tm_sec) != 6 ||
        tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return NO_TIME;
    text += strlen(shape);
    if (*text == '.') {
        if (!is_digit(text[1]))
            return NO_TIME;
        fraction = 1;
        text = skip_digits(text + 1);
    }
    if (!read_zone(text, &east_s))
        return NO_TIME;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) - east_s + fraction;
}

int64_t hf_retry_after_ms(const char *value, const char *date, int64_t wall_s)
{
    int64_t until, now = NO_TIME, seconds;

    if (is_digit(*value) && *skip_digits(value) == '\0') {
        seconds = read_seconds(value);
    } else {
        until = is_digit(*value) ? read_rfc3339(value) : read_http_date(value);
        if (date != NULL)
            now = read_http_date(date);
        if (now == NO_TIME)
            now = wall_s;
        if (until == NO_TIME || __builtin_sub_overflow(until, now, &seconds) || seconds <= 0)
            return 0;
    }
    return seconds > INT64_MAX / 1000 ? INT64_MAX : seconds * 1000;
}

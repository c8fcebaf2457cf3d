/* SPDX-License-Identifier: PostgreSQL
 *
 * Retry-After: seconds, dates, and much that is neither. The example date of RFC 9110, 5.6.7,
 * 1994-11-06 08:49:37, is 784111777 seconds after 1970.
 */
#include "plugin/retry_after.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EXAMPLE_S INT64_C(784111777)
#define DAY_S INT64_C(86400)

struct row {
    const char *value, *date; /* date NULL: none was sent */
    int64_t wall_s, expected_ms;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!CHECK_INT_EQ(hf_retry_after_ms(rows[i].value, rows[i].date, rows[i].wall_s),
                rows[i].expected_ms))
            fprintf(stderr, "row %zu: \"%s\", Date: %s\n", i, rows[i].value,
                rows[i].date == NULL ? "none" : rows[i].date);
    }
}

static void test_seconds(void)
{
    static const struct row rows[] = {
        {"60", NULL, 0, 60000},
        {"1", NULL, 0, 1000},
        {"0060", NULL, 0, 60000},
        {"3600", NULL, 0, 3600000},
        {"86400", NULL, 0, 86400000},
        {"60", "Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_S, 60000}, /* dates do not matter */
        {"60", "nonsense", -1, 60000},
        {"784111777", NULL, 784111776, 784111777000}, /* no date either */
        /* saturates */
        {"9223372036854775", NULL, 0, 9223372036854775000},
        {"9223372036854776", NULL, 0, INT64_MAX},
        {"9223372036854775807", NULL, 0, INT64_MAX},
        {"9223372036854775808", NULL, 0, INT64_MAX},
        {"18446744073709551616", NULL, 0, INT64_MAX},
        {"99999999999999999999999999999999999999999999999999999999999", NULL, 0, INT64_MAX},
    };

    check_rows(rows, COUNT(rows));
}

/* All at 08:49:37, or a little later. */
static void test_http_dates(void)
{
    static const struct row rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", NULL, EXAMPLE_S - 60, 60000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", NULL, EXAMPLE_S - 60, 60000},
        {"Sun Nov  6 08:49:37 1994", NULL, EXAMPLE_S - 60, 60000},
        {"Mon, 07 Nov 1994 08:49:37 GMT", NULL, EXAMPLE_S, DAY_S * 1000},
        {"Wed Nov 16 08:49:37 1994", NULL, EXAMPLE_S, 10 * DAY_S * 1000},
        {"Wed, 25 Nov 2026 21:00:00 GMT", NULL, 1795640400 - 1, 1000},
        {"Wednesday, 25-Nov-26 21:00:00 GMT", NULL, 1795640400 - 1, 1000},
        {"Sat, 31 Dec 2016 23:59:60 GMT", NULL, 1483228799, 1000}, /* a leap second */
        {"Fri, 31 Dec 9999 23:59:59 GMT", NULL, 253402300799 - 5, 5000},
        {"Fri, 31 Dec 9999 23:59:59 GMT", NULL, INT64_MIN, 0}, /* no difference that fits */
    };

    check_rows(rows, COUNT(rows));
}

static void test_rfc3339(void)
{
    static const struct row rows[] = {
        {"1994-11-06T08:49:37Z", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06t08:49:37z", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06 08:49:37Z", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T09:49:37+01:00", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T00:49:37-08:00", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T14:19:37+05:30", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T05:19:37-03:30", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-07T00:49:37+16:00", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T08:49:37+00:00", NULL, EXAMPLE_S - 60, 60000},
        {"1994-11-06T08:49:37-00:00", NULL, EXAMPLE_S - 60, 60000},
        /* a fraction: not before it */
        {"1994-11-06T08:49:37.5Z", NULL, EXAMPLE_S - 60, 61000},
        {"1994-11-06T08:49:37.000001Z", NULL, EXAMPLE_S - 60, 61000},
        {"1994-11-06T09:49:37.123456789+01:00", NULL, EXAMPLE_S - 60, 61000},
        {"1994-11-06T08:49:37.5Z", NULL, EXAMPLE_S, 1000},
        {"2024-02-29T00:00:00Z", NULL, 1709164800 - 1, 1000},
        {"2016-12-31T23:59:60Z", NULL, 1483228799, 1000},
        {"9999-12-31T23:59:59Z", NULL, 253402300799 - 5, 5000},
    };

    check_rows(rows, COUNT(rows));
}

/* The clock here is hours off, days off, or stands at 1970. */
static void test_against_date(void)
{
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const int64_t walls[] = {EXAMPLE_S, EXAMPLE_S - 7200, EXAMPLE_S + 7200, 0, -1,
        EXAMPLE_S + 365 * DAY_S, INT64_MIN, INT64_MAX};

    for (size_t i = 0; i < COUNT(walls); i++) {
        const struct row rows[] = {
            {"Sun, 06 Nov 1994 08:50:37 GMT", date, walls[i], 60000},
            {"Sunday, 06-Nov-94 08:50:37 GMT", date, walls[i], 60000},
            {"Sun Nov  6 08:50:37 1994", date, walls[i], 60000},
            {"1994-11-06T08:50:37Z", date, walls[i], 60000},
            {"1994-11-06T08:50:36.2Z", date, walls[i], 60000},
            {"1994-11-06T08:50:37Z", "Sunday, 06-Nov-94 08:49:37 GMT", walls[i], 60000},
            {"1994-11-06T08:50:37Z", "Sun Nov  6 08:49:37 1994", walls[i], 60000},
            {date, date, walls[i], 0},
            {"Sun, 06 Nov 1994 08:49:36 GMT", date, walls[i], 0},
            {"1994-11-06T08:49:37Z", date, walls[i], 0},
        };
        check_rows(rows, COUNT(rows));
    }
}

/* A Date that is none does not count. */
static void test_nonsense_date(void)
{
    static const char *const dates[] = {"", "now", "0", "784111777",
        "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994", "1994-11-06T08:49:37Z"};

    for (size_t i = 0; i < COUNT(dates); i++) {
        const struct row rows[] = {
            {"Sun, 06 Nov 1994 08:49:37 GMT", dates[i], EXAMPLE_S - 60, 60000},
            {"1994-11-06T08:49:37Z", dates[i], EXAMPLE_S - 60, 60000},
            {"1994-11-06T08:49:37Z", dates[i], EXAMPLE_S + 60, 0},
        };
        check_rows(rows, COUNT(rows));
    }
}

static void test_past(void)
{
    static const struct row rows[] = {
        {"0", NULL, 0, 0},
        {"000", NULL, 0, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", NULL, EXAMPLE_S, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", NULL, EXAMPLE_S + 1, 0},
        {"Sunday, 06-Nov-94 08:49:37 GMT", NULL, 1795640400, 0},
        {"Sun Nov  6 08:49:37 1994", NULL, 1795640400, 0},
        {"1994-11-06T08:49:37Z", NULL, EXAMPLE_S, 0},
        {"1994-11-06T08:49:36.9Z", NULL, EXAMPLE_S, 0},
        {"1994-11-06T08:49:37Z", NULL, INT64_MAX, 0},
        {"0000-01-01T00:00:00Z", NULL, 0, 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", NULL, 0, 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", NULL, 0, 0},
    };

    check_rows(rows, COUNT(rows));
}

/* wall_s is long ago: whatever is taken for a date gives a wait. */
static void test_nonsense(void)
{
    static const char *const values[] = {"", " ", "-1", "-60", "+5", "1.5", "1,5", "60s", "60 s",
        "1e3", "0x10", "60,60", "60;", "soon", "never", "NaN", "inf", "null", "true", "\"60\"",
        "P1D", "Wed", "Wed,", "GMT", "25 Nov", "Nov 25 2026", "21:00:00", "21:00:00 GMT",
        "Thu, 99 Foo 2026", "Thu, 99 Foo 2026 21:00:00 GMT", "Thu, 26 Foo 2026 21:00:00 GMT",
        "Thu, 32 Nov 2026 21:00:00 GMT", "Thu, 26 Nov 2026 25:00:00 GMT",
        "Thu, 26 Nov 2026 21:60:00 GMT", "Thu, 26 Nov 2026 21:00:61 GMT",
        "Thu, 26 Nov 2026 21:00:00 GMT soon", "Thu, 26 Nov 2026 at night 00 GMT",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:GMT", ":::::::::::::::::::::::::::::::::::::1",
        "2026-11-25", "2026-11-25T", "2026-11-25T21", "2026-11-25T21:00", "2026-11-25T21:00Z",
        "2026-11-25T21:00:00", "2026-11-25T21:00:00.", "2026-11-25T21:00:00.Z",
        "2026-11-25T21:00:00.5", "2026-11-25T21:00:00ZZ", "2026-11-25T21:00:00 Z",
        "2026-11-25T21:00:00Z ", "2026-11-25T21:00:00+1:00", "2026-11-25T21:00:00+0100",
        "2026-11-25T21:00:00+01", "2026-11-25T21:00:00+01:0", "2026-11-25T21:00:00+01:00Z",
        "2026-11-25T21:00:00+24:00", "2026-11-25T21:00:00+01:60", "2026-11-25T21:00:00+-1:00",
        "2026-11-25T21:00:00+01:-1", "2026-11-25T21:00:00+ 1:00", "2026-11-25T21:00:00+01: 1",
        "2026-11-25T21:00:00+0:  1", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-1-1T00:00:00Z", "26-01-01T00:00:00Z",
        "2026/01/01T00:00:00Z", "2026-01-01_00:00:00Z", "12026-01-01T00:00:00Z",
        "+2026-01-01T00:00:00Z"};

    for (size_t i = 0; i < COUNT(values); i++) {
        const struct row row = {values[i], NULL, 1, 0};
        check_rows(&row, 1);
    }
}

/* Each prefix of a good value, and each value with one byte replaced: whatever comes out, it is no
 * negative wait. Sanitizers and valgrind see to the rest. */
static void test_mutations(void)
{
    static const char *const values[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37.5+01:00",
        "86400"};
    static const char bytes[] = "09-+:.TZ ,\xff\x01";
    char text[64];

    for (size_t i = 0; i < COUNT(values); i++) {
        for (size_t place = 0; values[i][place] != '\0'; place++) {
            snprintf(text, sizeof(text), "%.*s", (int)place, values[i]);
            CHECK(hf_retry_after_ms(text, text, 0) >= 0);
            for (size_t j = 0; j < sizeof(bytes); j++) {
                snprintf(text, sizeof(text), "%s", values[i]);
                text[place] = bytes[j];
                CHECK(hf_retry_after_ms(text, NULL, 0) >= 0);
                CHECK(hf_retry_after_ms(values[i], text, INT64_MAX) >= 0);
            }
        }
    }
}

static const struct hf_test tests[] = {
    {"C65 seconds, saturating", test_seconds},
    {"C65 the three forms of an HTTP date", test_http_dates},
    {"C65 RFC 3339: Z, offsets, fractions, small letters", test_rfc3339},
    {"C65 dates count from the answer's own Date, whatever the clock here says", test_against_date},
    {"C65 a Date that is none: the clock here counts", test_nonsense_date},
    {"C65 0 and what is past: no wait", test_past},
    {"C65 nonsense: no wait", test_nonsense},
    {"C65 damaged values: no negative wait", test_mutations},
};

int main(int argc, char **argv)
{
    return hf_suite_run("retry_after", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Retry-After of any bytes. An input is up to three lines: the header's text, that of the Date
 * header (missing: there is none), and the seconds since 1970 here.
 */
#include "plugin/retry_after.h"

#include "plugin/schedule.h"
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <time.h>

#define HOUR_MS 3600000
#define YEAR_9999_S INT64_C(253370764800) /* its beginning */

struct input {
    char *value, *date; /* date NULL: none */
    int64_t wall_s;
};

static int64_t ask(const struct input *input, const char *date, int64_t wall_s)
{
    return hf_retry_after_ms(input->value, date, wall_s);
}

/* Nothing, or at least a millisecond; and what is made of it is a wait of at most an hour. */
static void check_range(int64_t wait_ms, uint32_t jitter)
{
    int64_t least, wait;

    HOLDS(wait_ms >= 0);
    if (wait_ms == 0)
        return;
    least = hf_schedule_retry_floor(0, wait_ms);
    wait = hf_schedule_retry_after(0, wait_ms, jitter);
    HOLDS(least >= 1 && least <= HOUR_MS);
    HOLDS(least == (wait_ms < HOUR_MS ? wait_ms : HOUR_MS));
    HOLDS(wait >= least && wait <= HOUR_MS);
}

/* Seconds mean themselves, whatever stands beside them. */
static void check_seconds(const struct input *input)
{
    const char *digits = input->value + strspn(input->value, "0");
    int64_t expected = INT64_MAX;

    if (input->value[0] == '\0' || input->value[strspn(input->value, "0123456789")] != '\0')
        return;
    if (strlen(digits) <= 15)
        expected = strtoll(input->value, NULL, 10) * 1000;
    else if (strlen(digits) == 16 && strcmp(digits, "9223372036854775") <= 0)
        expected = strtoll(digits, NULL, 10) * 1000;
    HOLDS(ask(input, input->date, input->wall_s) == expected);
    HOLDS(ask(input, NULL, 0) == expected);
}

/* A Date is understood, and then the clock here does not count; or it is as if there were none. */
static void check_date(const struct input *input)
{
    int64_t other_s = input->wall_s / 2 + 4711;
    int64_t here = ask(input, input->date, input->wall_s);
    int64_t there = ask(input, input->date, other_s);

    HOLDS(here == there ||
        (here == ask(input, NULL, input->wall_s) && there == ask(input, NULL, other_s)));
}

/* A date is one moment: a second later there is a second less to wait. */
static void check_moment(const struct input *input)
{
    int64_t now, later;

    if (input->wall_s == INT64_MAX)
        return;
    now = ask(input, NULL, input->wall_s);
    later = ask(input, NULL, input->wall_s + 1);
    HOLDS(later == now || now == INT64_MAX || later == now - 1000);
    HOLDS(ask(input, NULL, input->wall_s) == now);
}

enum { FORMS = 5, FORM_SIZE = 64 };

/* A moment in each form of a date that is not ambiguous; the first one is that of a Date header. */
static void write_forms(char forms[FORMS][FORM_SIZE], int64_t time_s)
{
    time_t time = (time_t)time_s;
    struct tm tm;

    gmtime_r(&time, &tm);
    strftime(forms[0], FORM_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    strftime(forms[1], FORM_SIZE, "%a %b %e %H:%M:%S %Y", &tm);
    strftime(forms[2], FORM_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
    strftime(forms[3], FORM_SIZE, "%Y-%m-%d %H:%M:%S-00:00", &tm);
    strftime(forms[4], FORM_SIZE, "%Y-%m-%dt%H:%M:%Sz", &tm);
}

/* In each form, a moment some seconds after that of the Date header. */
static void check_forms(int64_t time_s, int64_t wait_s)
{
    char now[FORMS][FORM_SIZE], then[FORMS][FORM_SIZE];

    write_forms(now, time_s);
    write_forms(then, time_s + wait_s);
    for (size_t i = 0; i < FORMS; i++) {
        HOLDS(hf_retry_after_ms(then[i], now[0], 0) == wait_s * 1000);
        HOLDS(hf_retry_after_ms(then[i], NULL, time_s) == wait_s * 1000);
    }
}

static struct input read_input(const uint8_t *data, size_t size)
{
    struct hf_fuzz_lines lines = {(const char *)data, (const char *)data + size};
    struct input input = {.wall_s = 1764180000};
    char *wall;

    input.value = hf_fuzz_line(&lines);
    if (input.value == NULL)
        input.value = hf_fuzz_text("", 0);
    input.date = hf_fuzz_line(&lines);
    wall = hf_fuzz_line(&lines);
    if (wall != NULL)
        input.wall_s = strtoll(wall, NULL, 10);
    free(wall);
    return input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = read_input(data, size);
    uint64_t wall = (uint64_t)input.wall_s;

    setenv("TZ", "HFT-5:30", 1); /* dates are Greenwich's, wherever the process is */
    check_range(ask(&input, input.date, input.wall_s), (uint32_t)(wall * 2654435761u));
    check_range(ask(&input, NULL, input.wall_s), UINT32_MAX);
    check_seconds(&input);
    check_date(&input);
    check_moment(&input);
    check_forms((int64_t)(wall % YEAR_9999_S), 1 + (int64_t)(wall % 9999));
    free(input.value);
    free(input.date);
    return 0;
}

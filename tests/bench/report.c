/* SPDX-License-Identifier: PostgreSQL */
#include "tests/bench/report.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define TOLERANCE 1.5 /* machines are shared and noisy: a target is missed before it is failed */

static struct json_object *figures;
static int missed, failed;
static FILE *table; /* what README shows; also printed */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
    va_start(args, format);
    vfprintf(table, format, args);
    va_end(args);
    fflush(table);
}

bool hf_bench_report_begin(const char *table_file, const char *machine)
{
    figures = json_object_new_object();
    table = fopen(table_file, "w");
    if (table != NULL)
        say("%s\n", machine);
    return table != NULL;
}

void hf_bench_heading(const char *text)
{
    say("\n%s\n\n| %-62s | %11s | %-11s | %-6s | %-28s |\n|---|--:|---|---|---|\n", text, "figure",
        "measured", "target", "", "");
}

void hf_bench_progress(const char *format, ...)
{
    va_list args;

    if (!isatty(STDOUT_FILENO))
        return;
    va_start(args, format);
    printf("\r\033[K  ");
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

/* Whether the value meets the target once that is widened by a factor. */
static bool meets(double value, struct hf_bench_target target, double factor)
{
    switch (target.kind) {
    case HF_BENCH_REPORTED:
        return true;
    case HF_BENCH_AT_MOST:
        return value <= target.bound * factor;
    case HF_BENCH_AT_LEAST:
        return value * factor >= target.bound;
    }
    return false;
}

static const char *mark(double value, struct hf_bench_target target)
{
    if (target.kind == HF_BENCH_REPORTED)
        return "";
    if (meets(value, target, 1))
        return "met";
    missed++;
    if (meets(value, target, TOLERANCE))
        return "MISSED";
    failed++;
    return "FAILED";
}

static void print_target(struct hf_bench_target target, char *text, size_t size)
{
    if (target.kind == HF_BENCH_REPORTED)
        snprintf(text, size, "reported");
    else
        snprintf(text, size, "%s %g", target.kind == HF_BENCH_AT_MOST ? "at most" : "at least",
            target.bound);
}

void hf_bench_figure(const char *key, const char *what, double value, const char *unit,
    struct hf_bench_target target, const char *detail, ...)
{
    char wanted[32], number[32], more[64];
    va_list args;

    hf_bench_progress("%s", "");
    if (isatty(STDOUT_FILENO))
        printf("\r");
    print_target(target, wanted, sizeof(wanted));
    snprintf(number, sizeof(number), "%.*f %s", value < 100 && value != (long)value ? 2 : 0, value,
        unit);
    va_start(args, detail);
    vsnprintf(more, sizeof(more), detail, args);
    va_end(args);
    say("| %-62s | %11s | %-11s | %-6s | %-28s |\n", what, number, wanted, mark(value, target),
        more);
    json_object_object_add(figures, key, json_object_new_double(value));
}

int hf_bench_report_end(const char *json_file)
{
    bool written = json_object_to_file_ext(json_file, figures, JSON_C_TO_STRING_PRETTY) == 0;

    printf("\nbench: %d figures, %d missed their target, %d of these beyond 1.5 times of it\n",
        json_object_object_length(figures), missed, failed);
    if (written)
        printf("bench: the same numbers are in %s\n", json_file);
    else
        printf("bench: could not write %s: %s\n", json_file, json_util_get_last_err());
    json_object_put(figures);
    written = fclose(table) == 0 && written;
    return failed == 0 && written ? 0 : 1;
}

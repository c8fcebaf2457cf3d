/* SPDX-License-Identifier: PostgreSQL
 *
 * report.h: the table of figures, printed line by line as they are measured, and written to a file
 * for README, which shows it as it is; and the same numbers as JSON. One thread.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_REPORT_H
#define HOSTFLAGS_TESTS_BENCH_REPORT_H

#include <stdbool.h>

/* What a figure should be. */
struct hf_bench_target {
    enum { HF_BENCH_REPORTED, HF_BENCH_AT_MOST, HF_BENCH_AT_LEAST } kind;
    double bound;
};

#define AT_MOST(number) \
    (struct hf_bench_target) \
    { \
        HF_BENCH_AT_MOST, (number) \
    }
#define AT_LEAST(number) \
    (struct hf_bench_target) \
    { \
        HF_BENCH_AT_LEAST, (number) \
    }
#define REPORTED \
    (struct hf_bench_target) \
    { \
        HF_BENCH_REPORTED, 0 \
    }

/* machine: a line about where and when this is. False: the file could not be written. */
bool hf_bench_report_begin(const char *table_file, const char *machine);

/* Above the lines that follow. */
void hf_bench_heading(const char *text);

/* key: of the JSON, unique. unit: "x", "ns", … what and detail (printf's) are for people. */
void hf_bench_figure(const char *key, const char *what, double value, const char *unit,
    struct hf_bench_target target, const char *detail, ...) __attribute__((format(printf, 6, 7)));

/* What is being done; overwritten by the next line, and left out where nobody looks. */
void hf_bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes the JSON, prints a last line and closes the table. The exit status of the program: 1 when
 * a figure is beyond one and a half times its target or a file could not be written. */
int hf_bench_report_end(const char *json_file);

#endif

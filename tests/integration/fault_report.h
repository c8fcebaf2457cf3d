/* SPDX-License-Identifier: PostgreSQL
 *
 * fault_report.h: what is wrong with a cell of the fault matrix, and the matrix as it is printed.
 * Only the first thing that is wrong is kept. Part of test_fault_matrix.c. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_FAULT_REPORT_H
#define HOSTFLAGS_TESTS_INTEGRATION_FAULT_REPORT_H

#include "tests/integration/fault_hosts.h"

__attribute__((format(printf, 3, 4))) FIXTURE void note(
    char *text, size_t size, const char *format, ...)
{
    va_list args;

    if (text[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
}

FIXTURE void expect(struct cell *cell, const char *what, int64_t is, int64_t should_be)
{
    if (is != should_be)
        note(cell->wrong, sizeof(cell->wrong), "%s is %lld, should be %lld", what, (long long)is,
            (long long)should_be);
}

FIXTURE void expect_between(
    struct cell *cell, const char *what, int64_t is, int64_t low, int64_t high)
{
    if (is < low || is > high)
        note(cell->wrong, sizeof(cell->wrong), "%s is %lld, should be %lld to %lld", what,
            (long long)is, (long long)low, (long long)high);
}

/* ---- the matrix ---- */

/* Reasons are printed once each, below. */
FIXTURE void print_cell(const struct cell *cell, const char *notes[], size_t *count)
{
    const char *mark = cell->wrong[0] || cell->too_soon[0] ? "!" : "";
    char text[32];
    size_t i = 0;

    snprintf(text, sizeof(text), "%s%s", mark, cell->shown[0] ? cell->shown : "nothing");
    if (cell->impossible == no_such_thing) {
        snprintf(text, sizeof(text), "-");
    } else if (cell->impossible) {
        while (i < *count && strcmp(notes[i], cell->impossible) != 0)
            i++;
        if (i == *count)
            notes[(*count)++] = cell->impossible;
        snprintf(text, sizeof(text), "not here (%zu)", i + 1);
    }
    printf(" %-16s", text);
}

FIXTURE void print_matrix(void)
{
    const char *notes[2 * COUNT(faults)];
    size_t count = 0;
    char text[32];

    printf("        %-22s", "");
    for (int column = 0; column < COLUMNS; column++) {
        snprintf(text, sizeof(text), "%s, %s", names_of_schemes[column / AGES],
            names_of_ages[column % AGES]);
        printf(" %-16s", text);
    }
    printf("\n");
    for (size_t row = 0; row < COUNT(faults); row++) {
        printf("        %-22s", faults[row].name);
        for (int column = 0; column < COLUMNS; column++)
            print_cell(&cells[row][column], notes, &count);
        printf("\n");
    }
    printf("        default: the flags' defaults are answered; static, stale: the values known "
           "before; then the last error\n        -: there is no TLS over http\n");
    for (size_t i = 0; i < count; i++)
        printf("        (%zu) %s\n", i + 1, notes[i]);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * summary.h: three tables, as Markdown that can also be read as it is: what each event of a day
 * did, what came of the promises, and what an equal Retry-After does at its worst.
 */
#ifndef HOSTFLAGS_TESTS_SIMULATE_SUMMARY_H
#define HOSTFLAGS_TESTS_SIMULATE_SUMMARY_H

#include "tests/simulate/ledger.h"
#include "tests/simulate/retries.h"

struct hf_summary {
    const struct hf_ledger *ledger;
    const struct hf_scenario *scenario; /* it has one calm */
    int64_t ttl_s; /* as the services said it */
    const struct hf_retries *retries; /* HF_RETRIES; NULL: not looked at */
};

/* Gives the number of targets that are missed. */
int hf_summary_write(const struct hf_summary *summary, FILE *file);

/* What gnuplot has to know beside a CSV file of line_s seconds a line, as its commands: the events
 * to shade and to name, and sizes. */
void hf_summary_write_events(const struct hf_summary *summary, int64_t line_s, FILE *file);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * sections.h: the parts of the table. Each starts what it needs and ends it again.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_SECTIONS_H
#define HOSTFLAGS_TESTS_BENCH_SECTIONS_H

void hf_bench_reads(void); /* is_enabled */
void hf_bench_connects(void); /* on_connect and on_disconnect */
void hf_bench_instructions(void); /* of these, under valgrind */
void hf_bench_counts(void); /* allocations, system calls, memory, wake-ups */
void hf_bench_refreshes(void); /* what the worker costs, and what readers notice of it */

/* What hf_bench_instructions() runs under valgrind: this program, by its path. */
void hf_bench_be_counted(void);

#endif

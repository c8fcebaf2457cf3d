/* SPDX-License-Identifier: PostgreSQL
 *
 * allocations.h: how often the calling thread has allocated, counted by a malloc of this program's
 * own, which all that it loads uses as well. Under a sanitizer: 0.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_ALLOCATIONS_H
#define HOSTFLAGS_TESTS_BENCH_ALLOCATIONS_H

long hf_bench_allocations(void);

#endif

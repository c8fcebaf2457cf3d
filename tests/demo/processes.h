/* SPDX-License-Identifier: PostgreSQL
 *
 * processes.h: the demo's second part: a proxy of four processes with one cache.
 */
#ifndef HOSTFLAGS_TESTS_DEMO_PROCESSES_H
#define HOSTFLAGS_TESTS_DEMO_PROCESSES_H

void play_processes(void);

#endif

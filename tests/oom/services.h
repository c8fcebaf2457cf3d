/* SPDX-License-Identifier: PostgreSQL
 *
 * services.h: two flag services in a process of their own, so that none of their allocations and
 * threads is in the program under test. They differ in what they say of the same four flags:
 *
 *              a    b    c    d
 *     first    on   off  off  a text that only begins with "true": not sent
 *     second   off  on   off  likewise
 *
 * Their documents have what a reader without memory could get wrong: members given twice, names and
 * values that begin like others and go on, objects of many members.
 */
#ifndef HOSTFLAGS_TESTS_OOM_SERVICES_H
#define HOSTFLAGS_TESTS_OOM_SERVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bit i is the flag of index i. */
enum { HF_WORD_OF_FIRST = 1, HF_WORD_OF_SECOND = 2 };

struct hf_services {
    pid_t pid;
    uint16_t first_port, second_port;
};

/* Before the first thread of the caller. False: could not start; the reason is on stderr. It ends
 * with the caller at the latest. */
bool hf_services_start(struct hf_services *services);
void hf_services_stop(const struct hf_services *services);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * lost.h: what json-c 0.16 loses while it reads, and nothing besides.
 *
 * json_tokener_parse_ex adds a value under its name with json_object_object_add and does not look
 * whether that worked. Where there is no memory for the copy of the name, the value is lost with
 * all that is in it; where the table of members cannot grow, the copy of the name is lost as well.
 * So among the blocks that were allocated by the reader and are still there must be exactly so many
 * that no other of them points to: one for each value, one for each name. A document, or a value,
 * that somebody else has forgotten is one more.
 *
 * Main thread, when no other thread is allocating.
 */
#ifndef HOSTFLAGS_TESTS_OOM_LOST_H
#define HOSTFLAGS_TESTS_OOM_LOST_H

#include <stdbool.h>

struct hf_lost {
    unsigned expected; /* values and names, by where memory was refused */
    unsigned found;
    bool proven; /* both are the same: then what the reader has left is what json-c lost */
};

/* Since the latest hf_allocations_refuse. known: what was found before, which is not looked at. */
struct hf_lost hf_lost_by_json_c(unsigned known);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_names.h: lists of flag names in settings: "a, b" and "a=on, b=off". Pure; any thread.
 *
 * A name is 1 to HF_FLAG_NAME_MAX bytes of printable ASCII without blank, comma, '=', '"' and
 * backslash, so that it needs no escaping in these lists, in JSON and in Prometheus labels. Blanks
 * around names and values do not count.
 */
#ifndef HOSTFLAGS_FLAG_NAMES_H
#define HOSTFLAGS_FLAG_NAMES_H

#include "plugin/parse.h"
#include "plugin/terms.h"

#define HF_FLAG_NAME_MAX 255

/* Splits text in place (blanks and commas become NUL) and points names, room for HF_MAX_FLAGS, into
 * it. Refuses an empty list, an empty name, one that comes twice, and too many. */
bool hf_flag_names_split(char *text, const char **names, uint32_t *count,
    struct hf_complaint *complaint) __attribute__((warn_unused_result));

/* Reads "a=on, b=off" (an empty text: nothing) for those names: bit i of *named says that names[i]
 * stands there, bit i of *on that it is on. Refuses unknown names and a name that comes twice;
 * *named and *on are untouched then. */
bool hf_flag_names_switch(const char *text, const char *const *names, uint32_t count,
    uint64_t *named, uint64_t *on, struct hf_complaint *complaint)
    __attribute__((warn_unused_result));

/* The position of the name of length bytes, or -1. */
int hf_flag_names_find(const char *const *names, uint32_t count, const char *name, size_t length);

#endif

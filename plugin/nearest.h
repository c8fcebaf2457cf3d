/* SPDX-License-Identifier: PostgreSQL
 *
 * nearest.h: "did you mean ...?" for a mistyped word. Pure; any thread.
 */
#ifndef HOSTFLAGS_NEAREST_H
#define HOSTFLAGS_NEAREST_H

#include <stddef.h>

/* The one of count words that takes the fewest letters to be inserted, removed or replaced
 * (Levenshtein distance, in any case), or NULL where that is more than one letter in three, or the
 * word is longer than HF_NEAREST_MAX bytes. Longer words in the list are passed over. */
#define HF_NEAREST_MAX 31
const char *hf_nearest(const char *word, const char *const *words, size_t count);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * nearest.h: "did you mean ...?" for a mistyped word. Pure; any thread.
 */
#ifndef HOSTFLAGS_NEAREST_H
#define HOSTFLAGS_NEAREST_H

#include <stddef.h>

/* Letters compared; a longer word is near to none. */
#define HF_NEAREST_MAX 31

/* How many letters have to be inserted, removed or replaced to make b of a, in any case (Levenshtein
 * distance). SIZE_MAX: one of them is longer than HF_NEAREST_MAX. */
size_t hf_nearest_distance_of(const char *a, const char *b);

/* Whether a word that is `distance` away from `word` is what may have been meant: at most one letter
 * in three is wrong. */
int hf_nearest_is_near(const char *word, size_t distance);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * nearest.h: "did you mean ...?" for mistyped words. Pure functions, any thread.
 */
#ifndef HOSTFLAGS_PROXY_NEAREST_H
#define HOSTFLAGS_PROXY_NEAREST_H

#include <stddef.h>

/* The number of insertions, deletions, substitutions and swaps of neighbours that turn one word
 * into the other, each place touched once (optimal string alignment, the restricted form of the
 * Damerau-Levenshtein distance). Words are compared up to their 63rd byte. */
size_t hf_nearest_distance(const char *one, const char *other);

/* The word of the NULL-terminated list that is closest to `word`, or NULL when none is close: at
 * most one change for each three bytes, rounded up. */
const char *hf_nearest_word(const char *word, const char *const *words);

#endif

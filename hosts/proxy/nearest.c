/* SPDX-License-Identifier: PostgreSQL
 *
 * nearest.c: see nearest.h.
 */
#include "hosts/proxy/nearest.h"

#include <string.h>

enum { MAX_WORD = 63 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* cost[i][j]: changes between the first i bytes of one word and the first j bytes of the other. */
size_t hf_nearest_distance(const char *one, const char *other)
{
    size_t cost[MAX_WORD + 1][MAX_WORD + 1];
    size_t rows = strnlen(one, MAX_WORD), columns = strnlen(other, MAX_WORD);

    for (size_t i = 0; i <= rows; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            size_t differs = one[i - 1] != other[j - 1];
            size_t best = smaller(cost[i - 1][j], cost[i][j - 1]) + 1;

            best = smaller(best, cost[i - 1][j - 1] + differs);
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                best = smaller(best, cost[i - 2][j - 2] + 1);
            cost[i][j] = best;
        }
    }
    return cost[rows][columns];
}

const char *hf_nearest_word(const char *word, const char *const *words)
{
    size_t limit = (strnlen(word, MAX_WORD) + 2) / 3;
    const char *nearest = NULL;

    for (; *words; words++) {
        size_t distance = hf_nearest_distance(word, *words);

        if (distance <= limit && (!nearest || distance < hf_nearest_distance(word, nearest)))
            nearest = *words;
    }
    return nearest;
}

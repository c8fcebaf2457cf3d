/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/nearest.h"

#include <ctype.h>
#include <string.h>

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* One row of the usual table at a time: cost[j] is what it takes from the letters of a seen so far
 * to the first j letters of b. Neither is longer than HF_NEAREST_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t cost[HF_NEAREST_MAX + 1], width = strlen(b);

    for (size_t j = 0; j <= width; j++)
        cost[j] = j;
    for (; *a != '\0'; a++) {
        size_t diagonal = cost[0]++;
        for (size_t j = 1; j <= width; j++) {
            size_t differs = tolower((unsigned char)*a) != tolower((unsigned char)b[j - 1]);
            size_t best = smallest(diagonal + differs, cost[j] + 1, cost[j - 1] + 1);
            diagonal = cost[j];
            cost[j] = best;
        }
    }
    return cost[width];
}

const char *hf_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 1;

    if (strlen(word) > HF_NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t found = strlen(words[i]) > HF_NEAREST_MAX ? best : distance(word, words[i]);
        if (found < best) {
            best = found;
            nearest = words[i];
        }
    }
    return nearest;
}

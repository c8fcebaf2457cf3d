/* SPDX-License-Identifier: PostgreSQL
 *
 * random.h: even random numbers for jitter, which needs no better source. The state is the
 * caller's, and no two threads may use one at a time.
 */
#ifndef HOSTFLAGS_RANDOM_H
#define HOSTFLAGS_RANDOM_H

#include <stdint.h>

/* xorshift64*. *state is not 0, and never becomes it. */
static inline uint32_t hf_random_draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 2685821657736338717u >> 32);
}

#endif

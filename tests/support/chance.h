/* SPDX-License-Identifier: PostgreSQL
 *
 * chance.h: what tests decide at random. Each thread has a state of its own, and draws the same in
 * every run until it sets another one, which is not 0.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_CHANCE_H
#define HOSTFLAGS_TESTS_SUPPORT_CHANCE_H

#include "plugin/random.h"

__attribute__((unused)) static _Thread_local uint64_t random_state = 88172645463325252u;

/* From 0 to below - 1. */
static inline uint32_t draw(uint32_t below)
{
    return hf_random_draw(&random_state) % below;
}

#endif

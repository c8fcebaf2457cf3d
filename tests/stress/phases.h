/* SPDX-License-Identifier: PostgreSQL
 *
 * phases.h: what all who put load on the plugin do at a time, at the word of the one who judges it.
 */
#ifndef HOSTFLAGS_TESTS_STRESS_PHASES_H
#define HOSTFLAGS_TESTS_STRESS_PHASES_H

#include "tests/support/wait_until.h"

enum phase {
    LOAD, /* all at random */
    HOLD, /* nothing is called but is_enabled, of all that is held */
    LET_GO, /* all is given back */
    FILL, /* processes: the first one takes every connection that there is */
    GO_HOME /* threads: all is given back, and they end */
};

/* The host that nobody connects to at present, so that it leaves in the midst of the load. */
static inline int resting_host(int hosts, int rest_ms)
{
    return (int)(hf_wait_now_ms() / rest_ms % hosts);
}

#endif

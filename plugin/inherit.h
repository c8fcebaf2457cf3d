/* SPDX-License-Identifier: PostgreSQL
 *
 * inherit.h: keeps libcurl's own descriptors from programs that the host starts.
 *
 * libcurl 7.88 makes pairs of connected sockets without close-on-exec and without telling their
 * numbers: one for curl_multi_wakeup, which lives as long as the multi handle, and one for each
 * look-up of a name, which lives as long as that. (Its connections are ours to open.) Comparing the
 * open descriptors before and after would catch those that another thread opens meanwhile. So:
 *
 * - The pair for waking is found by what only it does: waking makes bytes appear at one end; bytes
 *   written there appear at the other. Other descriptors are looked at, never changed.
 * - The pair of a look-up is foretold: just before it is made, the two lowest free numbers are
 *   those it will get. Where another thread was faster that is noticed, and nothing is changed.
 *
 * Later versions of libcurl set close-on-exec themselves; then there is nothing to do here.
 */
#ifndef HOSTFLAGS_INHERIT_H
#define HOSTFLAGS_INHERIT_H

#include <stdbool.h>

/* wake(arg) writes one byte of value 1 to one end of its pair. Best effort; Linux (/proc). */
void hf_inherit_no_wake_pair(void (*wake)(void *arg), void *arg);

/* Two descriptors that are about to be made. */
struct hf_pair {
    bool expected;
    int ends[2];
};

/* To be called on the thread that makes the pair, immediately before. */
void hf_pair_expect(struct hf_pair *pair);

/* Afterwards: sets close-on-exec on both ends if they are a pair of sockets indeed. */
void hf_pair_keep(struct hf_pair *pair);

#endif

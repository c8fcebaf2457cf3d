/* SPDX-License-Identifier: PostgreSQL
 *
 * inherit.h: keeps libcurl's wake-up descriptors from programs that the host starts.
 *
 * libcurl 7.88 makes a pair of connected sockets for curl_multi_wakeup, without close-on-exec and
 * without telling their numbers. Comparing the open descriptors before and after would catch those
 * that another thread opens at the same time. So the pair is found by what only it does: waking
 * makes bytes appear at one end; bytes written there appear at the other. Descriptors that are not
 * ours are looked at (how many bytes are waiting), never changed. Later versions of libcurl set
 * close-on-exec themselves; then nothing is found and nothing happens.
 */
#ifndef HOSTFLAGS_INHERIT_H
#define HOSTFLAGS_INHERIT_H

/* wake(arg) writes one byte of value 1 to one end of the pair. Best effort; Linux (/proc). */
void hf_inherit_nothing(void (*wake)(void *arg), void *arg);

#endif

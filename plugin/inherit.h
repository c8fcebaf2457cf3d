/* SPDX-License-Identifier: PostgreSQL
 *
 * inherit.h: keeps libcurl's own descriptors from programs that the host starts.
 *
 * libcurl 7.88 makes pairs of connected sockets without close-on-exec and without telling their
 * numbers: one for curl_multi_wakeup, which lives as long as the multi handle, and one for each
 * look-up of a name, which lives as long as that. (Its connections are ours to open.) Comparing the
 * open descriptors before and after would catch those that another thread opens meanwhile. So a
 * pair is found by what only it does: bytes that are written at one end appear at the other, where
 * nobody ever reads. Descriptors that are not ours are looked at, never changed. The end to begin
 * with:
 *
 * - Of the pair for waking it is where bytes appear when libcurl is woken.
 * - Of a look-up's pair libcurl tells it, among the sockets it waits for, where the number is below
 *   FD_SETSIZE. In a process with more open files than that, a program that is started during a
 *   look-up may inherit the pair.
 *
 * Later versions of libcurl set close-on-exec themselves; then there is nothing to do here.
 */
#ifndef HOSTFLAGS_INHERIT_H
#define HOSTFLAGS_INHERIT_H

/* wake(arg) writes one byte of value 1 to one end of its pair. Best effort; Linux (/proc). */
void hf_inherit_no_wake_pair(void (*wake)(void *arg), void *arg);

/* end: a descriptor of libcurl's, of any kind; if it is one end of an inheritable pair, neither end
 * is afterwards. */
void hf_inherit_no_pair(int end);

#endif

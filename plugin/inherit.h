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
 * - Of a look-up's pair libcurl tells one end, among the sockets it waits for. The other has been
 *   made by the same call: it has the next inode number. (libcurl tells numbers below FD_SETSIZE
 *   only: in a process with more open files a program that is started during a look-up may inherit
 *   that pair.)
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

/* SPDX-License-Identifier: PostgreSQL
 *
 * fds.h: descriptors and threads of a process, from /proc, to find what leaks.
 *
 * A thread that was just joined may be listed for a moment longer: wait for the count
 * (HF_WAIT_UNTIL), do not just read it. pid 0 is this process.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FDS_H
#define HOSTFLAGS_TESTS_SUPPORT_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How many descriptors are open (the one used for counting aside); -1: no such process, or not
 * ours to look at. */
int hf_fds_count(pid_t pid);

/* One line "5 socket:[1234]" per open descriptor, for the caller to free; NULL as above. */
char *hf_fds_text(pid_t pid);

/* How many threads the process has; -1 as above. */
int hf_fds_threads(pid_t pid);

/* Whether all other threads of this process sleep. */
bool hf_fds_others_sleep(void);

/* Its resident memory in kB; -1 as above. */
long hf_fds_resident_kb(pid_t pid);

/* The most memory that was resident in this process since its start or the latest reset, in kB; -1
 * as above. False: it cannot be reset. */
long hf_fds_peak_kb(void);
bool hf_fds_reset_peak(void);

#endif

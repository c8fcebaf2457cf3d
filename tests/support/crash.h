/* SPDX-License-Identifier: PostgreSQL
 *
 * crash.h: kills a process right after the n-th instruction that changed shared memory, to see what
 * the others make of what it left behind. A sweep over all of them:
 *
 *     for (unsigned n = 1;; n++) {
 *         set_up_anew();
 *         ended = hf_crash_at(&crash, n, error, sizeof(error));
 *         check_what_is_left();
 *         if (ended != 1)
 *             break;
 *     }
 *     CHECK_INT_EQ(ended, 0);
 *
 * The child is run one instruction at a time by ptrace, and after each one the regions are compared
 * with what they were: some 50,000 instructions a second with 64 KiB to compare, 20,000 with 1 MiB.
 * So keep step short and leave to prepare what need not be watched, the first call of a function of
 * a shared library included (its name is looked up then). For that time, caller and child share one
 * processor: several times as fast as waking each other across two.
 *
 * What counts as one instruction: one round of a repeated one (rep movsb); a system call, with all
 * that the kernel did meanwhile. Not stepped are other threads of the child; a change they or other
 * processes make counts with the instruction during which it came. An instruction that stores what
 * was there already changes nothing. Signals reach the child as they would otherwise, SIGTRAP
 * aside. A pair of exclusive load and store (aarch64 before 8.1) never succeeds when stepped: such
 * a run ends by its bound.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_CRASH_H
#define HOSTFLAGS_TESTS_SUPPORT_CRASH_H

#include <stddef.h>
#include <stdint.h>

struct hf_crash_region {
    const volatile void *start; /* of memory that the child shares: MAP_SHARED, mapped already */
    size_t size;
};

struct hf_crash {
    void (*prepare)(void *ctx); /* first, in the child, unwatched at full speed; NULL: nothing */
    void (*step)(void *ctx); /* tells of a failure by _exit with another status than 0 */
    void *ctx;
    const struct hf_crash_region *regions;
    size_t count;
    int64_t timeout_ms; /* bound of one run, from fork to end; multiplied by HF_SLOW */
};

#define HF_CRASH_REFUSED (-2)

/* Forks a child that runs prepare and step, and sends it SIGKILL right after the n-th instruction
 * (from 1) of step that changed a byte of the regions. 1: it was killed there; 0: step returned
 * before; -1: it ended otherwise, or not in time; HF_CRASH_REFUSED: this machine does not let it
 * be traced. Where negative, error says why (in less than 128 bytes). In any case the child is
 * reaped when this returns. From one thread at a time; takes SIGRTMAX for itself. */
int hf_crash_at(const struct hf_crash *crash, unsigned n, char *error, size_t error_size);

/* Why that cannot be done here, for hf_test_skip(); NULL: it can, for it has just been tried. */
const char *hf_crash_unavailable(void);

#endif

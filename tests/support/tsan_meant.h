/* SPDX-License-Identifier: PostgreSQL
 *
 * tsan_meant.h: races that are meant, in programs that end the cache beside threads that use it.
 * Include it once in such a program; all else that ThreadSanitizer says is a finding. Each name is
 * that of one function, and of nothing that it is called by:
 *
 *     hf_memory_zero      fini puts zero pages in place of the cache's in one step, by mmap, which
 *                         ThreadSanitizer takes for a plain write to each byte. Whoever reads a
 *                         word at that moment finds the old one or zero, and both answer defaults.
 *     hf_memory_share     the same where init puts shared pages in place of private ones.
 *     is_key_of           a thread found a host by its hash and counted itself in, then fini and
 *                         init came, and a host of the next life is given its key in the same
 *                         slot while the thread still compares. The comparison stays within the
 *                         key (the length is the thread's own key's) and may say anything: after
 *                         it the thread either counts itself out, in the name of a base of
 *                         generations that nobody counts in any more, or claims a connection word
 *                         and then finds that the block's base is another one, and gives it back
 *                         (registry.c: connect_to). Within one life there is no race: a key
 *                         changes only while its host is dead and nobody is counted in.
 *                         tests/unit/test_late.c stops a thread at each of these instructions.
 *
 * A key of atomic words would do without the last one, but a comparison of many such words is
 * slower than memcmp, on the path of every connection.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_TSAN_MEANT_H
#define HOSTFLAGS_TESTS_SUPPORT_TSAN_MEANT_H

#if defined(__SANITIZE_THREAD__)
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:hf_memory_zero\nrace:hf_memory_share\nrace:is_key_of";
}
#endif

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * sanitizer.c: tells ThreadSanitizer about libuv, in builds that have it (make SANITIZE=tsan).
 *
 * libuv as distributions build it closes descriptors by a bare system call, which ThreadSanitizer
 * does not see. It takes the next use of the same number, in another thread, for a race with the
 * accept() of the old one. So what libuv calls is not looked at; what our callbacks do still is.
 *
 * The plugin's worker looks through all open descriptors for two of libcurl's (inherit.h): that it
 * comes upon one that is being opened here is meant to be so.
 */
#ifdef __SANITIZE_THREAD__

/* Called by the sanitizer's run time. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libuv.so.1\nrace:find_mark\n";
}

#else

typedef int hf_no_sanitizer; /* a source file must not be empty */

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * where.h: addresses of this program and of what it has loaded, as words. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_OOM_WHERE_H
#define HOSTFLAGS_TESTS_OOM_WHERE_H

#include <stdbool.h>

/* "Curl_open in libcurl.so.4", "settings.c:88 (read_list) in hostflags.so"; borrowed until the next
 * call. */
const char *hf_where(void *address);

/* Whether it is in code of the object whose file's name has that in it. */
bool hf_where_is_in(const void *address, const char *object);

/* A line for each frame that is not this program's own. */
void hf_where_print(void *const *frames, int depth);

#endif

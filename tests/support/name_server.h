/* SPDX-License-Identifier: PostgreSQL
 *
 * name_server.h: keeps look-ups of names on this machine: resolv.conf, for this process and its
 * children alone, names a loopback address. Where nobody listens there, a look-up fails at once.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_NAME_SERVER_H
#define HOSTFLAGS_TESTS_SUPPORT_NAME_SERVER_H

#include <stdbool.h>

#define HF_NAME_SERVER "127.0.0.77" /* port 53 */

/* Enters a mount namespace in which files in /etc are covered by ours. NULL, or a constant text:
 * why this machine does not allow it (errno says more). Before the first thread and the first
 * look-up. */
const char *hf_name_server_cover(void);

/* Whether that was done, by whomever: test programs do it as they start (suite.c). A test that
 * needs a look-up to fail skips itself otherwise. */
bool hf_name_server_is_covered(void);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * server_user.h: whom a server runs as that refuses to run as root, such as PostgreSQL's. Main
 * thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_SERVER_USER_H
#define HOSTFLAGS_TESTS_SUPPORT_SERVER_USER_H

#include <pwd.h>

/* NULL: ourselves. Otherwise as getpwnam gives it: valid until its next call. */
const struct passwd *hf_server_user(void);

#define HF_SERVER_USER_WORDS 4 /* what a command has more, at most, when that user runs it */

/* Fills argv with the words (NULL-terminated, borrowed) of a command that runs as that user. argv
 * has room for them, their NULL and HF_SERVER_USER_WORDS; it is valid until the next call. */
void hf_server_user_command(const char **argv, const char *const *words);

#endif

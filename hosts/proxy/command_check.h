/* SPDX-License-Identifier: PostgreSQL
 *
 * command_check.h: `hostflags-host check`: asks the flag service of one upstream once, through the
 * plugin and with the settings of a configuration file, and says what came of it. Main thread, in a
 * program that runs nothing else.
 */
#ifndef HOSTFLAGS_PROXY_COMMAND_CHECK_H
#define HOSTFLAGS_PROXY_COMMAND_CHECK_H

/* argv: the words after "check", NULL-terminated. The exit status: 0 the flag is on, 1 it is off, 2
 * unknown (it was not sent, or nothing is asked), 3 an error. */
int hf_check_command(char **argv);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * command_status.h: `hostflags-host status`: shows once what a running proxy's plugin knows.
 */
#ifndef HOSTFLAGS_PROXY_COMMAND_STATUS_H
#define HOSTFLAGS_PROXY_COMMAND_STATUS_H

/* argv: the words after "status", NULL-terminated. The program's exit status: 0, or
 * HF_STATUS_FAILED with a sentence on stderr. */
int hf_status_command(char **argv);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * command_top.h: `hostflags-host top`: the table of `status`, drawn again each second.
 */
#ifndef HOSTFLAGS_PROXY_COMMAND_TOP_H
#define HOSTFLAGS_PROXY_COMMAND_TOP_H

/* argv: the words after "top", NULL-terminated. The program's exit status: 0 when it was ended by
 * its user, or HF_STATUS_FAILED with a sentence on stderr. A proxy that is not there is no failure:
 * it is waited for. */
int hf_top_command(char **argv);

#endif

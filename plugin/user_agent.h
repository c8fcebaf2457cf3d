/* SPDX-License-Identifier: PostgreSQL
 *
 * user_agent.h: how we introduce ourselves: "hostflags/1.0.0 (odyssey 1.5.1)".
 */
#ifndef HOSTFLAGS_USER_AGENT_H
#define HOSTFLAGS_USER_AGENT_H

#define HF_USER_AGENT_MAX 256 /* bytes with the NUL */

/* Name and version of the host program; either may be NULL. Of each at most 100 characters are
 * taken, less those that have a meaning in the header (RFC 9110, 5.6.5) or are not printable. */
void hf_user_agent(char agent[HF_USER_AGENT_MAX], const char *name, const char *version);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * lent.h: what the host program lends us (struct hf_host), and the calls into it.
 *
 * A gate counts who is inside a callback: it is open between hf_lent_open and hf_lent_close, and
 * closing waits until nobody is inside. take, open and close are called by one thread at a time;
 * the calls into the host by any.
 */
#ifndef HOSTFLAGS_LENT_H
#define HOSTFLAGS_LENT_H

#include "host_api.h"
#include "plugin/auth.h"
#include "plugin/log.h"

/* Whether the header is one of this version's, and its table has `needed` bytes. */
bool hf_is_ours(const struct hf_header *header, size_t needed);

/* Copies the members that both sides know; theirs may be NULL. False: it is of another version. */
bool hf_lent_take(const struct hf_host *theirs);

void hf_lent_open(void);
void hf_lent_close(void);

/* The host program's name and version, for the User-Agent; NULL: it did not say. */
const char *hf_lent_name(void);
const char *hf_lent_version(void);

/* Whether the calling thread is inside a callback of the host's. */
bool hf_lent_in_callback(void);

/* In a child after a fork. */
void hf_lent_forked(void);

/* The host's log and get_token as the engine knows them. */
extern const struct hf_log hf_lent_log;
extern const struct hf_token_giver *hf_lent_giver(void);

#endif

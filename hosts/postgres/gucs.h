/* SPDX-License-Identifier: PostgreSQL
 *
 * gucs.h: the engine's table of settings as PostgreSQL's configuration parameters: hostflags.ttl
 * and so on.
 *
 * Durations, sizes and numbers are integers with a unit and a range, switches booleans, the rest
 * text that is checked as soon as it is set. What needs a restart is PGC_POSTMASTER, all else
 * PGC_SIGHUP: there is one cache for the whole server, so nothing can be set per session. Left out
 * are `share`, which has no meaning here, and `token_env`: a token comes from a file.
 *
 * What differs from the plugin: allowed_hosts empty means none, and proxy may hold no password,
 * since SHOW would tell it.
 */
#ifndef HOSTFLAGS_POSTGRES_GUCS_H
#define HOSTFLAGS_POSTGRES_GUCS_H

#include "hosts/postgres/compat.h"

#include "plugin/settings.h"

/* In the postmaster, while it preloads us. */
void hf_pg_gucs_define(void);

/* Settings as the parameters are at present, for hf_settings_destroy, if that is not as at the last
 * call; else NULL. No file is looked at here, only when a parameter is set.
 *
 * told: "", or what does not fit together. At the first call, in the postmaster, there are no
 * settings then; afterwards the two parameters count as they were at that call, and all others as
 * they are. So what counts depends on the parameters alone, in every process, whatever it has seen
 * before. (Or there is no memory: then there are no settings, and the next call tries again.) */
struct hf_settings *hf_pg_gucs_take(char *told, size_t size);

/* Writes that to the server's log, if it says anything. */
void hf_pg_gucs_log(const char *told);

#endif

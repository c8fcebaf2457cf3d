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

/* In the postmaster, while it preloads us: define them, and once they are known to fit together,
 * keep how they are. */
void hf_pg_gucs_define(void);
void hf_pg_gucs_keep_start(void);

/* Settings as the parameters are at present, for hf_settings_destroy, if that is not as at the last
 * call; else NULL. told: "", or what does not fit together: before keep_start there are no settings
 * then, and afterwards these two parameters count as at the start of the server, all others as they
 * are. So what counts depends on the parameters alone, in every process, whatever it has seen
 * before. (told without settings may also mean that there is no memory, or that nothing else has
 * changed.) No file is looked at here, only when a parameter is set. */
struct hf_settings *hf_pg_gucs_take(char *told, size_t size);

#endif

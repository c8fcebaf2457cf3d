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

/* In the postmaster, while it preloads us. before_reload is called there at every later reload,
 * when the parameters still are what the reload before has made of them. */
void hf_pg_gucs_define(void (*before_reload)(void));

/* Settings as the parameters are at present, for hf_settings_destroy. NULL: what they mean together
 * is refused, or there is no memory; error says why. All processes come to the same result: files
 * are not looked at. (Whether one is there is checked when its parameter is set.) */
struct hf_settings *hf_pg_gucs_read(char *error, size_t error_size);

/* Whether any has another value than at the last call. After a refusal it is said so once more at
 * the next reload, whatever that changes. */
bool hf_pg_gucs_changed(void);

#endif

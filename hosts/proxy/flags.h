/* SPDX-License-Identifier: PostgreSQL
 *
 * flags.h: the plugin as the rest of the proxy sees it. flags.c is the only file of the proxy that
 * calls the plugin's table: this is the part that another proxy copies.
 *
 * Without a plugin everything here works as well: connections get HF_NO_CONN, every flag is off.
 *
 * Threads: load, reload, resolve and unload are called by the main thread, load before the loop
 * threads start and unload after they have been joined; the others by any thread in between.
 */
#ifndef HOSTFLAGS_PROXY_FLAGS_H
#define HOSTFLAGS_PROXY_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hosts/proxy/config.h"

/* Loads the plugin that the configuration names, if any, and initialises it with its settings. On
 * an error the sentence in `error` says why, nothing stays loaded, and the result is a negative
 * HF_E_ value. */
int hf_flags_load(const struct hf_config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Sets each upstream's `flag` from its telemetry_flag: the position of that name in the plugin's
 * list of flags. HF_E_NOTFOUND: the plugin knows no such flag, as `error` says. */
int hf_flags_resolve(struct hf_config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Hands the settings of the new configuration to a plugin that can take them while it runs. What
 * needs a restart instead (another library; a plugin that has no reload) is logged and left as it
 * is. A negative result: the plugin refused, as `error` says, and goes on with the old ones. */
int hf_flags_reload(const struct hf_config *old, const struct hf_config *config, char *error,
    size_t error_size) __attribute__((warn_unused_result));

/* Whether the plugin has a flag of that name, or cannot say. */
bool hf_flags_knows(const char *name);

/* A reference for a connection to that upstream that has just been established. HF_NO_CONN: the
 * plugin refused it, and has said why in the log; the connection itself goes on. */
hf_conn hf_flags_connect(const struct hf_config_upstream *upstream);

/* Gives the reference back; HF_NO_CONN is fine. */
void hf_flags_disconnect(hf_conn conn);

/* Whether the upstream's telemetry flag is on. Never waits. */
bool hf_flags_enabled(hf_conn conn, const struct hf_config_upstream *upstream);

/* The plugin's status in a format (HF_STATUS_), for the caller to free. Where there is no plugin,
 * or it has no such status: "{}", or a comment line for Prometheus. NULL: no memory. */
char *hf_flags_status(int32_t format);

/* Ends the plugin. Does nothing when none is loaded. */
void hf_flags_unload(void);

#endif

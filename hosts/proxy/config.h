/* SPDX-License-Identifier: PostgreSQL
 *
 * config.h: what the configuration file says, as one snapshot.
 *
 *     [proxy]                 one section: the program
 *     [upstream:NAME]         one or more: a listening address and the server behind it
 *     [plugin:NAME]           none or one: `library`, and the plugin's own settings, untouched
 *
 * Ownership and threads: a snapshot never changes once the main thread has published it to the loop
 * threads. It is shared by counted references: the main thread has one, and so has each connection
 * that was opened under it, so that a reload takes nothing away from a running session. Reading is
 * for one thread at a time; acquire, release and the members are for any thread.
 */
#ifndef HOSTFLAGS_PROXY_CONFIG_H
#define HOSTFLAGS_PROXY_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host_api.h"
#include "hosts/proxy/value.h"

/* [upstream:NAME]. Strings are never NULL unless said. */
struct hf_config_upstream {
    char *name;
    int line; /* of the section in the file */
    char *listen_text; /* as written: for messages, and to recognise a listener on reload */
    struct hf_address listen;
    char *connect_text;
    struct hf_address connect;
    char *host; /* whose flags apply: passed to the plugin */
    char *org_id; /* NULL: none */
    char *telemetry_flag; /* NULL: that of [proxy] */
    int64_t pool_size; /* upstream connections kept open, over all loops of all processes */
    uint32_t flag; /* the position of telemetry_flag; set by hf_flags_resolve */
};

/* [plugin:NAME] */
struct hf_config_plugin {
    char *name; /* NULL: there is no such section */
    int line;
    char *library;
    struct hf_setting *settings; /* owned, also the strings */
    size_t setting_count;
};

struct hf_config {
    atomic_uint references;
    char *path;
    /* [proxy] */
    int64_t processes; /* 1: no workers beside the program itself */
    int64_t threads; /* of each process */
    int64_t log_level; /* HF_LOG_ */
    char *telemetry; /* a path, "-" (stdout) or "stderr" */
    char *telemetry_flag; /* NULL: the plugin's first flag */
    char *status_socket; /* NULL: none */
    int64_t drain_timeout_ms, connect_timeout_ms, half_close_timeout_ms;

    struct hf_config_upstream *upstreams;
    size_t upstream_count;
    struct hf_config_plugin plugin;
};

/* Told about each problem: one sentence with file, line, key, value and what is valid. */
typedef void hf_config_report(void *ctx, const char *sentence);

/* Reads and checks the file; all problems are reported. NULL: there were some. Otherwise a snapshot
 * with one reference. */
struct hf_config *hf_config_read(const char *path, hf_config_report *report, void *ctx)
    __attribute__((warn_unused_result));

struct hf_config *hf_config_acquire(struct hf_config *config);

/* Frees the snapshot with its last reference. NULL is fine. */
void hf_config_release(struct hf_config *config);

/* Whether the plugin's section says that processes share what it knows. */
bool hf_config_shares(const struct hf_config *config);

/* The upstream of that name, or NULL. */
const struct hf_config_upstream *hf_config_find(const struct hf_config *config, const char *name);

/* Whether connections opened for the one serve the other as well. */
bool hf_config_same_server(
    const struct hf_config_upstream *one, const struct hf_config_upstream *other);

#endif

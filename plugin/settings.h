/* SPDX-License-Identifier: PostgreSQL
 *
 * settings.h: the settings of the host's config section, checked, in the engine's units.
 *
 * The table in settings_table.c (key, default, valid values, help, reload rule, where the value
 * goes) drives parsing, error messages and the table in the README. A settings object is made,
 * filled, checked once and then never changed: any thread may read it.
 */
#ifndef HOSTFLAGS_SETTINGS_H
#define HOSTFLAGS_SETTINGS_H

#include "plugin/protocol.h"
#include "plugin/rules.h"
#include "plugin/schedule.h"

#include <stdio.h>

enum hf_allow_http { HF_HTTP_OFF = 0, HF_HTTP_LOOPBACK = 1, HF_HTTP_ANY = 2 };

struct hf_settings {
    const char **flags; /* flag_count names, 1 to HF_MAX_FLAGS; position = flag number */
    uint32_t flag_count;
    struct hf_rules rules;
    bool prefetch, share;
    const struct hf_protocol *protocol;
    char *endpoint, *service; /* NULL: the protocol's, the upstream's own */
    char *client, *client_version; /* client_version: its -suffix stripped */
    struct hf_policy policy;
    int64_t connect_timeout_ms, request_timeout_ms;
    int64_t max_response_bytes;
    uint32_t max_in_flight, max_hosts, max_connections;
    char *token_file, *token_env; /* NULL: none; at most one of them */
    char *token; /* a copy of what token_env named; NULL: it was not set, or is not used */
    char *allowed_hosts; /* patterns, see allowed.h; NULL: any */
    char *ca_file; /* NULL: libcurl's own */
    char *client_cert_file, *client_key_file; /* NULL: none; none, or in the same file */
    char *proxy; /* NULL: as the environment says */
    enum hf_allow_http allow_http;
    /* Further members are private to settings.c (what was set, for duplicates). */
    uint64_t seen;
    char *flags_text, *defaults_text, *overrides_text;
};

/* In token_file: stands for the host's name. */
#define HF_HOST_PLACEHOLDER "{host}"

/* All defaults. NULL: out of memory. */
struct hf_settings *hf_settings_create(void);

#define HF_SETTINGS_NO_MEMORY (-2)

/* Takes one line of the config section; blanks around the value do not count. 0;
 * HF_SETTINGS_NO_MEMORY; or -1: error (error_size bytes, NUL-terminated, cut to size; may be NULL
 * with size 0) names the key, the value and what would be valid, and for an unknown key the nearest
 * one. No error shows what may be a secret: user and password in a URL, the values of token_env and
 * token_file (which may be the token itself, by mistake), or that of an unknown key where its name
 * or its looks say so. A key that comes twice is an error. After an error the object can only be
 * destroyed. */
int hf_settings_set(struct hf_settings *settings, const char *key, const char *value, char *error,
    size_t error_size) __attribute__((warn_unused_result));

/* Whether every file is there that is to be read but for tokens; else error says which is not. */
int hf_settings_check_files(const struct hf_settings *settings, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* To be called once, after the last line: what concerns several keys (defaults and overrides must
 * name known flags, ttl_min <= ttl_max, a key needs its certificate, a token that is not per host
 * needs allowed_hosts), and the environment. */
int hf_settings_join(struct hf_settings *settings, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Both. */
int hf_settings_finish(struct hf_settings *settings, char *error, size_t error_size)
    __attribute__((warn_unused_result));

void hf_settings_destroy(struct hf_settings *settings); /* NULL is fine */

/* Whether `wanted` changes a setting of `current` that needs a restart of the host program. Then
 * error names all of these, as in hf_settings_set. */
bool hf_settings_refuse_restart(const struct hf_settings *current, const struct hf_settings *wanted,
    char *error, size_t error_size);

/* Whether the two make the same requests. Where not, an ETag of the one means nothing to the other,
 * and what failed may work now. */
bool hf_settings_same_requests(const struct hf_settings *one, const struct hf_settings *other);

/* The number of a flag, or -1. */
int hf_settings_flag_index(const struct hf_settings *settings, const char *name);

/* Writes the table of all settings: as Markdown for the README, as mdoc(7) for hostflags(7). */
void hf_settings_print_markdown(FILE *out);
void hf_settings_print_mdoc(FILE *out);

#endif

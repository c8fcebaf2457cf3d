/* SPDX-License-Identifier: PostgreSQL
 *
 * settings_table.h: one row per setting, with all that is special to it. settings.c reads values by
 * it, defaults included; error messages and the table in the README say what stands here. Constant;
 * any thread.
 */
#ifndef HOSTFLAGS_SETTINGS_TABLE_H
#define HOSTFLAGS_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a value is read, and the type of its member. */
enum hf_kind {
    HF_KIND_FLAGS, /* flags, flag_count and flags_text */
    HF_KIND_PROTOCOL, /* protocol */
    HF_KIND_TEXT, /* char *, looked at by hf_settings_finish; empty: NULL, as of the next five */
    HF_KIND_PATH, /* char *, an absolute path, with placeholders */
    HF_KIND_FILE, /* char *, the path of a file that can be read, as finish sees to */
    HF_KIND_ENDPOINT,
    HF_KIND_SERVICE,
    HF_KIND_PROXY, /* char *, a URL */
    HF_KIND_VARIABLE, /* char *, a name in the environment */
    HF_KIND_HOSTS, /* char *, see allowed.h; empty: NULL */
    HF_KIND_WORD, /* char *, part of a path */
    HF_KIND_VERSION, /* a word up to its first '-' */
    HF_KIND_SWITCH, /* bool */
    HF_KIND_DURATION, /* int64_t, ms */
    HF_KIND_SIZE, /* int64_t, bytes */
    HF_KIND_COUNT, /* uint32_t */
    HF_KIND_ALLOW_HTTP /* enum hf_allow_http */
};

struct hf_setting_row {
    const char *key;
    const char *initial; /* the default, as an operator would write it */
    enum hf_kind kind;
    size_t member; /* offset in struct hf_settings; 0 where the kind says it */
    int64_t min, max; /* of a number, in its member's unit */
    const char *valid; /* of anything else: completes "expected ..."; of the protocol:
                          NULL, the table of protocols says it */
    const char *help; /* a sentence or two, for the README */
    bool restart; /* a change needs a restart of the host program */
    bool request; /* a change makes another request of it */
    bool private; /* the value is never shown: it may be a secret, by mistake */
};

#define HF_SETTINGS_COUNT 30

extern const struct hf_setting_row hf_settings_table[HF_SETTINGS_COUNT];

/* Writes what completes "expected ...": `valid`, or the range with its units. */
void hf_settings_describe_valid(const struct hf_setting_row *row, char *out, size_t size);

#endif

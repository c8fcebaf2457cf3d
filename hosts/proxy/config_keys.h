/* SPDX-License-Identifier: PostgreSQL
 *
 * config_keys.h: the table of the file's keys, and how a line `key = value` gets into a snapshot.
 * Between config.c, which knows sections and the whole, and config_keys.c, which knows keys. One
 * thread.
 */
#ifndef HOSTFLAGS_PROXY_CONFIG_KEYS_H
#define HOSTFLAGS_PROXY_CONFIG_KEYS_H

#include "hosts/proxy/config.h"

/* Which table a section's keys come from. BAD: it is unknown or repeated; its keys are skipped. */
enum hf_section { HF_SECTION_BAD, HF_SECTION_PROXY, HF_SECTION_UPSTREAM, HF_SECTION_PLUGIN };

enum { HF_CONFIG_MAX_KEYS = 16 };

/* One reading of one file. */
struct hf_reading {
    struct hf_config *config;
    hf_config_report *report;
    void *ctx;
    int problems;
    int proxy_line; /* of [proxy], or 0 */
    enum hf_section section;
    char section_name[64]; /* as written, for messages */
    int seen[HF_CONFIG_MAX_KEYS]; /* in this section: the line of each key of the table, or 0 */
};

/* Reports a sentence about a line (0: the whole file) and counts it. */
void hf_reading_problem(struct hf_reading *reading, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the value into the current section: [proxy], the last upstream, the plugin; or reports why
 * that cannot be. */
void hf_reading_set(struct hf_reading *reading, int line, const char *key, const char *value);

/* Sets the defaults of a section's keys in its struct (a hf_config or a hf_config_upstream). */
void hf_reading_set_defaults(enum hf_section section, void *target);

#endif

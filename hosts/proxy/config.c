/* SPDX-License-Identifier: PostgreSQL
 *
 * config.c: see config.h. Reads by ini.h, line by line, into a snapshot under construction; then
 * checks what only the whole file can tell.
 */
#include "hosts/proxy/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hosts/proxy/config_keys.h"
#include "hosts/proxy/ini.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/nearest.h"

static bool is_section(const char *section, const char *kind, const char **name)
{
    size_t length = strlen(kind);

    if (strncmp(section, kind, length) != 0 || section[length] != ':')
        return false;
    *name = section + length + 1 + strspn(section + length + 1, " \t");
    return true;
}

static enum hf_section begin_proxy(struct hf_reading *reading, int line)
{
    if (reading->proxy_line > 0) {
        hf_reading_problem(reading, line,
            "a second section [proxy], the first is in line %d; expected one", reading->proxy_line);
        return HF_SECTION_BAD;
    }
    reading->proxy_line = line;
    return HF_SECTION_PROXY;
}

static enum hf_section begin_upstream(struct hf_reading *reading, int line, const char *name)
{
    struct hf_config *config = reading->config;
    const struct hf_config_upstream *same = hf_config_find(config, name);
    struct hf_config_upstream *upstream;

    if (!*name) {
        hf_reading_problem(reading, line, "[upstream:] has no name; expected [upstream:NAME]");
        return HF_SECTION_BAD;
    }
    if (same) {
        hf_reading_problem(reading, line,
            "a second section [upstream:%s], the first is in line %d; expected one for each name",
            name, same->line);
        return HF_SECTION_BAD;
    }
    config->upstreams =
        hf_memory_grow(config->upstreams, config->upstream_count, sizeof(*upstream));
    upstream = &config->upstreams[config->upstream_count++];
    hf_reading_set_defaults(HF_SECTION_UPSTREAM, upstream);
    upstream->name = hf_memory_copy(name);
    upstream->line = line;
    return HF_SECTION_UPSTREAM;
}

static enum hf_section begin_plugin(struct hf_reading *reading, int line, const char *name)
{
    struct hf_config_plugin *plugin = &reading->config->plugin;

    if (!*name) {
        hf_reading_problem(reading, line, "[plugin:] has no name; expected [plugin:hostflags]");
        return HF_SECTION_BAD;
    }
    if (plugin->name) {
        hf_reading_problem(reading, line,
            "a second plugin section [plugin:%s], the first is in line %d; expected one at most",
            name, plugin->line);
        return HF_SECTION_BAD;
    }
    plugin->name = hf_memory_copy(name);
    plugin->line = line;
    return HF_SECTION_PLUGIN;
}

static enum hf_section unknown_section(struct hf_reading *reading, int line, const char *section)
{
    static const char *const words[] = {"proxy", "upstream", "plugin", NULL};
    char kind[64];
    const char *nearest;

    snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(section, ":"), section);
    nearest = hf_nearest_word(kind, words);
    if (nearest)
        hf_reading_problem(reading, line, "unknown section [%s]; did you mean [%s%s]?", section,
            nearest, strcmp(nearest, "proxy") == 0 ? "" : ":NAME");
    else
        hf_reading_problem(reading, line,
            "unknown section [%s]; expected [proxy], [upstream:NAME] or [plugin:NAME]", section);
    return HF_SECTION_BAD;
}

static void on_section(void *ctx, int line, const char *section)
{
    struct hf_reading *reading = ctx;
    const char *name;

    memset(reading->seen, 0, sizeof(reading->seen));
    snprintf(reading->section_name, sizeof(reading->section_name), "%s", section);
    if (strcmp(section, "proxy") == 0)
        reading->section = begin_proxy(reading, line);
    else if (is_section(section, "upstream", &name))
        reading->section = begin_upstream(reading, line, name);
    else if (is_section(section, "plugin", &name))
        reading->section = begin_plugin(reading, line, name);
    else
        reading->section = unknown_section(reading, line, section);
}

static void on_pair(void *ctx, int line, const char *key, const char *value)
{
    hf_reading_set(ctx, line, key, value);
}

static void on_problem(void *ctx, int line, const char *sentence)
{
    hf_reading_problem(ctx, line, "%s", sentence);
}

/* Two listeners cannot have the same address, but for port 0: "any". */
static void check_listen(struct hf_reading *reading, const struct hf_config_upstream *upstream)
{
    const struct hf_config_upstream *other = reading->config->upstreams;

    for (; other < upstream; other++)
        if (other->listen_text && upstream->listen.port != 0 &&
            strcmp(other->listen_text, upstream->listen_text) == 0)
            hf_reading_problem(reading, upstream->line,
                "[upstream:%s] and [upstream:%s] both listen on %s; expected an address for each",
                other->name, upstream->name, upstream->listen_text);
}

static void check_upstream(struct hf_reading *reading, struct hf_config_upstream *upstream)
{
    if (!upstream->listen_text)
        hf_reading_problem(reading, upstream->line,
            "section [upstream:%s] lacks the key `listen`; expected an address such as "
            "127.0.0.1:6432",
            upstream->name);
    else
        check_listen(reading, upstream);
    if (!upstream->connect_text)
        hf_reading_problem(reading, upstream->line,
            "section [upstream:%s] lacks the key `connect`; expected a server such as "
            "db.example.com:5432",
            upstream->name);
    else if (!upstream->host)
        upstream->host = hf_memory_copy(upstream->connect.host);
}

/* Run only on a file that had no problems so far: a key that was not understood is not missing. */
static void check_whole(struct hf_reading *reading)
{
    struct hf_config *config = reading->config;

    if (config->upstream_count == 0)
        hf_reading_problem(
            reading, 0, "there is no section [upstream:NAME]; expected one for each server");
    for (size_t i = 0; i < config->upstream_count; i++)
        check_upstream(reading, &config->upstreams[i]);
    if (config->plugin.name && !config->plugin.library)
        hf_reading_problem(reading, config->plugin.line,
            "section [plugin:%s] lacks the key `library`; expected the path of the plugin",
            config->plugin.name);
    if (!config->telemetry)
        config->telemetry = hf_memory_copy("-");
}

struct hf_config *hf_config_read(const char *path, hf_config_report *report, void *ctx)
{
    struct hf_reading reading = {.report = report, .ctx = ctx};
    struct hf_ini_events events = {&reading, on_section, on_pair, on_problem};
    struct hf_config *config = hf_memory_new(sizeof(*config));

    reading.config = config;
    config->path = hf_memory_copy(path);
    hf_reading_set_defaults(HF_SECTION_PROXY, config);
    hf_ini_read(path, &events);
    if (reading.problems == 0)
        check_whole(&reading);
    config->references = 1;
    if (reading.problems == 0)
        return config;
    hf_config_release(config);
    return NULL;
}

struct hf_config *hf_config_acquire(struct hf_config *config)
{
    atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    return config;
}

static void free_upstream(struct hf_config_upstream *upstream)
{
    free(upstream->name);
    free(upstream->listen_text);
    free(upstream->connect_text);
    free(upstream->host);
    free(upstream->org_id);
    free(upstream->telemetry_flag);
}

static void free_plugin(struct hf_config_plugin *plugin)
{
    for (size_t i = 0; i < plugin->setting_count; i++) {
        free((char *)plugin->settings[i].key);
        free((char *)plugin->settings[i].value);
    }
    free(plugin->settings);
    free(plugin->name);
    free(plugin->library);
}

void hf_config_release(struct hf_config *config)
{
    if (!config || atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < config->upstream_count; i++)
        free_upstream(&config->upstreams[i]);
    free(config->upstreams);
    free_plugin(&config->plugin);
    free(config->path);
    free(config->telemetry);
    free(config->telemetry_flag);
    free(config->status_socket);
    free(config);
}

const struct hf_config_upstream *hf_config_find(const struct hf_config *config, const char *name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (strcmp(config->upstreams[i].name, name) == 0)
            return &config->upstreams[i];
    return NULL;
}

/* As the plugin reads a switch. */
static bool is_on(const char *value)
{
    static const char *const words[] = {"on", "true", "yes", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

bool hf_config_shares(const struct hf_config *config)
{
    const struct hf_config_plugin *plugin = &config->plugin;

    for (size_t i = 0; i < plugin->setting_count; i++)
        if (strcmp(plugin->settings[i].key, "share") == 0)
            return is_on(plugin->settings[i].value);
    return false;
}

static bool same_text(const char *one, const char *other)
{
    return strcmp(one ? one : "", other ? other : "") == 0;
}

bool hf_config_same_server(
    const struct hf_config_upstream *one, const struct hf_config_upstream *other)
{
    return same_text(one->connect_text, other->connect_text) && same_text(one->host, other->host) &&
        same_text(one->org_id, other->org_id);
}

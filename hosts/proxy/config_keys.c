/* SPDX-License-Identifier: PostgreSQL
 *
 * config_keys.c: see config_keys.h. A key is a row of a table: adding one means a row here, a
 * member in config.h, and a line in the help text of main.c.
 */
#include "hosts/proxy/config_keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "hosts/proxy/memory.h"
#include "hosts/proxy/nearest.h"

enum kind { TEXT, SOCKET_PATH, INTEGER, DURATION, LEVEL, LISTEN, CONNECT };

struct key {
    enum hf_section section;
    const char *name;
    enum kind kind;
    size_t offset; /* in hf_config or hf_config_upstream: a char * or an int64_t */
    int64_t min, max, initial; /* of numbers and durations (ms) */
    const char *expected;
};

#define PROXY(member) HF_SECTION_PROXY, #member
#define IN_PROXY(member) offsetof(struct hf_config, member)
#define UPSTREAM(member) HF_SECTION_UPSTREAM, #member
#define IN_UPSTREAM(member) offsetof(struct hf_config_upstream, member)

enum { DAY_MS = 24 * 60 * 60 * 1000, MAX_POOL_SIZE = 10000, MAX_PROCESSES = 64, MAX_THREADS = 64 };

static const struct key keys[] = {
    {PROXY(processes), INTEGER, IN_PROXY(processes), 1, MAX_PROCESSES, 1,
        "a whole number from 1 to 64"},
    {PROXY(threads), INTEGER, IN_PROXY(threads), 1, MAX_THREADS, 4, "a whole number from 1 to 64"},
    {PROXY(log_level), LEVEL, IN_PROXY(log_level), 0, 0, HF_LOG_INFO,
        "error, warning, info or debug"},
    {PROXY(telemetry), TEXT, IN_PROXY(telemetry), 0, 0, 0, "a file, - for stdout, or stderr"},
    {PROXY(telemetry_flag), TEXT, IN_PROXY(telemetry_flag), 0, 0, 0, "the name of a flag"},
    {PROXY(status_socket), SOCKET_PATH, IN_PROXY(status_socket), 0, 0, 0,
        "the path of a Unix socket, at most 107 bytes"},
    {HF_SECTION_PROXY, "drain_timeout", DURATION, IN_PROXY(drain_timeout_ms), 0, DAY_MS, 30000,
        "a duration with its unit (ms, s, min, h) from 0 to 24h"},
    {HF_SECTION_PROXY, "connect_timeout", DURATION, IN_PROXY(connect_timeout_ms), 100, DAY_MS,
        10000, "a duration with its unit (ms, s, min, h) from 100ms to 24h"},
    {HF_SECTION_PROXY, "half_close_timeout", DURATION, IN_PROXY(half_close_timeout_ms), 100, DAY_MS,
        60000, "a duration with its unit (ms, s, min, h) from 100ms to 24h"},
    {UPSTREAM(listen), LISTEN, IN_UPSTREAM(listen), 0, 0, 0,
        "a literal address and a port, such as 127.0.0.1:6432 or [::1]:6432"},
    {UPSTREAM(connect), CONNECT, IN_UPSTREAM(connect), 0, 0, 0,
        "a host and a port, such as db.example.com:5432 or [::1]:5432"},
    {UPSTREAM(host), TEXT, IN_UPSTREAM(host), 0, 0, 0, "the host whose flags apply"},
    {UPSTREAM(org_id), TEXT, IN_UPSTREAM(org_id), 0, 0, 0, "an organisation's number"},
    {UPSTREAM(telemetry_flag), TEXT, IN_UPSTREAM(telemetry_flag), 0, 0, 0, "the name of a flag"},
    {UPSTREAM(pool_size), INTEGER, IN_UPSTREAM(pool_size), 0, MAX_POOL_SIZE, 0,
        "a whole number from 0 to 10000"},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))
_Static_assert(KEY_COUNT <= HF_CONFIG_MAX_KEYS, "hf_reading.seen has a place for each");

void hf_reading_problem(struct hf_reading *reading, int line, const char *format, ...)
{
    char sentence[1024], what[800], where[32] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (line > 0)
        snprintf(where, sizeof(where), ", line %d", line);
    snprintf(sentence, sizeof(sentence), "%.150s%s: %s", reading->config->path, where, what);
    reading->report(reading->ctx, sentence);
    reading->problems++;
}

void hf_reading_set_defaults(enum hf_section section, void *target)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        enum kind kind = keys[i].kind;

        if (keys[i].section == section && (kind == INTEGER || kind == DURATION || kind == LEVEL))
            *(int64_t *)((char *)target + keys[i].offset) = keys[i].initial;
    }
}

static int set_text(void *member, const char *value, size_t max_length)
{
    if (!*value || strlen(value) > max_length)
        return HF_E_INVALID;
    *(char **)member = hf_memory_copy(value);
    return HF_OK;
}

/* Sets an address and keeps its text. */
static int set_address(const struct key *key, void *member, const char *value)
{
    struct hf_config_upstream *upstream = (void *)((char *)member - key->offset);
    bool listen = key->kind == LISTEN;
    int result = hf_value_address(value, listen, member);

    if (result == HF_OK)
        *(listen ? &upstream->listen_text : &upstream->connect_text) = hf_memory_copy(value);
    return result;
}

static int set_member(const struct key *key, void *member, const char *value)
{
    switch (key->kind) {
    case TEXT:
        return set_text(member, value, SIZE_MAX);
    case SOCKET_PATH:
        return set_text(member, value, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    case INTEGER:
        return hf_value_integer(value, key->min, key->max, member);
    case DURATION:
        return hf_value_duration(value, key->min, key->max, member);
    case LEVEL:
        return hf_value_log_level(value, member);
    case LISTEN:
    case CONNECT:
        return set_address(key, member, value);
    }
    return HF_E_INVALID;
}

static const char *other_section(const struct hf_reading *reading, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (keys[i].section != reading->section && strcmp(keys[i].name, name) == 0)
            return keys[i].section == HF_SECTION_PROXY ? "[proxy]" : "[upstream:NAME]";
    return NULL;
}

static void report_unknown(struct hf_reading *reading, int line, const char *name)
{
    const char *words[KEY_COUNT + 1], *nearest, *other = other_section(reading, name);
    size_t count = 0;

    for (size_t i = 0; i < KEY_COUNT; i++)
        if (keys[i].section == reading->section)
            words[count++] = keys[i].name;
    words[count] = NULL;
    nearest = hf_nearest_word(name, words);
    if (other)
        hf_reading_problem(reading, line, "unknown key `%s` in section [%s]; it belongs in %s",
            name, reading->section_name, other);
    else if (nearest)
        hf_reading_problem(reading, line, "unknown key `%s` in section [%s]; did you mean `%s`?",
            name, reading->section_name, nearest);
    else
        hf_reading_problem(reading, line, "unknown key `%s` in section [%s]; --help lists the keys",
            name, reading->section_name);
}

static void report_bad(
    struct hf_reading *reading, int line, const struct key *key, const char *value)
{
    const char *shown = hf_value_shown(value);

    hf_reading_problem(reading, line, "bad value `%s%s` for `%s` in section [%s]; expected %s",
        shown == value ? "" : "...", shown, key->name, reading->section_name, key->expected);
}

static void set_known(struct hf_reading *reading, int line, const char *name, const char *value)
{
    struct hf_config *config = reading->config;
    void *target = reading->section == HF_SECTION_PROXY
        ? (void *)config
        : (void *)&config->upstreams[config->upstream_count - 1];

    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].section != reading->section || strcmp(keys[i].name, name) != 0)
            continue;
        if (reading->seen[i])
            hf_reading_problem(reading, line,
                "the key `%s` was set in line %d already; expected it once in section [%s]", name,
                reading->seen[i], reading->section_name);
        else if (set_member(&keys[i], (char *)target + keys[i].offset, value) != HF_OK)
            report_bad(reading, line, &keys[i], value);
        reading->seen[i] = line;
        return;
    }
    report_unknown(reading, line, name);
}

/* "a", "b" -> "a, b" */
static void append(char **list, const char *value)
{
    size_t size = strlen(*list) + strlen(value) + 3;
    char *joined = hf_memory_new(size);

    snprintf(joined, size, "%s, %s", *list, value);
    free(*list);
    *list = joined;
}

/* A plugin's keys are not ours: all but `library` are kept as they are. A list of flags may be
 * longer than a line can be, so `flags` appends. */
static void set_plugin(struct hf_reading *reading, int line, const char *name, const char *value)
{
    struct hf_config_plugin *plugin = &reading->config->plugin;
    struct hf_setting *setting = plugin->settings;
    size_t left = plugin->setting_count;

    while (left > 0 && strcmp(setting->key, name) != 0) {
        setting++;
        left--;
    }
    if (left > 0 && strcmp(name, "flags") == 0) {
        append((char **)&setting->value, value);
    } else if (left > 0 || (plugin->library && strcmp(name, "library") == 0)) {
        hf_reading_problem(reading, line,
            "the key `%s` is set twice in section [%s]; expected it once (only `flags` may be "
            "repeated, and appends)",
            name, reading->section_name);
    } else if (strcmp(name, "library") == 0) {
        plugin->library = hf_memory_copy(value);
    } else {
        plugin->settings =
            hf_memory_grow(plugin->settings, plugin->setting_count, sizeof(*setting));
        setting = &plugin->settings[plugin->setting_count++];
        setting->key = hf_memory_copy(name);
        setting->value = hf_memory_copy(value);
    }
}

void hf_reading_set(struct hf_reading *reading, int line, const char *key, const char *value)
{
    switch (reading->section) {
    case HF_SECTION_BAD:
        break;
    case HF_SECTION_PROXY:
    case HF_SECTION_UPSTREAM:
        set_known(reading, line, key, value);
        break;
    case HF_SECTION_PLUGIN:
        set_plugin(reading, line, key, value);
        break;
    }
}

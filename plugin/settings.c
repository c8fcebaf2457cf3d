/* SPDX-License-Identifier: PostgreSQL
 *
 * settings.c: reads values as the table says, and what the settings mean together.
 */
#include "plugin/settings.h"

#include "plugin/flag_names.h"
#include "plugin/nearest.h"
#include "plugin/settings_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(HF_SETTINGS_COUNT <= 64, "hf_settings.seen has one bit per setting");

/* ---- messages ---- */

/* Always -1. why: what is wrong with the value; empty: what is expected says it. */
static int refuse(
    const struct hf_setting_row *row, const char *value, const char *why, char *error, size_t size)
{
    char visible[HF_VISIBLE_MAX], valid[256];

    hf_format_visible(value, strlen(value), visible);
    hf_settings_describe_valid(row, valid, sizeof(valid));
    snprintf(error, size, "%s = %s: %s%sexpected %s", row->key, visible, why,
        *why == '\0' ? "" : "; ", valid);
    return -1;
}

static int refuse_key(const char *key, const char *value, char *error, size_t size)
{
    const char *keys[HF_SETTINGS_COUNT], *nearest;
    char visible_key[HF_VISIBLE_MAX], visible[HF_VISIBLE_MAX], list[512];
    size_t used = 0;

    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        keys[i] = hf_settings_table[i].key;
        used +=
            (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i == 0 ? "" : ", ", keys[i]);
    }
    hf_format_visible(key, strlen(key), visible_key);
    hf_format_visible(value, strlen(value), visible);
    nearest = hf_nearest(key, keys, HF_SETTINGS_COUNT);
    if (nearest != NULL)
        snprintf(error, size, "there is no setting %s (its value is %s): did you mean %s?",
            visible_key, visible, nearest);
    else
        snprintf(error, size, "there is no setting %s (its value is %s): expected one of %s",
            visible_key, visible, list);
    return -1;
}

static int no_memory(char *error, size_t size)
{
    snprintf(error, size, "out of memory");
    return HF_SETTINGS_NO_MEMORY;
}

/* ---- reading one value ---- */

enum verdict { TAKEN, REFUSED, NO_MEMORY };

/* Replaces a string; an empty one is NULL. */
static enum verdict take_text(char **member, const char *value, size_t length)
{
    char *copy = length == 0 ? NULL : strndup(value, length);

    if (length != 0 && copy == NULL)
        return NO_MEMORY;
    free(*member);
    *member = copy;
    return TAKEN;
}

/* The same, once protocol.h has found nothing wrong with it. */
static enum verdict take_template(char **member, const char *value,
    const char *(*check)(const char *), struct hf_complaint *complaint)
{
    const char *wrong = *value == '\0' ? NULL : check(value);

    if (wrong == NULL)
        return take_text(member, value, strlen(value));
    snprintf(complaint->text, sizeof(complaint->text), "%s", wrong);
    return REFUSED;
}

/* "." and ".." would be directories in a path. */
static enum verdict take_word(char **member, const char *value, size_t length)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (length < 1 || length > 64 || strspn(value, known) < length || strspn(value, ".") >= length)
        return REFUSED;
    return take_text(member, value, length);
}

static enum verdict take_flags(
    struct hf_settings *settings, const char *value, struct hf_complaint *complaint)
{
    const char **names = calloc(HF_MAX_FLAGS, sizeof(*names));
    char *text = strdup(value);
    bool have = names != NULL && text != NULL;

    if (!have || !hf_flag_names_split(text, names, &settings->flag_count, complaint)) {
        free(names);
        free(text);
        return have ? REFUSED : NO_MEMORY;
    }
    free(settings->flags);
    free(settings->flags_text);
    settings->flags = names;
    settings->flags_text = text;
    return TAKEN;
}

static enum verdict take_protocol(const struct hf_protocol **member, const char *value)
{
    const struct hf_protocol *found = hf_protocol_find(value);

    if (found == NULL)
        return REFUSED;
    *member = found;
    return TAKEN;
}

static enum verdict take_number(const struct hf_setting_row *row, void *member, const char *value)
{
    int64_t number = -1;
    bool understood = row->kind == HF_KIND_DURATION ? hf_parse_duration(value, &number)
        : row->kind == HF_KIND_SIZE                 ? hf_parse_size(value, &number)
                                                    : hf_parse_number(value, &number);

    if (!understood || number < row->min || number > row->max)
        return REFUSED;
    if (row->kind == HF_KIND_COUNT)
        *(uint32_t *)member = (uint32_t)number;
    else
        *(int64_t *)member = number;
    return TAKEN;
}

static enum verdict take_allow_http(enum hf_allow_http *member, const char *value)
{
    static const char *const words[] = {
        [HF_HTTP_OFF] = "off", [HF_HTTP_LOOPBACK] = "loopback", [HF_HTTP_ANY] = "any"};

    for (int i = HF_HTTP_OFF; i <= HF_HTTP_ANY; i++) {
        if (strcasecmp(words[i], value) == 0) {
            *member = (enum hf_allow_http)i;
            return TAKEN;
        }
    }
    return REFUSED;
}

/* What is wrong with a refused value goes to *complaint, where there is more to say than what is
 * expected. */
static enum verdict take(struct hf_settings *settings, const struct hf_setting_row *row,
    const char *value, struct hf_complaint *complaint)
{
    void *member = (char *)settings + row->member;

    switch (row->kind) {
    case HF_KIND_FLAGS:
        return take_flags(settings, value, complaint);
    case HF_KIND_PROTOCOL:
        return take_protocol(&settings->protocol, value);
    case HF_KIND_TEXT:
        return take_text(member, value, strlen(value));
    case HF_KIND_ENDPOINT:
        return take_template(member, value, hf_protocol_check_endpoint, complaint);
    case HF_KIND_SERVICE:
        return take_template(member, value, hf_protocol_check_service, complaint);
    case HF_KIND_WORD:
        return take_word(member, value, strlen(value));
    case HF_KIND_VERSION:
        return take_word(member, value, strcspn(value, "-"));
    case HF_KIND_SWITCH:
        return hf_parse_switch(value, strlen(value), member) ? TAKEN : REFUSED;
    case HF_KIND_DURATION:
    case HF_KIND_SIZE:
    case HF_KIND_COUNT:
        return take_number(row, member, value);
    case HF_KIND_ALLOW_HTTP:
        return take_allow_http(member, value);
    }
    return REFUSED;
}

/* ---- one settings object ---- */

struct hf_settings *hf_settings_create(void)
{
    struct hf_settings *settings = calloc(1, sizeof(*settings));
    struct hf_complaint complaint;

    for (size_t i = 0; settings != NULL && i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        if (take(settings, row, row->initial, &complaint) != TAKEN) {
            hf_settings_destroy(settings);
            settings = NULL;
        }
    }
    return settings;
}

void hf_settings_destroy(struct hf_settings *settings)
{
    if (settings == NULL)
        return;
    free(settings->flags);
    free(settings->flags_text);
    free(settings->defaults_text);
    free(settings->overrides_text);
    free(settings->endpoint);
    free(settings->service);
    free(settings->client);
    free(settings->client_version);
    free(settings->ca_file);
    free(settings);
}

static const struct hf_setting_row *find_row(const char *key)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        if (strcmp(hf_settings_table[i].key, key) == 0)
            return &hf_settings_table[i];
    }
    return NULL;
}

static char *copy_trimmed(const char *value)
{
    size_t length;

    value += strspn(value, " \t");
    length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        length--;
    return strndup(value, length);
}

int hf_settings_set(struct hf_settings *settings, const char *key, const char *value, char *error,
    size_t error_size)
{
    const struct hf_setting_row *row = find_row(key);
    struct hf_complaint complaint = {""};
    enum verdict verdict;
    char *trimmed;
    uint64_t bit;

    if (row == NULL)
        return refuse_key(key, value, error, error_size);
    bit = 1ull << (row - hf_settings_table);
    if ((settings->seen & bit) != 0)
        return refuse(row, value, "this setting comes twice", error, error_size);
    trimmed = copy_trimmed(value);
    if (trimmed == NULL)
        return no_memory(error, error_size);
    verdict = take(settings, row, trimmed, &complaint);
    free(trimmed);
    if (verdict == NO_MEMORY)
        return no_memory(error, error_size);
    if (verdict == REFUSED)
        return refuse(row, value, complaint.text, error, error_size);
    settings->seen |= bit;
    return 0;
}

/* ---- what concerns several settings, and files ---- */

static int finish_answers(const struct hf_settings *settings, const char *key, const char *text,
    uint64_t *named, uint64_t *on, char *error, size_t size)
{
    struct hf_complaint complaint = {""};

    if (text == NULL ||
        hf_flag_names_switch(text, settings->flags, settings->flag_count, named, on, &complaint))
        return 0;
    return refuse(find_row(key), text, complaint.text, error, size);
}

static int finish_ttls(const struct hf_policy *policy, char *error, size_t size)
{
    char low[HF_FORMAT_MAX], high[HF_FORMAT_MAX];

    if (policy->ttl_min_ms <= policy->ttl_max_ms)
        return 0;
    hf_format_duration(policy->ttl_min_ms, low);
    hf_format_duration(policy->ttl_max_ms, high);
    snprintf(error, size, "ttl_min = %s and ttl_max = %s: expected ttl_min to be at most ttl_max",
        low, high);
    return -1;
}

/* NULL, or what is wrong with the file. O_NONBLOCK: opening a FIFO must not wait for a writer. */
static const char *check_file(const char *path)
{
    const char *wrong = NULL;
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return strerror(errno);
    if (fstat(fd, &status) != 0)
        wrong = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        wrong = "it is no regular file";
    close(fd);
    return wrong;
}

int hf_settings_finish(struct hf_settings *settings, char *error, size_t error_size)
{
    const char *wrong = settings->ca_file == NULL ? NULL : check_file(settings->ca_file);
    uint64_t named = 0;

    if (finish_answers(settings, "defaults", settings->defaults_text, &named, &settings->defaults,
            error, error_size) != 0 ||
        finish_answers(settings, "overrides", settings->overrides_text, &settings->overridden,
            &settings->overrides, error, error_size) != 0 ||
        finish_ttls(&settings->policy, error, error_size) != 0)
        return -1;
    if (wrong != NULL)
        return refuse(find_row("ca_file"), settings->ca_file, wrong, error, error_size);
    return 0;
}

/* ---- what the settings mean ---- */

uint64_t hf_settings_merge(const struct hf_settings *settings, uint64_t sent, uint64_t on)
{
    uint64_t known = settings->enabled ? sent : 0;
    uint64_t merged = (on & known) | (settings->defaults & ~known);

    return (merged & ~settings->overridden) | (settings->overrides & settings->overridden);
}

bool hf_settings_asks(const struct hf_settings *settings)
{
    uint64_t all = UINT64_MAX >> (64 - settings->flag_count);

    return settings->enabled && settings->overridden != all;
}

int hf_settings_flag_index(const struct hf_settings *settings, const char *name)
{
    return hf_flag_names_find(settings->flags, settings->flag_count, name, strlen(name));
}

static bool same_flags(const struct hf_settings *one, const struct hf_settings *other)
{
    if (one->flag_count != other->flag_count)
        return false;
    for (uint32_t i = 0; i < one->flag_count; i++) {
        if (strcmp(one->flags[i], other->flags[i]) != 0)
            return false;
    }
    return true;
}

/* For the kinds that rows with `restart` have. */
static bool is_same(const struct hf_setting_row *row, const struct hf_settings *one,
    const struct hf_settings *other)
{
    if (row->kind == HF_KIND_FLAGS)
        return same_flags(one, other);
    return memcmp((const char *)one + row->member, (const char *)other + row->member,
               sizeof(uint32_t)) == 0;
}

bool hf_settings_refuse_restart(const struct hf_settings *current, const struct hf_settings *wanted,
    char *error, size_t error_size)
{
    char keys[128] = "";

    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        size_t length = strlen(keys);
        if (row->restart && !is_same(row, current, wanted))
            snprintf(
                keys + length, sizeof(keys) - length, "%s%s", length > 0 ? ", " : "", row->key);
    }
    if (keys[0] != '\0' && error != NULL && error_size > 0)
        snprintf(error, error_size,
            "%s: a change needs a restart of the host program; nothing was reloaded", keys);
    return keys[0] != '\0';
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * settings.c: from the lines of a config section to checked settings, and what these mean together.
 */
#include "plugin/settings.h"

#include "plugin/discreet.h"
#include "plugin/flag_names.h"
#include "plugin/nearest.h"
#include "plugin/setting_value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(HF_SETTINGS_COUNT <= 64, "hf_settings.seen has one bit per setting");

static const struct hf_setting_row *find_row(const char *key)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        if (strcmp(hf_settings_table[i].key, key) == 0)
            return &hf_settings_table[i];
    }
    return NULL;
}

/* ---- messages ---- */

static const char hidden[] = "not shown";

/* Always -1. why: what is wrong with the value; empty: what is expected says it. */
static int refuse(
    const struct hf_setting_row *row, const char *value, const char *why, char *error, size_t size)
{
    char visible[HF_VISIBLE_MAX], valid[256];

    if (row->private)
        snprintf(visible, sizeof(visible), "%s", hidden);
    else
        hf_format_discreet(value, visible);
    hf_settings_describe_valid(row, valid, sizeof(valid));
    snprintf(error, size, "%s = %s: %s%sexpected %s", row->key, visible, why,
        *why == '\0' ? "" : "; ", valid);
    return -1;
}

/* Whether the value of an unknown key may be a secret: by the key that was meant, by the key's name
 * or by its looks. */
static bool sounds_secret(const char *key, const char *meant, const char *value)
{
    static const char *const words[] = {
        "tok", "pass", "pwd", "secret", "auth", "bearer", "api", "cred", "pat", "key"};

    if (meant != NULL && find_row(meant)->private)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(key, words[i]) != NULL)
            return true;
    }
    return hf_looks_secret(value, strlen(value));
}

static int refuse_key(const char *key, const char *value, char *error, size_t size)
{
    const char *keys[HF_SETTINGS_COUNT], *nearest;
    char visible_key[HF_VISIBLE_MAX], visible[HF_VISIBLE_MAX];
    char list[HF_SETTINGS_COUNT * 24]; /* a key has at most 21 bytes, a comma and a blank */
    size_t used = 0;

    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        keys[i] = hf_settings_table[i].key;
        used +=
            (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i == 0 ? "" : ", ", keys[i]);
    }
    hf_format_visible(key, strlen(key), visible_key);
    nearest = hf_nearest(key, keys, HF_SETTINGS_COUNT);
    if (sounds_secret(key, nearest, value))
        snprintf(visible, sizeof(visible), "%s", hidden);
    else
        hf_format_discreet(value, visible);
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

/* ---- one settings object ---- */

struct hf_settings *hf_settings_create(void)
{
    struct hf_settings *settings = calloc(1, sizeof(*settings));
    struct hf_complaint complaint;

    for (size_t i = 0; settings != NULL && i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        if (hf_setting_take(settings, row, row->initial, &complaint) != HF_TAKEN) {
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
    free(settings->token_file);
    free(settings->token_env);
    if (settings->token != NULL)
        explicit_bzero(settings->token, strlen(settings->token));
    free(settings->token);
    free(settings->allowed_hosts);
    free(settings->ca_file);
    free(settings->client_cert_file);
    free(settings->client_key_file);
    if (settings->proxy != NULL)
        explicit_bzero(settings->proxy, strlen(settings->proxy));
    free(settings->proxy);
    free(settings);
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
    enum hf_verdict verdict;
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
    verdict = hf_setting_take(settings, row, trimmed, &complaint);
    free(trimmed);
    if (verdict == HF_NO_MEMORY)
        return no_memory(error, error_size);
    if (verdict == HF_REFUSED)
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

int hf_settings_check_files(const struct hf_settings *settings, char *error, size_t size)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        const char *path, *wrong;
        if (row->kind != HF_KIND_FILE)
            continue;
        path = *(char *const *)((const char *)settings + row->member);
        wrong = path == NULL ? NULL : check_file(path);
        if (wrong != NULL)
            return refuse(row, path, wrong, error, size);
    }
    return 0;
}

static int finish_key(const struct hf_settings *settings, char *error, size_t size)
{
    if (settings->client_key_file != NULL && settings->client_cert_file == NULL)
        return refuse(find_row("client_key_file"), settings->client_key_file,
            "there is no client_cert_file that it belongs to", error, size);
    return 0;
}

/* The environment is read now: it is not safe to do so while the host program's threads may change
 * it. */
static int finish_token(struct hf_settings *settings, char *error, size_t size)
{
    bool per_host =
        settings->token_file != NULL && strstr(settings->token_file, HF_HOST_PLACEHOLDER) != NULL;
    const char *key = settings->token_file != NULL ? "token_file"
        : settings->token_env != NULL              ? "token_env"
                                                   : NULL;
    const char *value;

    if (key == NULL)
        return 0;
    if (settings->token_file != NULL && settings->token_env != NULL)
        return refuse(find_row("token_env"), "",
            "token_file is set as well, and only one of them can be", error, size);
    if (!per_host && settings->allowed_hosts == NULL) {
        snprintf(error, size,
            "%s names one token for every host, which would be sent to any host that a connection "
            "names: expected allowed_hosts to say which may have it%s",
            key, settings->token_file != NULL ? ", or {host} in the path" : "");
        return -1;
    }
    value = settings->token_env == NULL ? NULL : getenv(settings->token_env);
    settings->token = value == NULL ? NULL : strdup(value);
    return value != NULL && settings->token == NULL ? no_memory(error, size) : 0;
}

int hf_settings_join(struct hf_settings *settings, char *error, size_t error_size)
{
    uint64_t named = 0;
    int result = finish_answers(settings, "defaults", settings->defaults_text, &named,
        &settings->rules.defaults, error, error_size);

    if (result == 0)
        result = finish_answers(settings, "overrides", settings->overrides_text,
            &settings->rules.overridden, &settings->rules.overrides, error, error_size);
    settings->rules.all = UINT64_MAX >> (64 - settings->flag_count);
    if (result == 0)
        result = finish_ttls(&settings->policy, error, error_size);
    if (result == 0)
        result = finish_key(settings, error, error_size);
    return result == 0 ? finish_token(settings, error, error_size) : result;
}

int hf_settings_finish(struct hf_settings *settings, char *error, size_t error_size)
{
    int result = hf_settings_check_files(settings, error, error_size);

    return result == 0 ? hf_settings_join(settings, error, error_size) : result;
}

/* ---- what the settings mean ---- */

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

static bool same_text(const char *one, const char *other)
{
    return strcmp(one == NULL ? "" : one, other == NULL ? "" : other) == 0;
}

/* For the kinds that rows with `restart` or `request` have. */
static bool is_same(const struct hf_setting_row *row, const struct hf_settings *one,
    const struct hf_settings *other)
{
    const void *a = (const char *)one + row->member, *b = (const char *)other + row->member;

    switch (row->kind) {
    case HF_KIND_FLAGS:
        return same_flags(one, other);
    case HF_KIND_PROTOCOL:
        return one->protocol == other->protocol;
    case HF_KIND_COUNT:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case HF_KIND_ALLOW_HTTP:
        return one->allow_http == other->allow_http;
    case HF_KIND_DURATION:
    case HF_KIND_SIZE:
        return *(const int64_t *)a == *(const int64_t *)b;
    case HF_KIND_SWITCH:
        return *(const bool *)a == *(const bool *)b;
    case HF_KIND_TEXT:
    case HF_KIND_PATH:
    case HF_KIND_FILE:
    case HF_KIND_ENDPOINT:
    case HF_KIND_SERVICE:
    case HF_KIND_PROXY:
    case HF_KIND_VARIABLE:
    case HF_KIND_WORD:
    case HF_KIND_VERSION:
        return same_text(*(const char *const *)a, *(const char *const *)b);
    case HF_KIND_HOSTS: /* a list; no row needs it */
        break;
    }
    return false;
}

bool hf_settings_same_requests(const struct hf_settings *one, const struct hf_settings *other)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        if (row->request && !is_same(row, one, other))
            return false;
    }
    return same_text(one->token, other->token);
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

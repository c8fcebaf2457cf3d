/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/setting_value.h"

#include "plugin/allowed.h"
#include "plugin/flag_names.h"
#include "plugin/proxy_url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Replaces a string; an empty one is NULL. */
static enum hf_verdict take_text(char **member, const char *value, size_t length)
{
    char *copy = length == 0 ? NULL : strndup(value, length);

    if (length != 0 && copy == NULL)
        return HF_NO_MEMORY;
    free(*member);
    *member = copy;
    return HF_TAKEN;
}

/* The same, once `check` has found nothing wrong with it. */
static enum hf_verdict take_checked(char **member, const char *value,
    const char *(*check)(const char *), struct hf_complaint *complaint)
{
    const char *wrong = *value == '\0' ? NULL : check(value);

    if (wrong == NULL)
        return take_text(member, value, strlen(value));
    snprintf(complaint->text, sizeof(complaint->text), "%s", wrong);
    return HF_REFUSED;
}

/* "." and ".." would be directories in a path. */
static enum hf_verdict take_word(char **member, const char *value, size_t length)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (length < 1 || length > 64 || strspn(value, known) < length || strspn(value, ".") >= length)
        return HF_REFUSED;
    return take_text(member, value, length);
}

/* A variable of the environment. */
static enum hf_verdict take_variable(char **member, const char *value)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    if (value[strspn(value, known)] != '\0' || (*value >= '0' && *value <= '9'))
        return HF_REFUSED;
    return take_text(member, value, strlen(value));
}

static enum hf_verdict take_hosts(char **member, const char *value, struct hf_complaint *complaint)
{
    char *patterns = NULL;

    if (*value != '\0' && !hf_allowed_parse(value, &patterns, complaint))
        return complaint->text[0] == '\0' ? HF_NO_MEMORY : HF_REFUSED;
    free(*member);
    *member = patterns;
    return HF_TAKEN;
}

static enum hf_verdict take_flags(
    struct hf_settings *settings, const char *value, struct hf_complaint *complaint)
{
    const char **names = calloc(HF_MAX_FLAGS, sizeof(*names));
    char *text = strdup(value);
    bool have = names != NULL && text != NULL;

    if (!have || !hf_flag_names_split(text, names, &settings->flag_count, complaint)) {
        free(names);
        free(text);
        return have ? HF_REFUSED : HF_NO_MEMORY;
    }
    free(settings->flags);
    free(settings->flags_text);
    settings->flags = names;
    settings->flags_text = text;
    return HF_TAKEN;
}

static enum hf_verdict take_protocol(const struct hf_protocol **member, const char *value)
{
    const struct hf_protocol *found = hf_protocol_find(value);

    if (found == NULL)
        return HF_REFUSED;
    *member = found;
    return HF_TAKEN;
}

static enum hf_verdict take_number(
    const struct hf_setting_row *row, void *member, const char *value)
{
    int64_t number = -1;
    bool understood = row->kind == HF_KIND_DURATION ? hf_parse_duration(value, &number)
        : row->kind == HF_KIND_SIZE                 ? hf_parse_size(value, &number)
                                                    : hf_parse_number(value, &number);

    if (!understood || number < row->min || number > row->max)
        return HF_REFUSED;
    if (row->kind == HF_KIND_COUNT)
        *(uint32_t *)member = (uint32_t)number;
    else
        *(int64_t *)member = number;
    return HF_TAKEN;
}

static enum hf_verdict take_allow_http(enum hf_allow_http *member, const char *value)
{
    static const char *const words[] = {
        [HF_HTTP_OFF] = "off", [HF_HTTP_LOOPBACK] = "loopback", [HF_HTTP_ANY] = "any"};

    for (int i = HF_HTTP_OFF; i <= HF_HTTP_ANY; i++) {
        if (strcasecmp(words[i], value) == 0) {
            *member = (enum hf_allow_http)i;
            return HF_TAKEN;
        }
    }
    return HF_REFUSED;
}

enum hf_verdict hf_setting_take(struct hf_settings *settings, const struct hf_setting_row *row,
    const char *value, struct hf_complaint *complaint)
{
    void *member = (char *)settings + row->member;

    switch (row->kind) {
    case HF_KIND_FLAGS:
        return take_flags(settings, value, complaint);
    case HF_KIND_PROTOCOL:
        return take_protocol(&settings->protocol, value);
    case HF_KIND_TEXT:
    case HF_KIND_FILE:
        return take_text(member, value, strlen(value));
    case HF_KIND_PATH:
        return *value != '\0' && *value != '/' ? HF_REFUSED
                                               : take_text(member, value, strlen(value));
    case HF_KIND_ENDPOINT:
        return take_checked(member, value, hf_protocol_check_endpoint, complaint);
    case HF_KIND_SERVICE:
        return take_checked(member, value, hf_protocol_check_service, complaint);
    case HF_KIND_WORD:
        return take_word(member, value, strlen(value));
    case HF_KIND_VERSION:
        return take_word(member, value, strcspn(value, "-"));
    case HF_KIND_PROXY:
        return take_checked(member, value, hf_proxy_url_check, complaint);
    case HF_KIND_VARIABLE:
        return take_variable(member, value);
    case HF_KIND_HOSTS:
        return take_hosts(member, value, complaint);
    case HF_KIND_SWITCH:
        return hf_parse_switch(value, strlen(value), member) ? HF_TAKEN : HF_REFUSED;
    case HF_KIND_DURATION:
    case HF_KIND_SIZE:
    case HF_KIND_COUNT:
        return take_number(row, member, value);
    case HF_KIND_ALLOW_HTTP:
        return take_allow_http(member, value);
    }
    return HF_REFUSED;
}

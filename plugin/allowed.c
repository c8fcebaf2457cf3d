/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/allowed.h"

#include "plugin/discreet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether text is a host alone. upstream.h also takes a scheme, a port and a slash. */
static bool is_bare_host(const char *text, const struct hf_upstream_key *key)
{
    const char *colon = strrchr(text, ':');
    bool ipv6 = strchr(key->host, ':') != NULL;

    if (strchr(text, '/') != NULL)
        return false;
    return colon == NULL || (ipv6 && (text[0] != '[' || strchr(colon, ']') != NULL));
}

/* Writes the pattern for text to out, room for HF_HOST_MAX + 2 bytes. */
static bool read_pattern(const char *text, char *out)
{
    struct hf_upstream_key key;
    const char *name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;
    bool suffix = name != text;

    if (hf_upstream_parse(&key, name, 0, NULL) != NULL || !is_bare_host(name, &key) ||
        (suffix && strchr(key.host, ':') != NULL))
        return false;
    snprintf(out, HF_HOST_MAX + 2, "%s%s", suffix ? "." : "", key.host);
    return true;
}

/* The next item of a list, without the blanks around it, or NULL. Cuts *rest into pieces. */
static char *next_item(char **rest)
{
    char *item = strsep(rest, ",");
    size_t length;

    if (item == NULL)
        return NULL;
    item += strspn(item, " \t");
    length = strlen(item);
    while (length > 0 && (item[length - 1] == ' ' || item[length - 1] == '\t'))
        item[--length] = '\0';
    return item;
}

/* Each pattern is at most one byte longer than its text. */
bool hf_allowed_parse(const char *text, char **patterns, struct hf_complaint *complaint)
{
    size_t length = strlen(text), used = 0;
    char *copy = strdup(text), *rest = copy, *item;
    char *list = calloc(2 * length + 2 + HF_HOST_MAX + 2, 1);
    bool good = copy != NULL && list != NULL;

    complaint->text[0] = '\0';
    while (good && (item = next_item(&rest)) != NULL) {
        char visible[HF_VISIBLE_MAX];
        good = read_pattern(item, list + used);
        used += strlen(list + used) + 1;
        if (!good) {
            hf_format_discreet(item, visible);
            snprintf(complaint->text, sizeof(complaint->text),
                "%s is neither a host name nor an address nor *. before a name", visible);
        }
    }
    free(copy);
    if (good)
        *patterns = list;
    else
        free(list);
    return good;
}

static bool fits(const char *pattern, const struct hf_upstream_key *upstream)
{
    size_t length = strlen(pattern), host = upstream->host_length;

    if (pattern[0] != '.')
        return length == host && memcmp(pattern, upstream->host, length) == 0;
    return length < host && memcmp(pattern, upstream->host + host - length, length) == 0;
}

bool hf_allowed_fits(const char *patterns, const struct hf_upstream_key *upstream)
{
    if (patterns == NULL)
        return true;
    for (; *patterns != '\0'; patterns += strlen(patterns) + 1) {
        if (fits(patterns, upstream))
            return true;
    }
    return false;
}

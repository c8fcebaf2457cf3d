/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/flag_names.h"

#include <stdio.h>
#include <string.h>

/* Part of a text. */
struct slice {
    const char *start;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(const char *start, const char *end)
{
    while (start < end && is_blank(*start))
        start++;
    while (start < end && is_blank(end[-1]))
        end--;
    return (struct slice){start, (size_t)(end - start)};
}

/* Always false. */
static bool complain(struct hf_complaint *complaint, struct slice part, const char *what)
{
    char visible[HF_VISIBLE_MAX];

    hf_format_visible(part.start, part.length, visible);
    snprintf(complaint->text, sizeof(complaint->text), "%s %s", visible, what);
    return false;
}

static bool is_name(struct slice name)
{
    if (name.length > HF_FLAG_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        if (name.start[i] <= ' ' || name.start[i] >= 0x7f || strchr("=\"\\", name.start[i]) != NULL)
            return false;
    }
    return true;
}

int hf_flag_names_find(const char *const *names, uint32_t count, const char *name, size_t length)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return (int)i;
    }
    return -1;
}

static bool check_name(
    struct slice name, const char *const *names, uint32_t count, struct hf_complaint *complaint)
{
    if (name.length == 0)
        return complain(complaint, name, "is an empty name");
    if (!is_name(name))
        return complain(complaint, name, "is no flag name");
    if (hf_flag_names_find(names, count, name.start, name.length) >= 0)
        return complain(complaint, name, "comes twice");
    if (count == HF_MAX_FLAGS)
        return complain(complaint, name, "is one name too many");
    return true;
}

bool hf_flag_names_split(
    char *text, const char **names, uint32_t *count, struct hf_complaint *complaint)
{
    uint32_t found = 0;
    char *end;
    bool last;

    do {
        end = strchrnul(text, ',');
        last = *end == '\0';
        struct slice name = trim(text, end);
        if (!check_name(name, names, found, complaint))
            return false;
        text += name.start - text;
        text[name.length] = '\0';
        names[found++] = text;
        text = end + 1;
    } while (!last);
    *count = found;
    return true;
}

/* Reads one "name=on". */
static bool switch_one(const char *start, const char *end, const char *const *names, uint32_t count,
    uint64_t *named, uint64_t *on, struct hf_complaint *complaint)
{
    const char *equals = memchr(start, '=', (size_t)(end - start));
    struct slice whole = trim(start, end), name, value;
    int index;
    bool is_on;

    if (equals == NULL)
        return complain(complaint, whole, "has no \"=on\" or \"=off\"");
    name = trim(start, equals);
    value = trim(equals + 1, end);
    index = hf_flag_names_find(names, count, name.start, name.length);
    if (index < 0)
        return complain(complaint, name, "is not one of the names in flags");
    if (!hf_parse_switch(value.start, value.length, &is_on))
        return complain(complaint, value, "is neither on nor off");
    if ((*named & 1ull << index) != 0)
        return complain(complaint, name, "comes twice");
    *named |= 1ull << index;
    *on |= is_on ? 1ull << index : 0;
    return true;
}

bool hf_flag_names_switch(const char *text, const char *const *names, uint32_t count,
    uint64_t *named, uint64_t *on, struct hf_complaint *complaint)
{
    uint64_t all_named = 0, all_on = 0;
    bool more = text[strspn(text, " \t")] != '\0';

    while (more) {
        const char *end = strchrnul(text, ',');
        if (!switch_one(text, end, names, count, &all_named, &all_on, complaint))
            return false;
        more = *end == ',';
        text = end + 1;
    }
    *named = all_named;
    *on = all_on;
    return true;
}

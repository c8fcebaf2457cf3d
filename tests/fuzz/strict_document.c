/* SPDX-License-Identifier: PostgreSQL
 *
 * strict_document.c: the whole is checked first, and only a document that is JSON to its last byte
 * is read. So below nothing can go wrong any more, and a value is known by its first byte.
 */
#include "tests/fuzz/strict_document.h"

#include <string.h>
#include <strings.h>

#include "tests/fuzz/strict_json.h"

struct names {
    const char *const *list;
    size_t count;
};

static bool says(const struct hf_strict_text *text, const char *wanted)
{
    return text->readable && text->length == strlen(wanted) &&
        memcmp(text->bytes, wanted, text->length) == 0;
}

/* A cursor at the value of the last member of that name (C40); its `bad` says that there is none.
 * object: a copy. */
static struct hf_strict_json find(struct hf_strict_json object, const char *name)
{
    struct hf_strict_json found = {.bad = true};
    struct hf_strict_items items;

    if (object.bad || *object.at != '{')
        return found;
    items = hf_strict_enter(&object);
    while (hf_strict_next(&object, &items)) {
        if (says(&items.name, name))
            found = object;
        hf_strict_skip(&object);
    }
    return found;
}

/* C35, C36: true, false, or one of these words as a string, in any case and without anything else.
 * All other values are none. */
static bool is_boolean(struct hf_strict_json value, bool *on)
{
    struct hf_strict_text text;

    if (value.bad)
        return false;
    *on = *value.at == 't';
    if (*value.at == 't' || *value.at == 'f')
        return true;
    if (*value.at != '"')
        return false;
    hf_strict_string(&value, &text);
    if (!text.readable || memchr(text.bytes, '\0', text.length) != NULL || text.length > 5)
        return false;
    text.bytes[text.length] = '\0';
    *on = strcasecmp(text.bytes, "true") == 0;
    return *on || strcasecmp(text.bytes, "false") == 0;
}

/* Of duplicates the last one counts, also where it is no boolean (C40 and C36). */
static void set_flag(struct hf_strict_document *document, const struct names *names,
    const struct hf_strict_text *name, struct hf_strict_json value)
{
    bool on = false, sent = is_boolean(value, &on);

    for (size_t i = 0; i < names->count; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (!says(name, names->list[i]))
            continue;
        document->sent = sent ? document->sent | bit : document->sent & ~bit;
        document->on = sent && on ? document->on | bit : document->on & ~bit;
    }
}

/* C38: [{"name": "a", "value": true}] */
static void read_elements(
    struct hf_strict_document *document, const struct names *names, struct hf_strict_json list)
{
    struct hf_strict_items items = hf_strict_enter(&list);
    struct hf_strict_text text;

    while (hf_strict_next(&list, &items)) {
        struct hf_strict_json name = find(list, "name");

        if (!name.bad && *name.at == '"') {
            hf_strict_string(&name, &text);
            set_flag(document, names, &text, find(list, "value"));
        }
        hf_strict_skip(&list);
    }
}

/* C39: {"a": true} */
static void read_members(
    struct hf_strict_document *document, const struct names *names, struct hf_strict_json list)
{
    struct hf_strict_items items = hf_strict_enter(&list);

    while (hf_strict_next(&list, &items)) {
        set_flag(document, names, &items.name, list);
        hf_strict_skip(&list);
    }
}

/* C45: a whole number above 0. INT64_MAX counts as beyond int64, since json-c gives it for all that
 * is; both mean a TTL that is too long for anybody. */
static int64_t read_ttl(struct hf_strict_json value)
{
    int64_t seconds = 0;

    for (; !value.bad && value.at < value.end && *value.at >= '0' && *value.at <= '9'; value.at++) {
        if (__builtin_mul_overflow(seconds, 10, &seconds) ||
            __builtin_add_overflow(seconds, *value.at - '0', &seconds))
            return 0;
    }
    if (value.bad || strchr(".eE", *value.at) != NULL || seconds == INT64_MAX)
        return 0;
    return seconds;
}

struct hf_strict_document hf_strict_read(
    const char *const *list, size_t count, const uint8_t *bytes, size_t length)
{
    struct hf_strict_document document = {.is_document = false};
    struct hf_strict_json root = hf_strict_begin(bytes, length), all = root, flags;
    struct names names = {list, count};

    hf_strict_skip(&all);
    document.levels = all.deepest;
    document.nul_in_name = all.nul_in_name;
    if (!hf_strict_at_end(&all)) /* C41 */
        return document;
    flags = find(root, "flags");
    if (flags.bad || (*flags.at != '[' && *flags.at != '{')) /* C37 */
        return document;
    document.is_document = true;
    if (*flags.at == '[')
        read_elements(&document, &names, flags);
    else
        read_members(&document, &names, flags);
    document.ttl_seconds = read_ttl(find(root, "ttl_seconds"));
    return document;
}

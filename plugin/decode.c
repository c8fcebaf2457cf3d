/* SPDX-License-Identifier: PostgreSQL
 *
 * decode.c: two passes over the body. The first one, ours, looks at single bytes: it refuses what
 * json-c 0.16 lets through even where it is strict (single quotes, NaN, Infinity, control
 * characters in strings, what is not quite UTF-8, numbers such as 01 and 1.), what json-c would
 * misread (a NUL in a member's name ends the name there), and a document that would take far more
 * memory than it has bytes. The second is json-c's; it is fed name by name and value by value, to
 * hear of each piece that it had no memory for.
 */
#include "plugin/decode.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

/* json-c 0.16 takes up to 0.8 KB for an empty object or array, and less than 0.1 KB for other
 * values: what costs HF_JSON_COST_MAX stays under 64 MB. */
enum { CONTAINER_COST = 8 };

/* ---- bytes ---- */

struct scan {
    const char *p, *end;
    bool nul_in_string; /* the latest string has a \u0000 */
};

/* The bytes of the character of UTF-8 that is not ASCII at text: 2 to 4, or 0: there is none. The
 * first byte says how many they are; what may be the second one excludes longer forms than need be,
 * halves of surrogate pairs and what is beyond U+10FFFF (RFC 3629, 4). */
static size_t utf8_length(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char first, last, second_from, second_to, length;
    } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    size_t row = 0, good = 2;

    while (row < sizeof(rows) / sizeof(rows[0]) && text[0] > rows[row].last)
        row++;
    if (row == sizeof(rows) / sizeof(rows[0]) || text[0] < rows[row].first ||
        left < rows[row].length || text[1] < rows[row].second_from || text[1] > rows[row].second_to)
        return 0;
    while (good < rows[row].length && (text[good] & 0xc0) == 0x80)
        good++;
    return good == rows[row].length ? good : 0;
}

/* From behind the quote that opens a string to behind the one that closes it, or to the end. */
static const char *scan_string(struct scan *scan)
{
    size_t length;

    scan->nul_in_string = false;
    for (; scan->p < scan->end && *scan->p != '"'; scan->p++) {
        unsigned char byte = (unsigned char)*scan->p;

        if (byte < ' ')
            return "it is no JSON: a string has a control character in it";
        if (byte >= 0x80) {
            length = utf8_length((const unsigned char *)scan->p, (size_t)(scan->end - scan->p));
            if (length == 0)
                return "it is no JSON: a string is not UTF-8";
            scan->p += length - 1;
        }
        if (byte != '\\')
            continue;
        if (scan->end - scan->p >= 6 && memcmp(scan->p, "\\u0000", 6) == 0)
            scan->nul_in_string = true;
        if (scan->end - scan->p > 1 && (unsigned char)scan->p[1] >= ' ')
            scan->p++;
    }
    if (scan->p < scan->end)
        scan->p++;
    return NULL;
}

/* Moves behind the next byte, if it is one of these. */
static bool take(struct scan *scan, const char *bytes)
{
    if (scan->p == scan->end || *scan->p == '\0' || strchr(bytes, *scan->p) == NULL)
        return false;
    scan->p++;
    return true;
}

/* At the end of the body there may be none: json-c says that it ends too early. */
static bool scan_digits(struct scan *scan)
{
    bool some = scan->p == scan->end;

    while (take(scan, "0123456789"))
        some = true;
    return some;
}

/* From behind the first byte of a number to behind its last (RFC 8259, 6). */
static const char *scan_number(struct scan *scan)
{
    bool good;

    scan->p--;
    take(scan, "-");
    good = take(scan, "0") || scan_digits(scan);
    if (take(scan, "."))
        good = scan_digits(scan) && good;
    if (take(scan, "eE")) {
        take(scan, "+-");
        good = scan_digits(scan) && good;
    }
    return good && !take(scan, "0123456789+-.eE") ? NULL : "it is no JSON";
}

static const char *scan_bytes(const char *body, size_t length)
{
    static const char known[] = "{}[]:, \t\r\ntruefalsn";
    struct scan scan = {body, body + length, false};
    const char *refused = NULL;
    size_t cost = 0;

    while (scan.p < scan.end && refused == NULL) {
        char c = *scan.p++;
        if (c == '"')
            refused = scan_string(&scan);
        else if (c == '-' || (c >= '0' && c <= '9'))
            refused = scan_number(&scan);
        else if (c == '\0' || strchr(known, c) == NULL)
            refused = "it is no JSON";
        else if (c == ':' && scan.nul_in_string)
            refused = "the name of a member has a NUL in it";
        else if (c == '{' || c == '[')
            cost += CONTAINER_COST;
        else if (c == ',' || c == ':')
            cost++;
        if (cost > HF_JSON_COST_MAX)
            refused = "it has too many values";
    }
    return refused;
}

/* From p to behind the next comma or colon that is no part of a string. */
static size_t piece_length(const char *p, const char *end)
{
    struct scan scan = {p, end, false};

    while (scan.p < end) {
        char c = *scan.p++;
        if (c == ',' || c == ':')
            break;
        if (c == '"')
            (void)scan_string(&scan);
    }
    return (size_t)(scan.p - p);
}

/* json-c goes on where it had no memory for a text (which is cut short then) or for a member (which
 * is left out), and crashes on a member whose name it had none for. errno tells, if one looks at it
 * behind each name and each value: a number sets it to 0 before anything else. */
static struct json_object *parse_pieces(
    struct json_tokener *tokener, const char *body, const char *end, const char **refused)
{
    struct json_object *root;

    do {
        size_t piece = piece_length(body, end);
        errno = 0;
        root = json_tokener_parse_ex(tokener, body, (int)piece);
        body += json_tokener_get_parse_end(tokener);
        if (errno == ENOMEM)
            *refused = "out of memory";
    } while (
        *refused == NULL && body < end && json_tokener_get_error(tokener) == json_tokener_continue);
    /* Some memory that it lacks json-c takes for the end. */
    if (json_tokener_get_error(tokener) == json_tokener_success && body != end)
        *refused = "out of memory";
    return root;
}

static const char *refusal(enum json_tokener_error error)
{
    if (error == json_tokener_success)
        return NULL;
    if (error == json_tokener_error_depth)
        return "its values are nested too deep";
    if (error == json_tokener_continue)
        return "its JSON ends too early";
    return "it is no JSON";
}

static struct json_object *parse(const char *body, size_t length, const char **refused)
{
    struct json_tokener *tokener = json_tokener_new_ex(HF_JSON_DEPTH_MAX);
    struct json_object *root;

    if (tokener == NULL) {
        *refused = "out of memory";
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    root = parse_pieces(tokener, body, body + length, refused);
    if (*refused == NULL)
        *refused = refusal(json_tokener_get_error(tokener));
    json_tokener_free(tokener);
    return root;
}

/* ---- values ---- */

struct reading {
    const char *const *flags;
    size_t flag_lengths[HF_MAX_FLAGS];
    uint32_t flag_count;
    struct hf_document document;
};

/* NULL is a null of the document. Whether it is a boolean, or the text of one. */
static bool read_boolean(struct json_object *value, bool *on)
{
    const char *text;
    int length;

    if (json_object_is_type(value, json_type_boolean)) {
        *on = json_object_get_boolean(value);
        return true;
    }
    if (!json_object_is_type(value, json_type_string))
        return false;
    text = json_object_get_string(value);
    length = json_object_get_string_len(value);
    *on = length == 4 && strncasecmp(text, "true", 4) == 0;
    return *on || (length == 5 && strncasecmp(text, "false", 5) == 0);
}

/* A later value replaces an earlier one, also where it is none. */
static void read_flag(
    struct reading *reading, const char *name, size_t length, struct json_object *value)
{
    bool on = false, sent = read_boolean(value, &on);

    for (uint32_t i = 0; i < reading->flag_count; i++) {
        uint64_t bit = 1ull << i;
        if (reading->flag_lengths[i] != length || memcmp(reading->flags[i], name, length) != 0)
            continue;
        reading->document.sent &= ~bit;
        reading->document.on &= ~bit;
        reading->document.sent |= sent ? bit : 0;
        reading->document.on |= sent && on ? bit : 0;
    }
}

/* [{"name": "a", "value": "true"}]; an element that is nothing of the kind is passed over. */
static void read_array(
    struct reading *reading, const struct hf_protocol *protocol, struct json_object *list)
{
    size_t count = json_object_array_length(list);

    for (size_t i = 0; i < count; i++) {
        struct json_object *element = json_object_array_get_idx(list, i), *name, *value;
        if (!json_object_is_type(element, json_type_object))
            continue;
        name = json_object_object_get(element, protocol->flag_name);
        value = json_object_object_get(element, protocol->flag_value);
        if (json_object_is_type(name, json_type_string))
            read_flag(reading, json_object_get_string(name),
                (size_t)json_object_get_string_len(name), value);
    }
}

/* {"a": true}. */
static void read_members(struct reading *reading, struct json_object *list)
{
    json_object_object_foreach(list, name, value)
    {
        read_flag(reading, name, strlen(name), value);
    }
}

/* json-c gives INT64_MAX for all that is larger. */
static int64_t read_ttl(struct json_object *ttl)
{
    int64_t seconds;

    if (!json_object_is_type(ttl, json_type_int))
        return 0;
    seconds = json_object_get_int64(ttl);
    return seconds > 0 && seconds < INT64_MAX ? seconds : 0;
}

static const char *read_document(
    struct reading *reading, const struct hf_protocol *protocol, struct json_object *root)
{
    struct json_object *list;

    if (!json_object_is_type(root, json_type_object))
        return "it is JSON, but no object";
    if (!json_object_object_get_ex(root, protocol->list, &list))
        return "it is JSON, but has no list of flags";
    if (json_object_is_type(list, json_type_array))
        read_array(reading, protocol, list);
    else if (json_object_is_type(list, json_type_object))
        read_members(reading, list);
    else
        return "it is JSON, but its flags are neither an array nor an object";
    reading->document.ttl_seconds = read_ttl(json_object_object_get(root, protocol->ttl));
    return NULL;
}

const char *hf_decode(const struct hf_protocol *protocol, const char *const *flags,
    uint32_t flag_count, const char *body, size_t length, struct hf_document *document)
{
    struct reading reading = {.flags = flags, .flag_count = flag_count};
    struct json_object *root = NULL;
    const char *refused = NULL;

    if (length == 0)
        return "it is empty";
    if (length >= INT_MAX)
        return "it is too large";
    for (uint32_t i = 0; i < flag_count; i++)
        reading.flag_lengths[i] = strlen(flags[i]);
    refused = scan_bytes(body, length);
    if (refused == NULL)
        root = parse(body, length, &refused);
    if (refused == NULL)
        refused = read_document(&reading, protocol, root);
    if (refused == NULL)
        *document = reading.document;
    json_object_put(root);
    return refused;
}

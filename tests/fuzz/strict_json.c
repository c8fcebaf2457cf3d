/* SPDX-License-Identifier: PostgreSQL */
#include "tests/fuzz/strict_json.h"

#include <string.h>

static bool more(const struct hf_strict_json *json)
{
    return !json->bad && json->at < json->end;
}

static bool is_at(const struct hf_strict_json *json, char byte)
{
    return more(json) && *json->at == (uint8_t)byte;
}

/* Moves behind one byte, if it is this one. */
static bool take(struct hf_strict_json *json, char byte)
{
    bool there = is_at(json, byte);

    json->at += there ? 1 : 0;
    return there;
}

static void demand(struct hf_strict_json *json, bool held)
{
    json->bad = json->bad || !held;
}

static void skip_blanks(struct hf_strict_json *json)
{
    while (take(json, ' ') || take(json, '\t') || take(json, '\n') || take(json, '\r'))
        ;
}

/* ---- strings (section 7) ---- */

static void append(struct hf_strict_text *text, uint8_t byte)
{
    if (byte == '\0')
        text->has_nul = true;
    if (text->length == sizeof(text->bytes))
        text->readable = false;
    else
        text->bytes[text->length++] = (char)byte;
}

static void append_code(struct hf_strict_text *text, uint32_t code)
{
    if (code < 0x80) {
        append(text, (uint8_t)code);
        return;
    }
    if (code >= 0x10000)
        append(text, (uint8_t)(0xf0 | code >> 18));
    if (code >= 0x800)
        append(text, (uint8_t)((code >= 0x10000 ? 0x80 : 0xe0) | (code >> 12 & 0x3f)));
    append(text, (uint8_t)((code >= 0x800 ? 0x80 : 0xc0) | (code >> 6 & 0x3f)));
    append(text, (uint8_t)(0x80 | (code & 0x3f)));
}

/* Four hexadecimal digits. */
static uint32_t read_hex(struct hf_strict_json *json)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++, json->at++) {
        static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
        const char *digit = more(json) && *json->at != 0 ? strchr(digits, *json->at) : NULL;

        demand(json, digit != NULL);
        if (json->bad)
            return 0;
        code = code << 4 | (uint32_t)(digit - digits) / 2;
    }
    return code;
}

/* Behind "\u". Half of a pair is grammatical, but stands for no character. */
static void read_code(struct hf_strict_json *json, struct hf_strict_text *text)
{
    uint32_t code = read_hex(json), low;

    if (code >= 0xd800 && code < 0xdc00 && json->end - json->at >= 2 &&
        memcmp(json->at, "\\u", 2) == 0) {
        const uint8_t *before = json->at;

        json->at += 2;
        low = read_hex(json);
        if (low >= 0xdc00 && low < 0xe000)
            code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
        else
            json->at = before; /* a character of its own: it is read next */
    }
    if (code >= 0xd800 && code < 0xe000)
        text->readable = false;
    else
        append_code(text, code);
}

static void read_escape(struct hf_strict_json *json, struct hf_strict_text *text)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (take(json, 'u')) {
        read_code(json, text);
        return;
    }
    name = more(json) && *json->at != 0 ? strchr(names, *json->at) : NULL;
    demand(json, name != NULL);
    if (json->bad)
        return;
    append(text, (uint8_t)meant[name - names]);
    json->at++;
}

/* One character of UTF-8 (RFC 3629, 3): the shortest form, no surrogate, at most U+10FFFF. */
static void read_utf8(struct hf_strict_json *json, struct hf_strict_text *text)
{
    static const uint32_t least[] = {0x80, 0x800, 0x10000};
    uint8_t lead = *json->at++;
    int following = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    uint32_t code = lead & (0x3fu >> following);

    demand(json, lead >= 0xc0 && lead < 0xf8);
    for (int i = 0; i < following; i++) {
        demand(json, more(json) && (*json->at & 0xc0) == 0x80);
        if (json->bad)
            return;
        code = code << 6 | (*json->at++ & 0x3f);
    }
    demand(json, code >= least[following - 1] && code <= 0x10ffff);
    demand(json, code < 0xd800 || code >= 0xe000);
    append_code(text, code);
}

void hf_strict_string(struct hf_strict_json *json, struct hf_strict_text *text)
{
    text->readable = true;
    text->has_nul = false;
    text->length = 0;
    demand(json, take(json, '"'));
    while (more(json) && *json->at != '"') {
        if (take(json, '\\'))
            read_escape(json, text);
        else if (*json->at >= 0x80)
            read_utf8(json, text);
        else if (*json->at >= ' ')
            append(text, *json->at++);
        else
            demand(json, false);
    }
    demand(json, take(json, '"'));
}

/* ---- numbers (section 6) and words (section 3) ---- */

static bool skip_digits(struct hf_strict_json *json)
{
    const uint8_t *start = json->at;

    while (more(json) && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return json->at > start;
}

static void skip_number(struct hf_strict_json *json)
{
    take(json, '-');
    if (!take(json, '0'))
        demand(json, skip_digits(json));
    if (take(json, '.'))
        demand(json, skip_digits(json));
    if (take(json, 'e') || take(json, 'E')) {
        if (!take(json, '+'))
            take(json, '-');
        demand(json, skip_digits(json));
    }
}

static void skip_word(struct hf_strict_json *json, const char *word)
{
    for (; *word != '\0'; word++)
        demand(json, take(json, *word));
}

/* ---- arrays and objects (sections 4 and 5) ---- */

struct hf_strict_items hf_strict_enter(struct hf_strict_json *json)
{
    struct hf_strict_items items = {.members = is_at(json, '{')};

    demand(json, take(json, '{') || take(json, '['));
    return items;
}

static void read_name(struct hf_strict_json *json, struct hf_strict_items *items)
{
    skip_blanks(json);
    hf_strict_string(json, &items->name);
    json->nul_in_name |= items->name.has_nul;
    skip_blanks(json);
    demand(json, take(json, ':'));
}

bool hf_strict_next(struct hf_strict_json *json, struct hf_strict_items *items)
{
    skip_blanks(json);
    if (take(json, items->members ? '}' : ']'))
        return false;
    demand(json, !items->begun || take(json, ','));
    items->begun = true;
    if (items->members)
        read_name(json, items);
    skip_blanks(json);
    return !json->bad;
}

static void skip_items(struct hf_strict_json *json)
{
    struct hf_strict_items items = hf_strict_enter(json);

    while (hf_strict_next(json, &items))
        hf_strict_skip(json);
}

void hf_strict_skip(struct hf_strict_json *json)
{
    struct hf_strict_text unread;

    demand(json, ++json->level <= HF_STRICT_LEVELS_MAX);
    if (json->level > json->deepest)
        json->deepest = json->level;
    if (is_at(json, '{') || is_at(json, '['))
        skip_items(json);
    else if (is_at(json, '"'))
        hf_strict_string(json, &unread);
    else if (is_at(json, 't'))
        skip_word(json, "true");
    else if (is_at(json, 'f'))
        skip_word(json, "false");
    else if (is_at(json, 'n'))
        skip_word(json, "null");
    else
        skip_number(json);
    json->level--;
}

struct hf_strict_json hf_strict_begin(const uint8_t *bytes, size_t length)
{
    struct hf_strict_json json = {.at = bytes, .end = bytes + length};

    skip_blanks(&json);
    return json;
}

bool hf_strict_at_end(struct hf_strict_json *json)
{
    skip_blanks(json);
    return !json->bad && json->at == json->end;
}

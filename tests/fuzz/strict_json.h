/* SPDX-License-Identifier: PostgreSQL
 *
 * strict_json.h: JSON as RFC 8259 has it, and nothing else, for a second opinion on what the plugin
 * takes for JSON. It has nothing in common with the plugin's decoder: no tree, no library, no
 * allocation. A cursor walks over the bytes, and who wants to know what stands there walks over
 * them again. One thread; the bytes are borrowed.
 */
#ifndef HOSTFLAGS_TESTS_STRICT_JSON_H
#define HOSTFLAGS_TESTS_STRICT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Levels of values in values; the document itself is the first. */
#define HF_STRICT_LEVELS_MAX 64

struct hf_strict_json {
    const uint8_t *at, *end;
    bool bad; /* this is no JSON, and *at is of no use */
    int level, deepest;
    bool nul_in_name; /* a member's name has a U+0000 in it */
};

/* A string of the document, with its escapes resolved. */
struct hf_strict_text {
    bool readable; /* false: too long for this, or it has half of a surrogate pair in it */
    bool has_nul; /* anywhere, also in one that is too long */
    size_t length;
    char bytes[512]; /* UTF-8 */
};

/* An array or object that the cursor is in. */
struct hf_strict_items {
    bool members; /* of an object */
    bool begun;
    struct hf_strict_text name; /* of the current member */
};

/* From the beginning of a document to its first value. */
struct hf_strict_json hf_strict_begin(const uint8_t *bytes, size_t length);

/* Whether nothing but blanks is left. */
bool hf_strict_at_end(struct hf_strict_json *json);

/* Moves the cursor behind the value it is at. */
void hf_strict_skip(struct hf_strict_json *json);

/* Into the array or object at the cursor. */
struct hf_strict_items hf_strict_enter(struct hf_strict_json *json);

/* Moves the cursor to the next value in it; the one before must have been skipped. False: there is
 * none, and the cursor is behind the array or object; or json->bad. */
bool hf_strict_next(struct hf_strict_json *json, struct hf_strict_items *items);

/* Reads the string at the cursor and moves behind it. */
void hf_strict_string(struct hf_strict_json *json, struct hf_strict_text *text);

#endif

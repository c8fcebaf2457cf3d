/* SPDX-License-Identifier: PostgreSQL
 *
 * parse.h: between text that people write and values. Pure; any thread; no allocation.
 *
 * Units are those of postgresql.conf: ms, s, min, h and d, and kB and MB (of 1024), spelt exactly
 * so; blanks may stand before them. Numbers are whole and decimal, without a sign. Only 0 needs no
 * unit. The hf_parse_ functions return whether the whole text was understood; if not, *value stays
 * as it is. Nothing overflows: what does not fit is not understood.
 */
#ifndef HOSTFLAGS_PARSE_H
#define HOSTFLAGS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool hf_parse_duration(const char *text, int64_t *value_ms) __attribute__((warn_unused_result));
bool hf_parse_size(const char *text, int64_t *value_bytes) __attribute__((warn_unused_result));
bool hf_parse_number(const char *text, int64_t *value) __attribute__((warn_unused_result));

/* on, true, yes, 1; off, false, no, 0: in any case. The text is length bytes and needs no NUL. */
bool hf_parse_switch(const char *text, size_t length, bool *value)
    __attribute__((warn_unused_result));

/* Writes "15min": the largest unit that leaves a whole number. 0 is "0". */
#define HF_FORMAT_MAX 32
void hf_format_duration(int64_t value_ms, char out[HF_FORMAT_MAX]);
void hf_format_size(int64_t value_bytes, char out[HF_FORMAT_MAX]);

/* Writes length bytes of text for an error message: in quotes, "..." for what is too long, and \x1b
 * for a byte that is no printable ASCII. */
#define HF_VISIBLE_MAX 128
void hf_format_visible(const char *text, size_t length, char out[HF_VISIBLE_MAX]);

/* What is wrong with a value, for a message: with the name, or whatever part it is. */
struct hf_complaint {
    char text[HF_VISIBLE_MAX + 128];
};

#endif

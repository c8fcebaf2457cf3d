/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* From small to large; a NULL ends each. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {{"kB", 1024}, {"MB", 1048576}, {NULL, 0}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Moves *text behind the digits. */
static bool parse_digits(const char **text, int64_t *value)
{
    const char *p = *text;
    int64_t sum = 0;

    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, *p - '0', &sum))
            return false;
    }
    *text = p;
    *value = sum;
    return true;
}

static bool parse_with_unit(const char *text, const struct unit *units, int64_t *value)
{
    int64_t number, product;

    if (!parse_digits(&text, &number))
        return false;
    if (number == 0 && *text == '\0') {
        *value = 0;
        return true;
    }
    text += strspn(text, " \t");
    while (units->name != NULL && strcmp(text, units->name) != 0)
        units++;
    if (units->name == NULL || __builtin_mul_overflow(number, units->factor, &product))
        return false;
    *value = product;
    return true;
}

bool hf_parse_duration(const char *text, int64_t *value_ms)
{
    return parse_with_unit(text, duration_units, value_ms);
}

bool hf_parse_size(const char *text, int64_t *value_bytes)
{
    return parse_with_unit(text, size_units, value_bytes);
}

bool hf_parse_number(const char *text, int64_t *value)
{
    int64_t number;

    if (!parse_digits(&text, &number) || *text != '\0')
        return false;
    *value = number;
    return true;
}

bool hf_parse_switch(const char *text, size_t length, bool *value)
{
    static const char *const words[2][4] = {
        {"off", "false", "no", "0"}, {"on", "true", "yes", "1"}};

    for (size_t i = 0; i < 8; i++) {
        const char *word = words[i / 4][i % 4];
        if (strlen(word) == length && strncasecmp(text, word, length) == 0) {
            *value = i / 4 == 1;
            return true;
        }
    }
    return false;
}

/* The smallest unit is used for what no other divides. */
static void format_with_unit(int64_t value, const struct unit *units, char out[HF_FORMAT_MAX])
{
    const struct unit *best = units;

    for (; units->name != NULL; units++) {
        if (value % units->factor == 0)
            best = units;
    }
    if (value == 0)
        snprintf(out, HF_FORMAT_MAX, "0");
    else
        snprintf(out, HF_FORMAT_MAX, "%" PRId64 "%s", value / best->factor, best->name);
}

void hf_format_duration(int64_t value_ms, char out[HF_FORMAT_MAX])
{
    format_with_unit(value_ms, duration_units, out);
}

void hf_format_size(int64_t value_bytes, char out[HF_FORMAT_MAX])
{
    format_with_unit(value_bytes, size_units, out);
}

void hf_format_visible(const char *text, size_t length, char out[HF_VISIBLE_MAX])
{
    static const char cut[] = "...";
    size_t room = HF_VISIBLE_MAX - strlen("\\xff") - sizeof(cut) - strlen("\"");
    size_t used = 0;

    out[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (used > room) {
            used += (size_t)snprintf(out + used, HF_VISIBLE_MAX - used, "%s", cut);
            break;
        }
        if (c >= ' ' && c < 0x7f)
            out[used++] = (char)c;
        else
            used += (size_t)snprintf(out + used, HF_VISIBLE_MAX - used, "\\x%02x", c);
    }
    out[used++] = '"';
    out[used] = '\0';
}

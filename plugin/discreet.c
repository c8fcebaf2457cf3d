/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/discreet.h"

#include <stdio.h>
#include <string.h>

enum { SHORTEST = 20 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char digits[] = "0123456789";
static const char others[] = "-_+=~%";

bool hf_looks_secret(const char *text, size_t length)
{
    size_t run = 0;
    bool letter = false, digit = false;

    for (size_t i = 0; i < length && text[i] != '\0'; i++) {
        bool is_letter = strchr(letters, text[i]) != NULL,
             is_digit = strchr(digits, text[i]) != NULL;

        if (!is_letter && !is_digit && strchr(others, text[i]) == NULL) {
            run = 0;
            letter = digit = false;
            continue;
        }
        run++;
        letter = letter || is_letter;
        digit = digit || is_digit;
        if (run >= SHORTEST && letter && digit)
            return true;
    }
    return false;
}

/* The scheme's length with "://", or 0: before it there must be nothing but letters. */
static size_t scheme_length(const char *text)
{
    size_t length = strspn(text, letters);

    return length > 0 && strncmp(text + length, "://", 3) == 0 ? length + 3 : 0;
}

void hf_format_discreet(const char *text, char out[HF_VISIBLE_MAX])
{
    const char *at = strrchr(text, '@');
    char shown[2 * HF_VISIBLE_MAX];

    if (at == NULL) {
        hf_format_visible(text, strlen(text), out);
        return;
    }
    snprintf(shown, sizeof(shown), "%.*s...%s", (int)scheme_length(text), text, at);
    hf_format_visible(shown, strlen(shown), out);
}

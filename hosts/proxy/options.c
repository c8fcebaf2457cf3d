/* SPDX-License-Identifier: PostgreSQL
 *
 * options.c: see options.h.
 */
#include "hosts/proxy/options.h"

#include <stdio.h>
#include <string.h>

#include "hosts/proxy/nearest.h"

enum { MAX_OPTIONS = 15 }; /* of a table: as many as are compared for "did you mean" */

static int usage_error(const char *what, const char *word)
{
    fprintf(stderr, "hostflags-host: %s `%s`; --help lists the options\n", what, word);
    return HF_E_INVALID;
}

static int unknown(const struct hf_option *options, const char *word)
{
    const char *words[MAX_OPTIONS + 1] = {NULL}, *nearest;

    for (size_t i = 0; i < MAX_OPTIONS && options[i].name; i++)
        words[i] = options[i].name;
    nearest = hf_nearest_word(word, words);
    if (!nearest)
        return usage_error(*word == '-' ? "unknown option" : "unexpected word", word);
    fprintf(stderr, "hostflags-host: unknown option `%s`; did you mean `%s`?\n", word, nearest);
    return HF_E_INVALID;
}

static bool is_named(const struct hf_option *option, const char *word, size_t length)
{
    return (strlen(option->name) == length && strncmp(option->name, word, length) == 0) ||
        (option->letter && strcmp(option->letter, word) == 0);
}

/* The option that a word is, or names before its equals sign; for a bare word the one that takes
 * it. NULL: none. */
static const struct hf_option *find(const struct hf_option *options, const char *word)
{
    size_t length = strcspn(word, "=");

    for (; options->name; options++) {
        if (*word != '-' && options->bare)
            return options;
        if (is_named(options, word, length) && (options->value || !word[length]))
            return options;
    }
    return NULL;
}

static int set_value(const struct hf_option *option, const char *value)
{
    char what[64];

    if (*option->value) {
        snprintf(what, sizeof(what), "a second %s", option->what);
        return usage_error(what, value);
    }
    *option->value = value;
    return HF_OK;
}

/* Takes one option and its argument; *at is moved to the last word that was used. */
static int take(const struct hf_option *options, char ***at)
{
    const char *word = **at, *equals = strchr(word, '=');
    const struct hf_option *option = find(options, word);
    char what[64];

    if (!option)
        return unknown(options, word);
    if (!option->value) {
        *option->flag = true;
        return HF_OK;
    }
    if (*word != '-')
        return set_value(option, word);
    if (equals)
        return set_value(option, equals + 1);
    if (!(*at)[1]) {
        snprintf(what, sizeof(what), "a %s is missing after", option->what);
        return usage_error(what, word);
    }
    return set_value(option, *++*at);
}

int hf_options_read(const struct hf_option *options, char **argv)
{
    int result = HF_OK;

    for (; result == HF_OK && *argv; argv++)
        result = take(options, &argv);
    return result;
}

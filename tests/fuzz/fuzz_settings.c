/* SPDX-License-Identifier: PostgreSQL
 *
 * Settings of any bytes, as a host program hands them over: key and value, one after the other, and
 * then the end. An input is lines key=value; a byte 0x1f stands for a line end in a value.
 *
 * SECRET stands for a secret: it is what the environment has as HF_SECRET, and where an input has
 * it in a place that is private, no error may show it.
 */
#include "plugin/settings.h"

#include "plugin/settings_table.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#define SECRET "Hunter2"

enum { LINES_MAX = 80, ERROR_SIZE = 1024 };

struct line {
    char *key, *value;
};

struct input {
    struct line lines[LINES_MAX];
    size_t count;
};

/* What the settings became with errors of a given size. */
struct outcome {
    struct hf_settings *settings; /* NULL: refused */
    const char *key; /* of the line that was refused; NULL: the whole was */
    char *error; /* a block of its size; NULL where that is 0 */
};

static struct outcome take(const struct input *input, size_t error_size)
{
    struct hf_settings *settings = hf_settings_create();
    struct outcome outcome = {.error = error_size == 0 ? NULL : malloc(error_size)};
    int result = 0;
    size_t i = 0;

    HOLDS(settings != NULL);
    if (error_size > 0)
        memset(outcome.error, 0xff, error_size);
    for (; result == 0 && i < input->count; i++)
        result = hf_settings_set(
            settings, input->lines[i].key, input->lines[i].value, outcome.error, error_size);
    if (result != 0)
        outcome.key = input->lines[i - 1].key;
    else
        result = hf_settings_finish(settings, outcome.error, error_size);
    HOLDS(result == 0 || result == -1);
    if (result == 0)
        outcome.settings = settings;
    else
        hf_settings_destroy(settings);
    return outcome;
}

/* ---- errors ---- */

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static const struct hf_setting_row *row_of(const char *key)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        if (strcmp(hf_settings_table[i].key, key) == 0)
            return &hf_settings_table[i];
    }
    return NULL;
}

/* Whether the error begins with the name of a setting: of this one, or, for NULL, of any. */
static bool names(const char *error, const char *key)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const char *known = hf_settings_table[i].key;

        if ((key == NULL || strcmp(key, known) == 0) && begins_with(error, known) &&
            error[strlen(known)] == ' ')
            return true;
    }
    return false;
}

/* Whether the line shows SECRET where anybody may see it. */
static bool is_public(const struct line *line)
{
    const struct hf_setting_row *row = row_of(line->key);
    const char *at = strrchr(line->value, '@'), *last = line->value, *found = NULL;

    if (strstr(line->key, SECRET) != NULL)
        return true;
    while ((last = strstr(last, SECRET)) != NULL)
        found = last++;
    if (found == NULL || (row != NULL && row->private))
        return false;
    return row == NULL || (row->kind != HF_KIND_PROXY && row->kind != HF_KIND_SERVICE) ||
        at == NULL || found > at;
}

static void check_secret(const struct input *input, const char *error)
{
    bool public = false;

    for (size_t i = 0; i < input->count; i++)
    public = public || is_public(&input->lines[i]);
    HOLDS(public || strstr(error, SECRET) == NULL);
}

/* C83: one line of text that says which setting it is about. */
static void check_error(const struct input *input, const struct outcome *outcome)
{
    const char *error = outcome->error;

    HOLDS(memchr(error, '\0', ERROR_SIZE) != NULL);
    for (const char *at = error; *at != '\0'; at++)
        HOLDS(*at >= ' ' && *at <= '~');
    if (outcome->key != NULL && row_of(outcome->key) == NULL)
        HOLDS(begins_with(error, "there is no setting \""));
    else
        HOLDS(names(error, outcome->key));
    HOLDS(strstr(error, "expected ") != NULL || strstr(error, "did you mean ") != NULL);
    check_secret(input, error);
}

/* With less room there is less of the error, and nothing else is different. */
static void check_cut(const struct outcome *whole, const struct outcome *cut, size_t size)
{
    size_t length = whole->settings != NULL ? 0 : strlen(whole->error);

    HOLDS((whole->settings == NULL) == (cut->settings == NULL));
    HOLDS(whole->key == cut->key);
    if (whole->settings != NULL || size == 0)
        return;
    HOLDS(memchr(cut->error, '\0', size) != NULL);
    HOLDS(strlen(cut->error) == (length < size ? length : size - 1));
    HOLDS(begins_with(whole->error, cut->error));
}

/* ---- settings ---- */

static void check_numbers(const struct hf_settings *settings)
{
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];
        const void *member = (const char *)settings + row->member;
        int64_t value;

        if (row->kind == HF_KIND_DURATION || row->kind == HF_KIND_SIZE)
            value = *(const int64_t *)member;
        else if (row->kind == HF_KIND_COUNT)
            value = *(const uint32_t *)member;
        else
            continue;
        HOLDS(value >= row->min && value <= row->max);
    }
    HOLDS(settings->policy.ttl_min_ms <= settings->policy.ttl_max_ms);
}

static void check_flags(const struct hf_settings *settings)
{
    const struct hf_rules *rules = &settings->rules;

    HOLDS(settings->flag_count >= 1 && settings->flag_count <= HF_MAX_FLAGS);
    for (uint32_t i = 0; i < settings->flag_count; i++) {
        const char *name = settings->flags[i];

        HOLDS(name[0] != '\0' && strlen(name) <= 255);
        HOLDS(strpbrk(name, " \t\r\n,=\"\\") == NULL);
        HOLDS(hf_settings_flag_index(settings, name) == (int)i);
    }
    HOLDS(rules->all == UINT64_MAX >> (64 - settings->flag_count));
    HOLDS((rules->defaults & ~rules->all) == 0 && (rules->overridden & ~rules->all) == 0);
    HOLDS((rules->overrides & ~rules->overridden) == 0);
}

/* A token that is for all hosts goes to none that was not named. */
static void check_token(const struct hf_settings *settings)
{
    HOLDS(settings->token_file == NULL || settings->token_env == NULL);
    HOLDS(settings->token_env == NULL || settings->allowed_hosts != NULL);
    HOLDS(settings->token == NULL || settings->token_env != NULL);
    HOLDS(settings->token_file == NULL || settings->allowed_hosts != NULL ||
        strstr(settings->token_file, "{host}") != NULL);
    HOLDS(settings->token_file == NULL || settings->token_file[0] == '/');
}

/* C30: what is asked is one URL of printable bytes, with no // in its path. */
static void check_url(const struct hf_settings *settings, const char *name)
{
    struct hf_target target = {settings->protocol, settings->service, settings->endpoint,
        settings->client, settings->client_version, settings->flags, settings->flag_count};
    struct hf_upstream_key key, asked;
    char *url = NULL, *path;

    HOLDS(hf_upstream_parse(&key, name, 0, NULL) == NULL);
    if (hf_protocol_url(&target, &key, &asked, &url) != NULL) {
        HOLDS(settings->service != NULL); /* the upstream itself can always be asked */
        return;
    }
    HOLDS(begins_with(url, "https://") || begins_with(url, "http://"));
    path = strchr(strstr(url, "://") + 3, '/');
    HOLDS(path != NULL && strstr(path, "//") == NULL);
    for (const char *at = url; *at != '\0'; at++)
        HOLDS(*at > ' ' && *at <= '~');
    free(url);
}

/* C83: no key that comes twice is accepted. */
static void check_keys(const struct input *input)
{
    for (size_t i = 0; i < input->count; i++) {
        for (size_t other = 0; other < i; other++)
            HOLDS(strcmp(input->lines[i].key, input->lines[other].key) != 0);
    }
}

static void check_settings(const struct hf_settings *settings, const struct hf_settings *same)
{
    char error[ERROR_SIZE];

    check_numbers(settings);
    check_flags(settings);
    check_token(settings);
    check_url(settings, "db.example.com:8443");
    check_url(settings, "http://[2001:db8::1]");
    HOLDS(hf_settings_same_requests(settings, same));
    HOLDS(!hf_settings_refuse_restart(settings, same, error, sizeof(error)));
}

/* ---- one input ---- */

static struct input read_input(const uint8_t *data, size_t size)
{
    struct hf_fuzz_lines lines = {(const char *)data, (const char *)data + size};
    struct input input = {.count = 0};
    char *text;

    while (input.count < LINES_MAX && (text = hf_fuzz_line(&lines)) != NULL) {
        struct line *line = &input.lines[input.count++];
        size_t key = strcspn(text, "="), behind = key + (text[key] == '=');

        for (char *at = text; (at = strchr(at, 0x1f)) != NULL;)
            *at = '\n';
        line->key = hf_fuzz_text(text, key);
        line->value = hf_fuzz_text(text + behind, strlen(text + behind));
        free(text);
    }
    return input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = read_input(data, size);
    size_t cut_size = size % 200; /* also 0 */
    int free_before = hf_fuzz_next_descriptor();
    struct outcome whole, cut;

    setenv("HF_SECRET", SECRET, 1);
    whole = take(&input, ERROR_SIZE);
    cut = take(&input, cut_size);
    check_cut(&whole, &cut, cut_size);
    if (whole.settings == NULL) {
        check_error(&input, &whole);
    } else {
        check_keys(&input);
        check_settings(whole.settings, cut.settings);
    }
    HOLDS(hf_fuzz_next_descriptor() == free_before);
    hf_settings_destroy(whole.settings);
    hf_settings_destroy(cut.settings);
    free(whole.error);
    free(cut.error);
    for (size_t i = 0; i < input.count; i++) {
        free(input.lines[i].key);
        free(input.lines[i].value);
    }
    return 0;
}

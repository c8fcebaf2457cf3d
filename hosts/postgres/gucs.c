/* SPDX-License-Identifier: PostgreSQL */
#include "hosts/postgres/gucs.h"

#include "plugin/settings_table.h"

#include "access/parallel.h"
#include "common/hashfn.h"
#include "tcop/pquery.h"

#include <limits.h>

#define PREFIX "hostflags."
#define ERROR_MAX 1024
#define PROXY_VALID "[scheme://]host:port" /* without the password that the plugin takes */

/* The parameters that are text. `flags` is first: defaults and overrides are checked against it. */
#define FOR_EACH_TEXT(DO) \
    DO(flags) \
    DO(defaults) \
    DO(overrides) \
    DO(protocol) \
    DO(endpoint) \
    DO(service) \
    DO(client) \
    DO(client_version) \
    DO(token_file) \
    DO(allowed_hosts) \
    DO(ca_file) \
    DO(client_cert_file) \
    DO(client_key_file) \
    DO(proxy)

/* What PostgreSQL keeps the values in: one per row of the table of settings. */
static union {
    int number; /* in units of the parameter; also an enum's */
    bool on;
    char *text;
} values[HF_SETTINGS_COUNT];

/* PostgreSQL assigns every parameter anew at every reload, mostly what it was. */
static bool assigned; /* since the last look */
static uint64_t seen; /* a mark of what counted then; 0: nothing was looked at yet */

/* Parameters that may be good each and still not fit together. */
enum { PAIRS = 2 };
static const char *const pairs[PAIRS][2] = {
    {"ttl_min", "ttl_max"}, {"client_cert_file", "client_key_file"}};

/* Those of the pairs as at the start of the server, where they did fit; written as values are. */
static char *at_start[HF_SETTINGS_COUNT];

static const struct config_enum_entry allow_http_words[] = {{"off", HF_HTTP_OFF, false},
    {"loopback", HF_HTTP_LOOPBACK, false}, {"any", HF_HTTP_ANY, false}, {NULL, 0, false}};

static size_t number_of(const char *key)
{
    size_t i = 0;

    while (i < HF_SETTINGS_COUNT - 1 && strcmp(hf_settings_table[i].key, key) != 0)
        i++;
    return i;
}

/* ---- units ---- */

/* Of a duration in ms what fits an int; the others are in seconds. */
static int64_t unit_of(const struct hf_setting_row *row)
{
    if (row->kind == HF_KIND_SIZE)
        return 1024;
    return row->kind == HF_KIND_DURATION && row->max > INT_MAX ? 1000 : 1;
}

static int flags_of(const struct hf_setting_row *row)
{
    bool private = row->private || row->kind == HF_KIND_FILE || row->kind == HF_KIND_PROXY;
    int flags = private ? GUC_SUPERUSER_ONLY : 0;

    if (row->kind == HF_KIND_SIZE)
        flags |= GUC_UNIT_KB;
    if (row->kind == HF_KIND_DURATION)
        flags |= unit_of(row) == 1 ? GUC_UNIT_MS : GUC_UNIT_S;
    if (row->kind == HF_KIND_FLAGS || row->kind == HF_KIND_TEXT || row->kind == HF_KIND_HOSTS)
        flags |= GUC_LIST_INPUT;
    return flags;
}

static const char *unit_word(const struct hf_setting_row *row)
{
    if (row->kind == HF_KIND_SIZE)
        return "kB";
    if (row->kind == HF_KIND_DURATION)
        return unit_of(row) == 1 ? "ms" : "s";
    return "";
}

/* ---- from parameters to settings ---- */

static bool is_left_out(const struct hf_setting_row *row)
{
    return strcmp(row->key, "share") == 0 || strcmp(row->key, "token_env") == 0;
}

static bool is_number(const struct hf_setting_row *row)
{
    return row->kind == HF_KIND_DURATION || row->kind == HF_KIND_SIZE || row->kind == HF_KIND_COUNT;
}

/* A value as an operator would write it. */
static const char *write_value(size_t number, char *buf, size_t size)
{
    const struct hf_setting_row *row = &hf_settings_table[number];

    if (row->kind == HF_KIND_SWITCH)
        return values[number].on ? "on" : "off";
    if (row->kind == HF_KIND_ALLOW_HTTP)
        return allow_http_words[values[number].number].name;
    if (!is_number(row))
        return values[number].text;
    snprintf(buf, size, "%d%s", values[number].number, unit_word(row));
    return buf;
}

static int pair_of(size_t number)
{
    int pair = 0;

    while (
        pair < PAIRS && number != number_of(pairs[pair][0]) && number != number_of(pairs[pair][1]))
        pair++;
    return pair; /* PAIRS: none */
}

/* What counts: the parameter's value, but of the pairs in the set `unfit` (of bits) that at the
 * start. */
static const char *value_of(size_t number, unsigned unfit, char *buf, size_t size)
{
    return (unfit >> pair_of(number) & 1) != 0 ? at_start[number] : write_value(number, buf, size);
}

static uint64_t mark_of_values(unsigned unfit)
{
    uint64_t mark = 1;
    char buf[64];

    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const char *value =
            is_left_out(&hf_settings_table[i]) ? "" : value_of(i, unfit, buf, sizeof(buf));
        mark = hash_bytes_extended(
            (const unsigned char *)value, (int)strlen(value) + 1, mark); /* with the NUL */
    }
    return mark;
}

/* A list without patterns: nobody fits. */
static bool allow_nobody_unless_named(struct hf_settings *settings)
{
    if (settings->allowed_hosts == NULL)
        settings->allowed_hosts = calloc(1, 2);
    return settings->allowed_hosts != NULL;
}

/* NULL: error says why. Each was checked as it was set, so that is for want of memory. */
static struct hf_settings *make(unsigned unfit, char *error, size_t error_size)
{
    struct hf_settings *settings = hf_settings_create();
    char buf[64];
    int bad = 0;

    snprintf(error, error_size, "out of memory");
    if (settings == NULL)
        return NULL;
    for (size_t i = 0; i < HF_SETTINGS_COUNT && bad == 0; i++) {
        if (!is_left_out(&hf_settings_table[i]))
            bad = hf_settings_set(settings, hf_settings_table[i].key,
                value_of(i, unfit, buf, sizeof(buf)), error, error_size);
    }
    if (bad == 0 && allow_nobody_unless_named(settings) &&
        hf_settings_join(settings, error, error_size) == 0)
        return settings;
    hf_settings_destroy(settings);
    return NULL;
}

/* 0: the two fit, as far as that depends on them. Else as hf_settings_set. */
static int check_pair(int pair, char *error, size_t error_size)
{
    struct hf_settings *settings = hf_settings_create();
    int bad = settings == NULL ? HF_SETTINGS_NO_MEMORY : 0;
    char buf[64];

    for (int i = 0; i < 2 && bad == 0; i++)
        bad = hf_settings_set(settings, pairs[pair][i],
            write_value(number_of(pairs[pair][i]), buf, sizeof(buf)), error, error_size);
    if (bad == 0)
        bad = hf_settings_join(settings, error, error_size);
    hf_settings_destroy(settings);
    return bad;
}

static void tell_unfit(int pair, const char *error, char *told, size_t size)
{
    size_t length = strlen(told);

    snprintf(told + length, size - length, "%s%s", length == 0 ? "" : "; ", error);
    length = strlen(told);
    if (seen != 0)
        snprintf(told + length, size - length,
            "; " PREFIX "%s and %s count as at the start of the server", pairs[pair][0],
            pairs[pair][1]);
}

/* The set of pairs that do not fit. False: there is no memory to tell. */
static bool find_unfit(unsigned *unfit, char *told, size_t size)
{
    char error[ERROR_MAX];
    int bad;

    *unfit = 0;
    for (int pair = 0; pair < PAIRS; pair++) {
        bad = check_pair(pair, error, sizeof(error));
        if (bad == HF_SETTINGS_NO_MEMORY)
            return false;
        if (bad != 0) {
            *unfit |= 1u << pair;
            tell_unfit(pair, error, told, size);
        }
    }
    return true;
}

static void keep_start(void)
{
    char buf[64];

    for (size_t number = 0; number < HF_SETTINGS_COUNT; number++) {
        if (pair_of(number) < PAIRS)
            at_start[number] =
                MemoryContextStrdup(TopMemoryContext, write_value(number, buf, sizeof(buf)));
    }
}

struct hf_settings *hf_pg_gucs_take(char *told, size_t size)
{
    struct hf_settings *made;
    char error[ERROR_MAX];
    uint64_t mark;
    unsigned unfit;

    told[0] = '\0';
    if (likely(!assigned))
        return NULL;
    if (!find_unfit(&unfit, told, size)) {
        snprintf(told, size, "out of memory"); /* it is tried again at the next call */
        return NULL;
    }
    if (seen == 0 && unfit != 0)
        return NULL;
    if (seen == 0)
        keep_start();
    made = make(unfit, error, sizeof(error));
    if (made == NULL) {
        snprintf(told, size, "%s", error);
        return NULL;
    }
    assigned = false;
    mark = mark_of_values(unfit);
    if (mark == seen) {
        hf_settings_destroy(made);
        return NULL;
    }
    seen = mark;
    return made;
}

void hf_pg_gucs_log(const char *told)
{
    if (told[0] != '\0')
        ereport(WARNING, errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("hostflags: %s", told));
}

/* ---- checking one value ---- */

/* Of a value more can be said than of its form: flags must be known, a file be there. */
static bool refuses(const struct hf_setting_row *row, const char *value, char *error)
{
    struct hf_settings *settings = hf_settings_create();
    const char *flags = values[number_of("flags")].text;
    int bad = settings == NULL ? -1 : 0;

    snprintf(error, ERROR_MAX, "out of memory");
    if (bad == 0 && row->kind == HF_KIND_TEXT && flags != NULL)
        bad = hf_settings_set(settings, "flags", flags, error, ERROR_MAX);
    if (bad == 0)
        bad = hf_settings_set(settings, row->key, value, error, ERROR_MAX);
    if (bad == 0 && row->kind == HF_KIND_TEXT)
        bad = hf_settings_join(settings, error, ERROR_MAX);
    if (bad == 0)
        bad = hf_settings_check_files(settings, error, ERROR_MAX);
    hf_settings_destroy(settings);
    return bad != 0;
}

/* SHOW tells a parameter's value, so a password has no place in it. */
static void tell_what_proxy_must_be(bool password)
{
    if (!password) {
        GUC_check_errdetail("Expected %s.", PROXY_VALID);
        return;
    }
    GUC_check_errdetail("It names a user or a password, which this parameter must not hold.");
    GUC_check_errhint("Set https_proxy in the environment of the server instead.");
}

/* Of what is not for all to see, at a reload in a session, whose user may have asked for all
 * messages. The postmaster's log has it. */
static bool is_overheard(const struct hf_setting_row *row)
{
    return (flags_of(row) & GUC_SUPERUSER_ONLY) != 0 && IsUnderPostmaster && ActivePortal == NULL;
}

static bool check_text(const char *key, const char *value)
{
    const struct hf_setting_row *row = &hf_settings_table[number_of(key)];
    bool is_proxy = row->kind == HF_KIND_PROXY, secret = strchr(value, '@') != NULL;
    char error[ERROR_MAX];

    if (InitializingParallelWorker) /* its leader has it: a file that is gone by now is no error */
        return true;
    if (!(is_proxy && secret) && !refuses(row, value, error))
        return true;
    if (row->private || secret || is_overheard(row)) /* else the server repeats the value */
        GUC_check_errmsg("invalid value for parameter \"%s%s\", which is not shown", PREFIX, key);
    if (is_proxy)
        tell_what_proxy_must_be(secret);
    else if (!is_overheard(row))
        GUC_check_errdetail("%s.", error);
    return false;
}

#define CHECK_HOOK(name) \
    static bool check_##name(char **value, void **extra, GucSource source) \
    { \
        (void)extra; \
        (void)source; \
        return check_text(#name, *value == NULL ? "" : *value); \
    }
FOR_EACH_TEXT(CHECK_HOOK)

static const struct {
    const char *key;
    GucStringCheckHook check;
} check_hooks[] = {
#define CHECK_ROW(name) {#name, check_##name},
    FOR_EACH_TEXT(CHECK_ROW)};

/* ---- defining them ---- */

static void assign_text(const char *value, void *extra)
{
    (void)value;
    (void)extra;
    assigned = true;
}

static void assign_number(int value, void *extra)
{
    (void)value;
    (void)extra;
    assigned = true;
}

static void assign_switch(bool value, void *extra)
{
    (void)value;
    (void)extra;
    assigned = true;
}

static const char *help_of(const struct hf_setting_row *row)
{
    static const char *const ours[][2] = {
        {"allowed_hosts", "The hosts that may be asked. Empty: none."},
        {"max_connections", "References of sessions to hosts at a time."},
        {"linger",
            "How long a host without sessions is remembered, at most until its TTL is over."},
        {"prefetch", "Ask a host when a session first refers to it, not at the first read."},
        {"enabled", "Ask for flags. Off: the answers are defaults and overrides."},
        {"proxy", "The proxy to ask through, but for loopback addresses, as scheme://host:port."},
    };

    for (size_t i = 0; i < lengthof(ours); i++) {
        if (strcmp(ours[i][0], row->key) == 0)
            return ours[i][1];
    }
    return row->help;
}

/* Without the marks of Markdown; for good. */
static char *plain(const char *text)
{
    char *copy = MemoryContextStrdup(TopMemoryContext, text), *to = copy;

    for (const char *from = copy; *from != '\0'; from++) {
        if (*from != '`')
            *to++ = *from;
    }
    *to = '\0';
    return copy;
}

static void define_number(size_t i, const char *name, const struct hf_settings *initial)
{
    const struct hf_setting_row *row = &hf_settings_table[i];
    const void *member = (const char *)initial + row->member;
    int64_t unit = unit_of(row);
    int64_t value =
        row->kind == HF_KIND_COUNT ? *(const uint32_t *)member : *(const int64_t *)member;

    DefineCustomIntVariable(name, plain(help_of(row)), NULL, &values[i].number, (int)(value / unit),
        (int)(row->min / unit), (int)(row->max / unit), row->restart ? PGC_POSTMASTER : PGC_SIGHUP,
        flags_of(row), NULL, assign_number, NULL);
}

static void define_text(size_t i, const char *name)
{
    const struct hf_setting_row *row = &hf_settings_table[i];
    char valid[512] = PROXY_VALID, about[sizeof(valid) + 8];
    size_t hook = 0;

    while (hook < lengthof(check_hooks) && strcmp(check_hooks[hook].key, row->key) != 0)
        hook++;
    if (hook == lengthof(check_hooks))
        elog(ERROR, "hostflags: nothing checks the parameter %s", name);
    if (row->kind != HF_KIND_PROXY)
        hf_settings_describe_valid(row, valid, sizeof(valid));
    snprintf(about, sizeof(about), "Valid: %s", valid);
    DefineCustomStringVariable(name, plain(help_of(row)), plain(about), &values[i].text,
        row->initial, row->restart ? PGC_POSTMASTER : PGC_SIGHUP, flags_of(row),
        check_hooks[hook].check, assign_text, NULL);
}

static void define(size_t i, const struct hf_settings *initial)
{
    const struct hf_setting_row *row = &hf_settings_table[i];
    const char *name = MemoryContextStrdup(TopMemoryContext, psprintf(PREFIX "%s", row->key));

    if (row->kind == HF_KIND_SWITCH)
        DefineCustomBoolVariable(name, plain(help_of(row)), NULL, &values[i].on,
            *((const bool *)initial + row->member), PGC_SIGHUP, flags_of(row), NULL, assign_switch,
            NULL);
    else if (row->kind == HF_KIND_ALLOW_HTTP)
        DefineCustomEnumVariable(name, plain(help_of(row)), NULL, &values[i].number,
            (int)initial->allow_http, allow_http_words, PGC_SIGHUP, flags_of(row), NULL,
            assign_number, NULL);
    else if (is_number(row))
        define_number(i, name, initial);
    else
        define_text(i, name);
}

void hf_pg_gucs_define(void)
{
    struct hf_settings *initial = hf_settings_create();

    if (initial == NULL)
        ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        if (!is_left_out(&hf_settings_table[i]))
            define(i, initial);
    }
    hf_settings_destroy(initial);
    MarkGUCPrefixReserved("hostflags");
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * What settings mean, once they are taken. Bad ones: test_settings_errors.c.
 */
#include "plugin/settings.h"
#include "plugin/settings_table.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* pairs: key, value, ..., NULL. NULL, after a failed check, if one of them is refused. */
static struct hf_settings *make(const char *const *pairs)
{
    struct hf_settings *settings = hf_settings_create();
    char error[1024] = "";
    int result = settings == NULL ? -1 : 0;

    for (; result == 0 && *pairs != NULL; pairs += 2)
        result = hf_settings_set(settings, pairs[0], pairs[1], error, sizeof(error));
    if (result == 0)
        result = hf_settings_finish(settings, error, sizeof(error));
    CHECK_STR_EQ(error, "");
    if (CHECK_INT_EQ(result, 0))
        return settings;
    hf_settings_destroy(settings);
    return NULL;
}

#define MAKE(...) make((const char *const[]){__VA_ARGS__, NULL})

/* The table of design and README, by hand. */
static void test_defaults(void)
{
    struct hf_settings *settings = MAKE(NULL);

    if (settings == NULL)
        return;
    CHECK_INT_EQ(settings->flag_count, 1);
    CHECK_STR_EQ(settings->flags[0],
        "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver");
    CHECK_INT_EQ(settings->rules.defaults, 0);
    CHECK_INT_EQ(settings->rules.overridden, 0);
    CHECK_INT_EQ(settings->rules.overrides, 0);
    CHECK(settings->rules.enabled);
    CHECK(settings->prefetch);
    CHECK_STR_EQ(settings->protocol->name, "databricks");
    CHECK_STR_EQ(settings->endpoint, NULL);
    CHECK_STR_EQ(settings->service, NULL);
    CHECK_STR_EQ(settings->client, "GOLANG");
    CHECK_STR_EQ(settings->client_version, "1.0.0");
    CHECK_INT_EQ(settings->policy.ttl_ms, 900000);
    CHECK_INT_EQ(settings->policy.ttl_min_ms, 60000);
    CHECK_INT_EQ(settings->policy.ttl_max_ms, 3600000);
    CHECK_INT_EQ(settings->policy.linger_ms, 900000);
    CHECK_INT_EQ(settings->policy.max_stale_ms, 0);
    CHECK_INT_EQ(settings->connect_timeout_ms, 3000);
    CHECK_INT_EQ(settings->request_timeout_ms, 10000);
    CHECK_INT_EQ(settings->max_response_bytes, 1048576);
    CHECK_INT_EQ(settings->max_in_flight, 32);
    CHECK_INT_EQ(settings->max_hosts, 1024);
    CHECK_INT_EQ(settings->max_connections, 65536);
    CHECK_STR_EQ(settings->ca_file, NULL);
    CHECK_INT_EQ(settings->allow_http, HF_HTTP_OFF);
    hf_settings_destroy(settings);
}

/* ---- values ---- */

struct number {
    const char *key, *value;
    size_t member, size;
    int64_t expected;
};

#define NUMBER(key, value, member, expected) \
    { \
        key, value, offsetof(struct hf_settings, member), \
            sizeof(((struct hf_settings *)NULL)->member), expected \
    }

static void check_number(const struct number *row)
{
    struct hf_settings *settings = hf_settings_create();
    char error[512] = "";
    int64_t wide = 0;
    uint32_t narrow = 0;

    if (settings == NULL)
        abort();
    CHECK_INT_EQ(hf_settings_set(settings, row->key, row->value, error, sizeof(error)), 0);
    CHECK_STR_EQ(error, "");
    memcpy(row->size == sizeof(wide) ? (void *)&wide : (void *)&narrow,
        (const char *)settings + row->member, row->size);
    if (!CHECK_INT_EQ(row->size == sizeof(wide) ? wide : (int64_t)narrow, row->expected))
        printf("            in: %s = %s\n", row->key, row->value);
    hf_settings_destroy(settings);
}

/* Each number at its smallest, at its largest, and once in between. */
static void test_numbers(void)
{
    static const struct number rows[] = {
        NUMBER("ttl", "100ms", policy.ttl_ms, 100),
        NUMBER("ttl", "7d", policy.ttl_ms, 7 * DAY),
        NUMBER("ttl", "168h", policy.ttl_ms, 7 * DAY),
        NUMBER("ttl", "1s", policy.ttl_ms, SECOND),
        NUMBER("ttl_min", "100ms", policy.ttl_min_ms, 100),
        NUMBER("ttl_min", "7d", policy.ttl_min_ms, 7 * DAY),
        NUMBER("ttl_max", "100ms", policy.ttl_max_ms, 100),
        NUMBER("ttl_max", "7d", policy.ttl_max_ms, 7 * DAY),
        NUMBER("linger", "0", policy.linger_ms, 0),
        NUMBER("linger", "0ms", policy.linger_ms, 0),
        NUMBER("linger", "0d", policy.linger_ms, 0),
        NUMBER("linger", "1ms", policy.linger_ms, 1),
        NUMBER("linger", "7d", policy.linger_ms, 7 * DAY),
        NUMBER("max_stale", "0", policy.max_stale_ms, 0),
        NUMBER("max_stale", "30d", policy.max_stale_ms, 30 * DAY),
        NUMBER("max_stale", "2h", policy.max_stale_ms, 2 * HOUR),
        NUMBER("connect_timeout", "100ms", connect_timeout_ms, 100),
        NUMBER("connect_timeout", "5min", connect_timeout_ms, 5 * MINUTE),
        NUMBER("request_timeout", "100ms", request_timeout_ms, 100),
        NUMBER("request_timeout", "300s", request_timeout_ms, 5 * MINUTE),
        NUMBER("max_response_size", "1kB", max_response_bytes, 1024),
        NUMBER("max_response_size", "64MB", max_response_bytes, 67108864),
        NUMBER("max_response_size", "65536 kB", max_response_bytes, 67108864),
        NUMBER("max_in_flight", "1", max_in_flight, 1),
        NUMBER("max_in_flight", "1024", max_in_flight, 1024),
        NUMBER("max_hosts", "1", max_hosts, 1),
        NUMBER("max_hosts", "1048576", max_hosts, 1048576),
        NUMBER("max_connections", "1", max_connections, 1),
        NUMBER("max_connections", "16777216", max_connections, 16777216),
        NUMBER("allow_http", "off", allow_http, HF_HTTP_OFF),
        NUMBER("allow_http", "loopback", allow_http, HF_HTTP_LOOPBACK),
        NUMBER("allow_http", "ANY", allow_http, HF_HTTP_ANY),
        /* how a number may be written */
        NUMBER("ttl", "15 min", policy.ttl_ms, 15 * MINUTE),
        NUMBER("ttl", "15 \t min", policy.ttl_ms, 15 * MINUTE),
        NUMBER("ttl", " \t15min\t ", policy.ttl_ms, 15 * MINUTE),
        NUMBER("ttl", "0015min", policy.ttl_ms, 15 * MINUTE),
        NUMBER("max_hosts", " 010 ", max_hosts, 10),
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_number(&rows[i]);
}

static void test_switches(void)
{
    static const char *const words[2][7] = {{"off", "false", "no", "0", "OFF", "False", " nO "},
        {"on", "true", "yes", "1", "ON", "True", " yEs "}};

    for (size_t i = 0; i < 14; i++) {
        bool expected = i >= 7;
        struct hf_settings *settings =
            MAKE("enabled", words[expected][i % 7], "prefetch", words[expected][i % 7]);
        if (settings == NULL)
            continue;
        CHECK_INT_EQ(settings->rules.enabled, expected);
        CHECK_INT_EQ(settings->prefetch, expected);
        hf_settings_destroy(settings);
    }
}

static void test_texts(void)
{
    struct hf_settings *settings = MAKE("endpoint", "/a/{client}?flags={flags}", "service",
        "https://{host}:8443", "client", "My_client-2.b", "protocol", "databricks");
    char word[66];

    if (settings != NULL) {
        CHECK_STR_EQ(settings->endpoint, "/a/{client}?flags={flags}");
        CHECK_STR_EQ(settings->service, "https://{host}:8443");
        CHECK_STR_EQ(settings->client, "My_client-2.b");
        CHECK_STR_EQ(settings->protocol->name, "databricks");
    }
    hf_settings_destroy(settings);
    settings =
        MAKE("endpoint", "", "service", " ", "ca_file", "", "defaults", "", "overrides", " ");
    if (settings != NULL) {
        CHECK_STR_EQ(settings->endpoint, NULL);
        CHECK_STR_EQ(settings->service, NULL);
        CHECK_STR_EQ(settings->ca_file, NULL);
        CHECK_INT_EQ(settings->rules.defaults, 0);
        CHECK_INT_EQ(settings->rules.overridden, 0);
    }
    hf_settings_destroy(settings);
    memset(word, 'x', 64);
    word[64] = '\0';
    settings = MAKE("client", word);
    if (settings != NULL)
        CHECK_STR_EQ(settings->client, word);
    hf_settings_destroy(settings);
}

static void test_version_suffix(void)
{
    static const char *const rows[][2] = {{"1.2.0-rc1", "1.2.0"}, {"1.2.0", "1.2.0"},
        {"1.2.0-rc1-dirty", "1.2.0"}, {"1.2.0-", "1.2.0"}, {"1.2.0-rc 1+x", "1.2.0"},
        {"2_b", "2_b"}, {"v1-SNAPSHOT", "v1"}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_settings *settings = MAKE("client_version", rows[i][0]);
        if (settings != NULL)
            CHECK_STR_EQ(settings->client_version, rows[i][1]);
        hf_settings_destroy(settings);
    }
}

/* ---- flags ---- */

static void test_flags(void)
{
    struct hf_settings *settings = MAKE("flags", " b.x ,a,\tC , c");

    if (settings == NULL)
        return;
    CHECK_INT_EQ(settings->flag_count, 4);
    CHECK_STR_EQ(settings->flags[0], "b.x");
    CHECK_STR_EQ(settings->flags[1], "a");
    CHECK_STR_EQ(settings->flags[2], "C");
    CHECK_STR_EQ(settings->flags[3], "c");
    CHECK_INT_EQ(hf_settings_flag_index(settings, "b.x"), 0);
    CHECK_INT_EQ(hf_settings_flag_index(settings, "C"), 2);
    CHECK_INT_EQ(hf_settings_flag_index(settings, "c"), 3);
    CHECK_INT_EQ(hf_settings_flag_index(settings, "b"), -1);
    CHECK_INT_EQ(hf_settings_flag_index(settings, "B.x"), -1);
    CHECK_INT_EQ(hf_settings_flag_index(settings, "b.x "), -1);
    CHECK_INT_EQ(hf_settings_flag_index(settings, ""), -1);
    hf_settings_destroy(settings);
}

/* 64 names, one of them of 255 bytes. */
static void test_most_flags(void)
{
    char flags[2048], *p = flags, name[256];
    struct hf_settings *settings;

    memset(name, '~', 255);
    name[255] = '\0';
    for (int i = 0; i < 63; i++)
        p += sprintf(p, "f%d,", i);
    strcpy(p, name);
    settings = MAKE("flags", flags, "overrides", "f62=on", "defaults", "f0=on");
    if (settings == NULL)
        return;
    CHECK_INT_EQ(settings->flag_count, 64);
    CHECK_STR_EQ(settings->flags[63], name);
    CHECK_INT_EQ(hf_settings_flag_index(settings, name), 63);
    CHECK(settings->rules.overridden == 1ull << 62);
    CHECK(settings->rules.defaults == 1);
    CHECK(hf_rules_ask(&settings->rules));
    hf_settings_destroy(settings);
}

/* In any order, also before flags. */
static void test_answers(void)
{
    struct hf_settings *settings =
        MAKE("overrides", "c=OFF, a = true ,d=1", "defaults", "b=on,a=off", "flags", "a,b,c,d,e");

    if (settings == NULL)
        return;
    CHECK_INT_EQ(settings->rules.defaults, 2);
    CHECK_INT_EQ(settings->rules.overridden, 1 | 4 | 8);
    CHECK_INT_EQ(settings->rules.overrides, 1 | 8);
    hf_settings_destroy(settings);
}

/* ---- what is answered ---- */

/* One row per case, for a flag of its own: its default, its override ('-': none), what the service
 * sent ('-': nothing), and the answer. */
struct answer {
    char initial, override, sent, expected;
};

static void check_merge(const struct answer *rows, uint32_t count, bool enabled)
{
    char flags[1024] = "", defaults[1024] = "", overrides[1024] = "";
    uint64_t sent = 0, on = 0, merged;
    struct hf_settings *settings;

    for (uint32_t i = 0; i < count; i++) {
        const char *comma = i == 0 ? "" : ",";
        sprintf(flags + strlen(flags), "%sf%u", comma, i);
        sprintf(defaults + strlen(defaults), "%sf%u=%c", comma, i, rows[i].initial);
        if (rows[i].override != '-')
            sprintf(overrides + strlen(overrides), "%sf%u=%c", *overrides == '\0' ? "" : ",", i,
                rows[i].override);
        sent |= rows[i].sent != '-' ? 1ull << i : 0;
        on |= rows[i].sent == '1' ? 1ull << i : 0;
    }
    settings = MAKE("flags", flags, "defaults", defaults, "overrides", overrides, "enabled",
        enabled ? "on" : "off");
    if (settings == NULL)
        return;
    merged = hf_rules_merge(&settings->rules, sent, on);
    for (uint32_t i = 0; i < count; i++) {
        if (!CHECK_INT_EQ(merged >> i & 1, rows[i].expected - '0'))
            printf("            default %c, override %c, sent %c\n", rows[i].initial,
                rows[i].override, rows[i].sent);
    }
    CHECK_INT_EQ(merged >> count, 0);
    hf_settings_destroy(settings);
}

static void test_override(void)
{
    static const struct answer rows[] = {
        {'0', '-', '-', '0'},
        {'1', '-', '-', '1'}, /* nothing known: the default */
        {'0', '-', '0', '0'},
        {'1', '-', '0', '0'}, /* sent: that */
        {'0', '-', '1', '1'},
        {'1', '-', '1', '1'},
        {'0', '0', '-', '0'},
        {'1', '0', '-', '0'}, /* an override wins over all */
        {'0', '0', '1', '0'},
        {'1', '0', '1', '0'},
        {'0', '1', '-', '1'},
        {'1', '1', '-', '1'},
        {'0', '1', '0', '1'},
        {'1', '1', '0', '1'},
    };
    check_merge(rows, COUNT(rows), true);
}

static void test_disabled(void)
{
    static const struct answer rows[] = {
        {'0', '-', '-', '0'}, {'1', '-', '-', '1'}, {'0', '-', '0', '0'},
        {'1', '-', '0', '1'}, /* the default, whatever was sent */
        {'0', '-', '1', '0'}, {'1', '-', '1', '1'}, {'0', '1', '0', '1'},
        {'1', '0', '1', '0'}, /* overrides stay */
    };
    check_merge(rows, COUNT(rows), false);
}

static void test_asks(void)
{
    static const struct {
        const char *enabled, *overrides;
        bool asks;
    } rows[] = {{"on", "", true}, {"on", "a=on", true}, {"on", "a=on,b=off", false},
        {"on", "a=off,b=off", false}, {"off", "", false}, {"off", "a=on,b=off", false}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_settings *settings =
            MAKE("flags", "a,b", "enabled", rows[i].enabled, "overrides", rows[i].overrides);
        if (settings != NULL)
            CHECK_INT_EQ(hf_rules_ask(&settings->rules), rows[i].asks);
        hf_settings_destroy(settings);
    }
}

/* ---- docs ---- */

/* One line per setting, of five columns, with its key and default. */
static void test_markdown(void)
{
    char *text = NULL, *end = NULL, *line;
    size_t length = 0, rows = 0;
    FILE *out = open_memstream(&text, &length);

    hf_settings_print_markdown(out);
    fclose(out);
    CHECK_STR_CONTAINS(text, "| `ttl` | `15min` | 100ms to 7d | yes |");
    CHECK_STR_CONTAINS(text, "| `max_hosts` | `1024` | 1 to 1048576 | restart |");
    CHECK_STR_CONTAINS(text, "| `max_response_size` | `1MB` | 1kB to 64MB | yes |");
    CHECK_STR_CONTAINS(text, "| `max_stale` | `0` | 0 to 30d | yes |");
    CHECK_STR_CONTAINS(text, "| `ca_file` | empty | ");
    for (line = strtok_r(text, "\n", &end); line != NULL;
         line = strtok_r(NULL, "\n", &end), rows++) {
        size_t bars = 0;
        for (const char *p = line; *p != '\0'; p++)
            bars += *p == '|';
        CHECK_INT_EQ(bars, 6);
        if (rows >= 2)
            CHECK_STR_CONTAINS(line, hf_settings_table[rows - 2].key);
    }
    CHECK_INT_EQ(rows, 2 + HF_SETTINGS_COUNT);
    free(text);
}

static const struct hf_test tests[] = {
    {"C02 what is not set: a TTL of 15 minutes, and the other defaults", test_defaults},
    {"C83 numbers with units, up to their limits", test_numbers},
    {"C83 switches", test_switches},
    {"C83 texts; empty ones are not set", test_texts},
    {"C26 a version's suffix is stripped", test_version_suffix},
    {"C38 flags: their order is their number", test_flags},
    {"C38 64 flags, and a name of 255 bytes", test_most_flags},
    {"C81 defaults and overrides, before or behind flags", test_answers},
    {"C81 override, then what was sent, then default", test_override},
    {"C82 enabled = off: defaults and overrides", test_disabled},
    {"C81 C82 nothing is asked where nothing is to be learnt", test_asks},
    {"the table for the README", test_markdown},
};

int main(int argc, char **argv)
{
    return hf_suite_run("settings", tests, COUNT(tests), argc, argv);
}

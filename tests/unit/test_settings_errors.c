/* SPDX-License-Identifier: PostgreSQL
 *
 * Settings that are refused, and what is said then: key, value and what would be valid.
 */
#include "plugin/settings.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Whether such pairs are, as settings_of takes them. */
static bool refused(const char *const *pairs, char *error, size_t size)
{
    struct hf_settings *settings = settings_of(pairs, error, size);

    hf_settings_destroy(settings);
    return settings == NULL;
}

struct row {
    const char *key, *value;
    const char *parts[3]; /* of the message, besides the key */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *const pairs[] = {rows[i].key, rows[i].value, NULL};
        char error[1024];
        bool ok = CHECK(refused(pairs, error, sizeof(error)));

        ok = CHECK_STR_CONTAINS(error, rows[i].key) && ok;
        for (size_t j = 0; j < COUNT(rows[i].parts) && rows[i].parts[j] != NULL; j++)
            ok = CHECK_STR_CONTAINS(error, rows[i].parts[j]) && ok;
        if (!ok)
            printf("            in: %s = %s\n", rows[i].key, rows[i].value);
    }
}

static void test_durations(void)
{
    static const struct row rows[] = {
        {"ttl", "15 parsecs",
            {"ttl = \"15 parsecs\": expected a duration from 100ms to 7d with a unit of ms, s, "
             "min, h "
             "or d, such as 15min"}},
        {"ttl", "", {"\"\"", "100ms to 7d"}},
        {"ttl", " ", {"\" \"", "100ms to 7d"}},
        {"ttl", "15", {"\"15\"", "with a unit of"}},
        {"ttl", "min", {"\"min\"", "100ms to 7d"}},
        {"ttl", "99ms", {"\"99ms\"", "100ms to 7d"}},
        {"ttl", "169h", {"\"169h\"", "100ms to 7d"}},
        {"ttl", "604800001ms", {"\"604800001ms\"", "100ms to 7d"}},
        {"ttl", "0", {"\"0\"", "100ms to 7d"}},
        {"ttl", "-15min", {"\"-15min\""}},
        {"ttl", "+15min", {"\"+15min\""}},
        {"ttl", "1.5h", {"\"1.5h\""}},
        {"ttl", "1e3s", {"\"1e3s\""}},
        {"ttl", "0x10s", {"\"0x10s\""}},
        {"ttl", "15Min", {"\"15Min\""}},
        {"ttl", "15minutes", {"\"15minutes\""}},
        {"ttl", "15min 1s", {"\"15min 1s\""}},
        {"ttl", "15 m in", {"\"15 m in\""}},
        {"ttl", "15us", {"\"15us\""}},
        {"ttl", "15kB", {"\"15kB\""}},
        {"ttl", "ttl = 15min", {"\"ttl = 15min\""}},
        /* 2^64 + 900000 ms; 2^63 ms; more digits than fit; a product that does not */
        {"ttl", "18446744073710451616ms", {"\"18446744073710451616ms\"", "100ms to 7d"}},
        {"ttl", "9223372036854775808ms", {"100ms to 7d"}},
        {"ttl", "99999999999999999999999999999999ms", {"100ms to 7d"}},
        {"ttl", "213503982335d", {"100ms to 7d"}}, /* x 86,400,000 is 2^64 + 9.6 h */
        {"ttl_min", "99ms", {"\"99ms\"", "100ms to 7d", "such as 60s"}},
        {"ttl_max", "8d", {"\"8d\"", "100ms to 7d", "such as 1h"}},
        {"linger", "8d", {"\"8d\"", "0 to 7d", "such as 15min"}},
        {"linger", "1", {"\"1\"", "0 to 7d"}},
        {"max_stale", "31d", {"\"31d\"", "0 to 30d", "such as 1h"}},
        {"connect_timeout", "99ms", {"\"99ms\"", "100ms to 5min", "such as 3s"}},
        {"connect_timeout", "6min", {"\"6min\"", "100ms to 5min"}},
        {"request_timeout", "99ms", {"\"99ms\"", "100ms to 5min", "such as 10s"}},
        {"request_timeout", "301s", {"\"301s\"", "100ms to 5min"}},
    };
    check_rows(rows, COUNT(rows));
}

static void test_sizes_and_counts(void)
{
    static const struct row rows[] = {
        {"max_response_size", "1 bushel",
            {"max_response_size = \"1 bushel\": expected a size from 1kB to 64MB with a unit of kB "
             "or "
             "MB, such as 1MB"}},
        {"max_response_size", "1048576", {"\"1048576\"", "with a unit of kB or MB"}},
        {"max_response_size", "0", {"1kB to 64MB"}}, {"max_response_size", "0kB", {"1kB to 64MB"}},
        {"max_response_size", "65MB", {"1kB to 64MB"}},
        {"max_response_size", "65537kB", {"1kB to 64MB"}},
        {"max_response_size", "1KB", {"\"1KB\"", "1kB to 64MB"}},
        {"max_response_size", "1mb", {"\"1mb\""}}, {"max_response_size", "1GB", {"\"1GB\""}},
        {"max_response_size", "1min", {"\"1min\""}},
        {"max_response_size", "17592186044417MB", {"1kB to 64MB"}}, /* 2^64 bytes and 1 MB */
        {"max_in_flight", "0", {"max_in_flight = \"0\": expected a whole number from 1 to 1024"}},
        {"max_in_flight", "1025", {"1 to 1024"}}, {"max_in_flight", "", {"1 to 1024"}},
        {"max_in_flight", "ten", {"\"ten\"", "1 to 1024"}}, {"max_in_flight", "10s", {"\"10s\""}},
        {"max_in_flight", "-1", {"\"-1\""}}, {"max_in_flight", "1 2", {"\"1 2\""}},
        {"max_hosts", "0", {"1 to 1048576"}}, {"max_hosts", "1048577", {"1 to 1048576"}},
        {"max_hosts", "4294967297", {"1 to 1048576"}}, /* 2^32 + 1 */
        {"max_connections", "0", {"1 to 16777216"}},
        {"max_connections", "16777217", {"1 to 16777216"}},
        {"max_connections", "18446744073709551617", {"1 to 16777216"}}, /* 2^64 + 1 */
    };
    check_rows(rows, COUNT(rows));
}

static void test_words(void)
{
    static const struct row rows[] = {
        {"enabled", "maybe", {"enabled = \"maybe\": expected on or off"}},
        {"enabled", "", {"on or off"}},
        {"enabled", "2", {"\"2\"", "on or off"}},
        {"enabled", "o", {"\"o\""}},
        {"enabled", "on off", {"\"on off\""}},
        {"prefetch", "onn", {"\"onn\"", "on or off"}},
        {"protocol", "ofrep", {"protocol = \"ofrep\": expected databricks"}},
        {"protocol", "", {"expected databricks"}},
        {"allow_http", "on", {"allow_http = \"on\": expected off, loopback or any"}},
        {"allow_http", "", {"off, loopback or any"}},
        {"allow_http", "localhost", {"\"localhost\"", "off, loopback or any"}},
        {"client", "", {"1 to 64 letters"}},
        {"client", "a b", {"\"a b\"", "1 to 64 letters"}},
        {"client", "a/b", {"\"a/b\""}},
        {"client", "{client}", {"\"{client}\""}},
        {"client", "..", {"\"..\"", "not dots alone"}},
        {"client", "\xc3\xa9", {"\"\\xc3\\xa9\""}},
        {"client", "0123456789012345678901234567890123456789012345678901234567890123x",
            {"1 to 64 letters"}},
        {"client_version", "", {"1 to 64 letters"}},
        {"client_version", "-rc1", {"\"-rc1\"", "from the first - on"}},
        {"client_version", "1.0+x", {"\"1.0+x\""}},
        {"client_version", ".", {"\".\"", "not dots alone"}},
        {"client_version", "..-rc1", {"\"..-rc1\"", "not dots alone"}},
        {"endpoint", "a", {"endpoint = \"a\": it does not begin with /; expected a path"}},
        {"endpoint", "/a//b", {"\"/a//b\": it has a //", "expected a path"}},
        {"endpoint", "/{host}", {"\"/{host}\"", "no known placeholder", "{client_version}"}},
        {"service", "ftp://flags.internal",
            {"\"ftp://flags.internal\": its scheme", "such as https://{host}:8443"}},
        {"service", "https://flags.internal/path",
            {"\"https://flags.internal/path\"", "https://{host}"}},
        {"service", "https://{port}", {"\"https://{port}\"", "https://{host}"}},
    };
    check_rows(rows, COUNT(rows));
}

static void test_flags(void)
{
    static const struct row rows[] = {
        {"flags", "", {"flags = \"\": \"\" is an empty name; expected 1 to 64 names"}},
        {"flags", "a,,b", {"\"a,,b\": \"\" is an empty name", "1 to 64 names"}},
        {"flags", "a,b,", {"\"a,b,\": \"\" is an empty name"}},
        {"flags", ",a", {"\",a\": \"\" is an empty name"}},
        {"flags", "a, ,b", {"\"\" is an empty name"}},
        {"flags", "a,b,a", {"\"a,b,a\": \"a\" comes twice", "each one once"}},
        {"flags", "a, a", {"\"a\" comes twice"}},
        {"flags", "x,a b", {"\"a b\" is no flag name", "other than blank"}},
        {"flags", "x,a=on", {"\"a=on\" is no flag name"}},
        {"flags", "\"a\"", {"is no flag name"}},
        {"flags", "a\\b", {"\"a\\b\" is no flag name"}},
        {"flags", "a\nb", {"\"a\\x0ab\" is no flag name"}},
        {"flags", "a\x7f", {"\"a\\x7f\" is no flag name"}},
        {"flags", "caf\xc3\xa9", {"\"caf\\xc3\\xa9\" is no flag name"}},
    };
    char flags[2048], *p = flags, name[257];
    const char *const pairs[] = {"flags", flags, NULL};
    char error[1024];

    check_rows(rows, COUNT(rows));
    for (int i = 0; i < 65; i++)
        p += sprintf(p, "%sf%d", i == 0 ? "" : ",", i);
    CHECK(refused(pairs, error, sizeof(error)));
    CHECK_STR_CONTAINS(error, "\"f64\" is one name too many; expected 1 to 64 names");
    memset(name, 'n', 256);
    name[256] = '\0';
    check_rows(&(struct row){"flags", name, {"nnn...\" is no flag name", "1 to 255"}}, 1);
}

/* What needs several settings is found at the end, whatever their order. */
static void test_together(void)
{
    static const struct {
        const char *pairs[7];
        const char *expected;
    } rows[] = {
        {{"flags", "a,b", "defaults", "c=on"},
            "defaults = \"c=on\": \"c\" is not one of the names in flags; expected name=on"},
        {{"defaults", "c=on", "flags", "a,b"}, "\"c\" is not one of the names in flags"},
        {{"flags", "a,b", "overrides", "a=on,B=off"},
            "overrides = \"a=on,B=off\": \"B\" is not one of the names in flags"},
        {{"flags", "a,b", "defaults", "a"}, "\"a\" has no \"=on\" or \"=off\""},
        {{"flags", "a,b", "defaults", "a=maybe"}, "\"maybe\" is neither on nor off"},
        {{"flags", "a,b", "defaults", "a="}, "\"\" is neither on nor off"},
        {{"flags", "a,b", "defaults", "a=on=off"}, "\"on=off\" is neither on nor off"},
        {{"flags", "a,b", "defaults", "=on"}, "\"\" is not one of the names in flags"},
        {{"flags", "a,b", "defaults", "a=on,a=on"}, "\"a\" comes twice"},
        {{"flags", "a,b", "overrides", "a=on, b=on, a=off"}, "\"a\" comes twice"},
        {{"flags", "a,b", "defaults", "a=on,"}, "\"\" has no \"=on\""},
        {{"flags", "a,b", "overrides", ","}, "overrides = \",\": \"\" has no \"=on\""},
        {{"overrides", "a=on"}, "\"a\" is not one of the names in flags"},
        {{"ttl_min", "2h"},
            "ttl_min = 2h and ttl_max = 1h: expected ttl_min to be at most ttl_max"},
        {{"ttl_max", "59s"}, "ttl_min = 1min and ttl_max = 59s"},
        {{"ttl_max", "1500ms", "ttl_min", "1501ms"}, "ttl_min = 1501ms and ttl_max = 1500ms"},
        {{"ttl", "1h", "enabled", "on", "ttl", "1h"}, "ttl = \"1h\": this setting comes twice"},
    };
    static const char *const fine[][7] = {{"ttl_min", "1h"}, {"ttl_max", "60s"}, {"ttl", "2h"},
        {"ttl", "1s"}, {"connect_timeout", "11s"}, {"request_timeout", "1s"}};
    char error[1024];

    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK(refused(rows[i].pairs, error, sizeof(error)));
        CHECK_STR_CONTAINS(error, rows[i].expected);
    }
    for (size_t i = 0; i < COUNT(fine); i++)
        CHECK(!refused(fine[i], error, sizeof(error)));
}

static void test_unknown_key(void)
{
    static const char *const near[][2] = {{"tll", "ttl"}, {"ttll", "ttl"}, {"flag", "flags"},
        {"TTL", "ttl"}, {"max_host", "max_hosts"}, {"maxhosts", "max_hosts"},
        {"endpiont", "endpoint"}, {"client-version", "client_version"},
        {"allow_https", "allow_http"}, {"ca_fiel", "ca_file"}, {"default", "defaults"},
        {"overides", "overrides"}, {"request_timout", "request_timeout"}};
    static const char *const far[] = {
        "", "region", "xyz", "x", "a_word_that_is_longer_than_any_setting_there_is"};
    char error[1024], part[128];

    for (size_t i = 0; i < COUNT(near); i++) {
        CHECK(refused((const char *const[]){near[i][0], "17", NULL}, error, sizeof(error)));
        snprintf(part, sizeof(part),
            "there is no setting \"%s\" (its value is \"17\"): did you mean %s?", near[i][0],
            near[i][1]);
        CHECK_STR_EQ(error, part);
    }
    for (size_t i = 0; i < COUNT(far); i++) {
        CHECK(refused((const char *const[]){far[i], "17", NULL}, error, sizeof(error)));
        snprintf(part, sizeof(part),
            "there is no setting \"%s\" (its value is \"17\"): expected one of flags, defaults, ",
            far[i]);
        CHECK_STR_CONTAINS(error, part);
        CHECK_STR_CONTAINS(error, ", proxy, allow_http");
    }
}

static void test_ca_file(void)
{
    char *directory = hf_tmpdir_create(), *file, *missing, *fifo, error[1024];

    if (directory == NULL)
        abort();
    file = hf_tmpdir_write(directory, "ca.pem", "anything");
    missing = hf_tmpdir_path(directory, "missing.pem");
    fifo = hf_tmpdir_path(directory, "fifo");
    CHECK(!refused((const char *const[]){"ca_file", file, NULL}, error, sizeof(error)));
    CHECK(refused((const char *const[]){"ca_file", missing, NULL}, error, sizeof(error)));
    CHECK_STR_CONTAINS(error, "ca_file = \"");
    CHECK_STR_CONTAINS(
        error, "/missing.pem\": No such file or directory; expected a file that can be read");
    CHECK(refused((const char *const[]){"ca_file", directory, NULL}, error, sizeof(error)));
    CHECK_STR_CONTAINS(error, "\": it is no regular file; expected a file that can be read");
    CHECK_INT_EQ(mkfifo(fifo, 0600), 0);
    CHECK(refused((const char *const[]){"ca_file", fifo, NULL}, error, sizeof(error)));
    CHECK_STR_CONTAINS(error, "/fifo\": it is no regular file");
    free(file);
    free(missing);
    free(fifo);
    hf_tmpdir_remove(directory);
}

/* What is said is cut to what there is room for, and to what a person can read. */
static void test_room(void)
{
    struct hf_settings *settings = hf_settings_create();
    char error[1024], value[5000];

    if (settings == NULL)
        abort();
    memset(error, '#', sizeof(error));
    CHECK_INT_EQ(hf_settings_set(settings, "ttl", "soon", error, 11), -1);
    CHECK_STR_EQ(error, "ttl = \"soo");
    CHECK_INT_EQ(error[11], '#');
    CHECK_INT_EQ(hf_settings_set(settings, "ttl", "soon", error, 1), -1);
    CHECK_STR_EQ(error, "");
    CHECK_INT_EQ(hf_settings_set(settings, "ttl", "soon", NULL, 0), -1);
    CHECK_INT_EQ(hf_settings_set(settings, "tll", "soon", NULL, 0), -1);
    memset(value, '\n', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    CHECK_INT_EQ(hf_settings_set(settings, "ttl", value, error, sizeof(error)), -1);
    CHECK_STR_CONTAINS(error, "ttl = \"\\x0a\\x0a\\x0a");
    CHECK_STR_CONTAINS(error, "\\x0a...\": expected a duration");
    CHECK_INT_BETWEEN(strlen(error), 100, 300);
    CHECK_INT_EQ(hf_settings_set(settings, value, value, error, sizeof(error)), -1);
    CHECK_STR_CONTAINS(error, "\\x0a...\" (its value is \"\\x0a");
    CHECK_STR_CONTAINS(error, "expected one of flags, ");
    hf_settings_destroy(settings);
    hf_settings_destroy(NULL);
}

static const struct hf_test tests[] = {
    {"C83 bad durations", test_durations},
    {"C83 bad sizes and counts", test_sizes_and_counts},
    {"C83 bad words, names and templates", test_words},
    {"C83 bad, empty, duplicate and too many flags", test_flags},
    {"C83 settings that do not go together", test_together},
    {"C83 an unknown key, and the one that was meant", test_unknown_key},
    {"C83 a CA file that cannot be read", test_ca_file},
    {"C83 C87 long values, and little or no room for the error", test_room},
};

int main(int argc, char **argv)
{
    return hf_suite_run("settings errors", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * What looks like a secret, and what is shown of a URL.
 */
#include "plugin/discreet.h"
#include "tests/support/suite.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_looks(void)
{
    static const char *const secret[] = {
        "dapi0123456789abcdef", /* 20 bytes */
        "dapi0123456789abcdef0123456789abcdef",
        "dapi0123456789abcdef0123456789abcdef-2",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "ZGFwaTAxMjM0NTY3ODk=",
        "abc%2Fdef%2Fghi%2Fjkl",
        "/x/dapi0123456789abcdef/y",
        "60 dapi0123456789abcdef",
        "AAAAAAAAAAAAAAAAAAA0",
    };
    static const char *const plain[] = {
        "",
        "dapi0123456789abcde", /* 19 */
        "/api/2.0/connector-service/feature-flags/GOLANG/1.0.0",
        "01234567890123456789012345",
        "thequickbrownfoxjumpsoverthelazydog",
        "Wednesday, 06-Nov-94 08:49:37 GMT",
        "2026-11-25T22:53:40.123456789+01:00",
        "dapi0123456 789abcdef0 123456789",
        "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver",
    };

    for (size_t i = 0; i < COUNT(secret); i++)
        if (!CHECK(hf_looks_secret(secret[i], strlen(secret[i]))))
            CHECK_STR_EQ(secret[i], "a secret");
    for (size_t i = 0; i < COUNT(plain); i++)
        if (!CHECK(!hf_looks_secret(plain[i], strlen(plain[i]))))
            CHECK_STR_EQ(plain[i], "no secret");
    CHECK(!hf_looks_secret(secret[0], strlen(secret[0]) - 1)); /* the length counts */
}

static void test_shown(void)
{
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"https://h:1/x", "\"https://h:1/x\""},
        {"https://user:password@h:1", "\"https://...@h:1\""},
        {"https://token@h:1", "\"https://...@h:1\""},
        {"user:password@h", "\"...@h\""},
        {"user:p@ssword@h", "\"...@h\""},
        {"user:pass://word@h", "\"...@h\""},
        {"socks5://user:password@h", "\"...@h\""},
        {"://password@h", "\"...@h\""},
        {"password@", "\"...@\""},
        {"a@b\n", "\"...@b\\x0a\""},
    };
    char shown[HF_VISIBLE_MAX], text[1000];

    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_format_discreet(rows[i][0], shown);
        CHECK_STR_EQ(shown, rows[i][1]);
    }
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[500] = '@';
    hf_format_discreet(text, shown);
    CHECK_INT_EQ(strncmp(shown, "\"...@xxx", 8), 0);
    CHECK_STR_CONTAINS(shown, "x...\"");
}

static const struct hf_test tests[] = {
    {"C70 what looks like a secret", test_looks},
    {"C70 what is shown of a URL", test_shown},
};

int main(int argc, char **argv)
{
    return hf_suite_run("discreet", tests, COUNT(tests), argc, argv);
}

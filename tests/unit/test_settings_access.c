/* SPDX-License-Identifier: PostgreSQL
 *
 * The settings about who may be asked, by what way and with which token; and that no error shows a
 * secret.
 */
#include "plugin/settings.h"
#include "plugin/settings_table.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/unit/settings_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET "s3cr3t"
#define LOOKS_SECRET "ey0123456789abcdefghij" /* long, letters and digits: no word of anybody's */

#define TRY(error, ...) \
    settings_of((const char *const[]){__VA_ARGS__, NULL}, (error), sizeof(error))

static void test_token_rule(void)
{
    static const struct {
        const char *pairs[7];
        const char *said; /* NULL: it is fine */
    } rows[] = {
        {{"token_file", "/t"}, "token_file names one token for every host"},
        {{"token_file", "/t"}, "expected allowed_hosts to say which may have it, or {host} in"},
        {{"token_env", "T"}, "token_env names one token for every host"},
        {{"token_file", "/t", "allowed_hosts", ""}, "expected allowed_hosts"},
        {{"token_file", "/t", "allowed_hosts", "a.example"}, NULL},
        {{"allowed_hosts", "*.example", "token_env", "T"}, NULL},
        {{"token_file", "/t/{host}"}, NULL},
        {{"token_file", "/{host}/t"}, NULL},
        {{"token_file", "/t/{hosts}"}, "token_file names one token"},
        {{"token_file", "t/{host}"}, "token_file = not shown: expected the absolute path of a"},
        {{"token_file", "{host}"}, "token_file = not shown: expected the absolute path of a"},
        {{"token_file", "/t/{host}", "token_env", "T"},
            "token_env = not shown: token_file is set as well, and only one of them can be"},
        {{"client_key_file", "/dev/null"},
            "client_key_file = \"/dev/null\": it is no regular file"},
    };
    char error[1024];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_settings *settings = settings_of(rows[i].pairs, error, sizeof(error));

        if (rows[i].said == NULL)
            CHECK_STR_EQ(error, "");
        else
            CHECK_STR_CONTAINS(error, rows[i].said);
        hf_settings_destroy(settings);
    }
}

static void test_files(void)
{
    char *directory = hf_tmpdir_create(), *file, *missing, error[1024];
    static const char *const keys[] = {"ca_file", "client_cert_file"};

    if (directory == NULL)
        abort();
    file = hf_tmpdir_write(directory, "x.pem", "anything");
    missing = hf_tmpdir_path(directory, "missing.pem");
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct hf_settings *settings = TRY(error, keys[i], file);

        CHECK(settings != NULL);
        hf_settings_destroy(settings);
        CHECK(TRY(error, keys[i], missing) == NULL);
        CHECK_STR_CONTAINS(error, keys[i]);
        CHECK_STR_CONTAINS(error, "/missing.pem\": No such file or directory; expected a file");
    }
    CHECK(TRY(error, "client_cert_file", file, "client_key_file", missing) == NULL);
    CHECK_STR_CONTAINS(error, "client_key_file = \"");
    CHECK(TRY(error, "client_key_file", file) == NULL);
    CHECK_STR_CONTAINS(error, "there is no client_cert_file that it belongs to");
    free(file);
    free(missing);
    hf_tmpdir_remove(directory);
}

static void test_lists(void)
{
    char error[1024];

    CHECK(TRY(error, "allowed_hosts", "a.example, *") == NULL);
    CHECK_STR_CONTAINS(error, "allowed_hosts = \"a.example, *\": \"*\" is neither a host name nor");
    CHECK(TRY(error, "allowed_hosts", "a.example:443") == NULL);
    CHECK_STR_CONTAINS(error, "expected host names, addresses or *.suffix");
    CHECK(TRY(error, "token_env", "9LIVES") == NULL);
    CHECK_STR_CONTAINS(error, "token_env = not shown: expected the name of a variable");
}

/* Whatever is mistaken for what, a secret is not repeated. */
static void test_secrets(void)
{
    static const char *const rows[][2] = {
        {"proxy", "http://user:" SECRET "@"},
        {"proxy", "user:" SECRET "@h"},
        {"proxy", "gopher://user:" SECRET "@h:1"},
        {"proxy", "http://user:p@" SECRET "@h:x"},
        {"proxy", "http://user:" SECRET "/@h:1"},
        {"proxy", "http://user:" SECRET "#@h:1"},
        {"proxy", "http://user:" SECRET "@" SECRET "@h:1"},
        {"proxy", "http://user:x://" SECRET "@h:1"},
        {"proxy", "user:" SECRET "%00@h:1"},
        {"service", "https://user:" SECRET "@flags.internal"},
        {"service", "user:" SECRET "@flags.internal"},
        {"ttl", "http://user:" SECRET "@h:1"},
        {"prox", "http://user:" SECRET "@h:1"},
        {"token_env", "ey." SECRET},
        {"token_env", "Bearer " SECRET},
        {"token", SECRET},
        {"TOKEN", SECRET},
        {"tokenfile", SECRET},
        {"password", SECRET},
        {"client_secret", SECRET},
        {"authorization", "Bearer " SECRET},
        {"api_key", SECRET},
        {"proxy", "http://" SECRET "@h:x"},
        {"proxy", SECRET "@h"},
        {"proxy", "user:" SECRET "://x@h:1"},
        {"service", "https://" SECRET "@flags.internal"},
        {"endpoint", "//user:" SECRET "@h/x"},
        {"allowed_hosts", "https://user:" SECRET "@h"},
        {"allowed_hosts", "a.example, " SECRET "@h"},
        {"token_file", SECRET},
        {"token_file", "dapi-" SECRET "/x"},
        {"token_file", "ey{host}" SECRET},
        {"tokn_env", SECRET},
        {"tken_file", SECRET},
        {"client_key", SECRET},
        {"credentials", SECRET},
        {"proxy_pwd", SECRET},
        {"databricks_pat", SECRET},
        {"whatever", LOOKS_SECRET SECRET},
    };
    char error[1024];

    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK(TRY(error, rows[i][0], rows[i][1]) == NULL);
        CHECK_STR_CONTAINS(error, rows[i][0]);
        if (!CHECK(strstr(error, SECRET) == NULL))
            printf("            in: %s = %s\n", rows[i][0], rows[i][1]);
    }
    CHECK(TRY(error, "proxy", "http://user:" SECRET "@h:x") == NULL);
    CHECK_STR_CONTAINS(error, "proxy = \"http://...@h:x\": what should be host and port");
    /* Set twice: the first one was fine. */
    CHECK(TRY(error, "proxy", "u:" SECRET "@h:1", "proxy", "u:" SECRET "@h:1") == NULL);
    CHECK_STR_CONTAINS(error, "proxy = \"...@h:1\": this setting comes twice");
    CHECK(TRY(error, "token_file", "/" SECRET, "token_file", "/" SECRET) == NULL);
    CHECK_STR_CONTAINS(error, "token_file = not shown: this setting comes twice");
    CHECK(strstr(error, SECRET) == NULL);
}

/* Each setting that makes another request of it, and those that do not. */
static void test_same_requests(void)
{
    char *directory = hf_tmpdir_create(), *file, error[1024];
    const char *others[][2] = {{"endpoint", "/x"}, {"service", "https://x"}, {"client", "x"},
        {"client_version", "2"}, {"token_file", "/{host}"}, {"token_env", "HF_TEST_TOKEN"},
        {"ca_file", NULL}, {"client_cert_file", NULL}, {"proxy", "h:1"}, {"allow_http", "any"}};
    static const char *const same[][2] = {{"ttl", "2min"}, {"overrides", ""}, {"enabled", "off"},
        {"linger", "0"}, {"max_stale", "1d"}, {"request_timeout", "1s"}, {"max_in_flight", "1"},
        {"prefetch", "off"}, {"client_version", "1.0.0-rc1"}};
    struct hf_settings *before, *after;

    if (directory == NULL)
        abort();
    file = hf_tmpdir_write(directory, "x.pem", "anything");
    setenv("HF_TEST_TOKEN", "x", 1);
    before = TRY(error, "allowed_hosts", "a");
    for (size_t i = 0; i < COUNT(others); i++) {
        after = TRY(
            error, "allowed_hosts", "a", others[i][0], others[i][1] != NULL ? others[i][1] : file);
        if (CHECK(after != NULL) && !CHECK(!hf_settings_same_requests(before, after)))
            printf("            in: %s\n", others[i][0]);
        hf_settings_destroy(after);
    }
    for (size_t i = 0; i < COUNT(same); i++) {
        after = TRY(error, "allowed_hosts", "b", same[i][0], same[i][1]);
        if (CHECK(after != NULL) && !CHECK(hf_settings_same_requests(before, after)))
            printf("            in: %s\n", same[i][0]);
        hf_settings_destroy(after);
    }
    hf_settings_destroy(before);
    before = TRY(error, "allowed_hosts", "a", "token_env", "HF_TEST_TOKEN");
    setenv("HF_TEST_TOKEN", "y", 1);
    after = TRY(error, "allowed_hosts", "a", "token_env", "HF_TEST_TOKEN");
    CHECK(!hf_settings_same_requests(before, after));
    hf_settings_destroy(before);
    hf_settings_destroy(after);
    unsetenv("HF_TEST_TOKEN");
    free(file);
    hf_tmpdir_remove(directory);
}

static const struct hf_test tests[] = {
    {"C34 C83 a token that is not per host needs allowed_hosts", test_token_rule},
    {"C83 files that cannot be read, and a key without its certificate", test_files},
    {"C34 C83 bad lists and names", test_lists},
    {"C70 C83 no error shows a secret", test_secrets},
    {"C84 which settings make other requests", test_same_requests},
};

int main(int argc, char **argv)
{
    return hf_suite_run("settings access", tests, COUNT(tests), argc, argv);
}

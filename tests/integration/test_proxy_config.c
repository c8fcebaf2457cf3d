/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_config.c: the proxy's configuration file and command line, by running
 * `hostflags-host --check-config`. Values that reach the plugin are read back from the plugin's
 * refusal: the counting plugin calls any key but its own an unknown setting and prints its value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/build_path.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"

enum { TIMEOUT_MS = 20000 };

#define UPSTREAM "[upstream:a]\nlisten = 127.0.0.1:6432\nconnect = db.example.com:5432\n"

/* The file with these bytes is checked; returns the exit status, and the output to be freed. */
static int run_check(const void *bytes, size_t length, char **output)
{
    char *directory = hf_tmpdir_create();
    char *path = hf_tmpdir_path(directory, "proxy.ini");
    const char *argv[] = {
        hf_build_path("hostflags-host"), "--check-config", "--config", path, NULL};
    FILE *file = fopen(path, "w");
    int status = -1;

    if (CHECK(file != NULL) && CHECK_INT_EQ(fwrite(bytes, 1, length, file), length)) {
        fclose(file);
        status = hf_process_run(argv, TIMEOUT_MS, output);
    }
    hf_tmpdir_remove(directory);
    free(path);
    return status;
}

static void check_bad(const void *bytes, size_t length, const char *part)
{
    char *output = NULL;

    CHECK_INT_EQ(run_check(bytes, length, &output), 1);
    CHECK_STR_CONTAINS(output ? output : "", part);
    free(output);
}

static void check_good(const char *text)
{
    char *output = NULL;

    CHECK_INT_EQ(run_check(text, strlen(text), &output), 0);
    CHECK_STR_CONTAINS(output ? output : "", "proxy.ini: ok\n");
    free(output);
}

struct row {
    const char *text, *part; /* the file, and what its refusal has to say */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_bad(rows[i].text, strlen(rows[i].text), rows[i].part);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows[0]))

static void test_syntax(void)
{
    static const struct row rows[] = {
        {UPSTREAM "pool_size 8\n", "line 4: `pool_size` is no setting; expected `key = value`"},
        {UPSTREAM "pool_size: 8\n", "line 4: `pool_size` is no setting"},
        {UPSTREAM "= 8\n", "line 4: there is no key in front of the `=`"},
        {"threads = 4\n" UPSTREAM, "line 1: `threads` stands before the first section"},
        {"[proxy\nthreads = 4\n" UPSTREAM, "line 1: the section `[proxy` has no closing ]"},
        {"[proxy] threads = 4\n" UPSTREAM, "line 1: unexpected text after the section"},
        {"[]\n" UPSTREAM, "line 1: the section has no name"},
        {"[ ]\n" UPSTREAM, "line 1: the section has no name"},
        {UPSTREAM "host = \"a\n", "line 4: the quote \" is opened and never closed"},
        {UPSTREAM "host = 'a\"\n", "line 4: the quote ' is opened and never closed"},
        {UPSTREAM "host = \"a\" b\n", "line 4: unexpected text after the closing quote"},
        {UPSTREAM "host = a\rb\n", "line 4: the line has a control character, byte 0x0d"},
        {UPSTREAM "host = a\033b\n", "line 4: the line has a control character, byte 0x1b"},
        {"[upstream:a-name-that-is-much-longer-than-libinih-has-room-for]\n",
            "line 1: the section's name is longer than 49 bytes"},
    };
    static const char with_nul[] = UPSTREAM "host = a\0b\n";

    CHECK_ROWS(rows);
    check_bad(
        with_nul, sizeof(with_nul) - 1, "line 4: the line has a control character, byte 0x00");
}

/* libinih would cut the line at 200 bytes, in the middle of the value. */
static void test_long_lines(void)
{
    char text[2000], value[600];

    memset(value, 'x', sizeof(value));
    snprintf(text, sizeof(text), UPSTREAM "host = %.190s\n", value);
    check_good(text);
    snprintf(text, sizeof(text), UPSTREAM "host = %.191s\n", value);
    check_bad(text, strlen(text), "line 4: the line is longer than 197 bytes; expected a shorter");
    snprintf(text, sizeof(text), UPSTREAM "host = \"%.591s\"\n", value);
    check_bad(text, strlen(text), "line 4: the line is longer than 197 bytes");
    snprintf(text, sizeof(text), UPSTREAM "; %.598s\nhost = a ; %.590s\n", value, value);
    check_good(text);
    snprintf(text, sizeof(text), UPSTREAM "host = %.591s\npool_sise = 1\n", value);
    check_bad(text, strlen(text), "line 5: unknown key `pool_sise`");
}

static void test_endless_line(void)
{
    size_t length = 3 * 1024 * 1024;
    char *bytes = malloc(length);

    memset(bytes, 'x', length);
    check_bad(bytes, length, "expected a configuration file");
    free(bytes);
}

static void test_accepted(void)
{
    check_good(UPSTREAM);
    check_good("\xef\xbb\xbf[proxy]\r\nthreads = 4\r\n\r\n[upstream:a]\r\n"
               "listen = 127.0.0.1:6432\r\nconnect = db.example.com:5432\r\npool_size = 8\r\n");
    check_good("# comment\n  ; comment\n\n[ proxy ] ; comment\n\tthreads=4 ; comment\n"
               "[upstream: a]\n    listen = '[::1]:6432'\n    connect = \"[::1]:5432\"; comment\n");
    check_good("[proxy]\nlog_level = debug\ntelemetry = stderr\ntelemetry_flag = any\n"
               "status_socket = /tmp/status.sock\ndrain_timeout = 0\nconnect_timeout = 1500 ms\n"
               "half_close_timeout = 2h\n" UPSTREAM
               "host = a\norg_id = 12\ntelemetry_flag = other\npool_size = 0\n"
               "[upstream:b]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1\n"
               "[upstream:c]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1");
}

/* The plugin says which value it has got for a key that it does not know. */
static void check_value(const char *line, const char *expected)
{
    char text[2000], part[600];

    snprintf(text, sizeof(text), UPSTREAM "[plugin:x]\nlibrary = %s\n%s\n",
        hf_build_path("tests/contract/plugin_counting.so"), line);
    snprintf(part, sizeof(part), "counting 0.1 says: unknown setting probe = %s\n", expected);
    check_bad(text, strlen(text), part);
}

static void test_values(void)
{
    check_value("probe = plain", "plain");
    check_value("\tprobe   =   two words \t", "two words");
    check_value("probe=tight", "tight");
    check_value("probe =", "");
    check_value("probe = ; only a comment", "");
    check_value("probe = a ; comment", "a");
    check_value("probe = a;b", "a;b");
    check_value("probe = a # no comment", "a # no comment");
    check_value("probe = a = b : c", "a = b : c");
    check_value("probe = \"in quotes\"", "in quotes");
    check_value("probe = 'it is \"quoted\"' ; comment", "it is \"quoted\"");
    check_value("probe = \"  a ; b  \" ; comment", "  a ; b  ");
    check_value("probe = \"a;b\";comment", "a;b");
    check_value("probe = it's", "it's");
    check_value("probe = \"\"", "");
    check_value("probe = crlf\r", "crlf");
    check_value("probe = a\n; probe = b\n# probe = c", "a");
    check_value("probe = a\n  continued = b", "a");
}

/* The plugin's own keys are not ours to judge; those of other sections do not reach it. */
static void test_plugin_section(void)
{
    char text[2000], library[512];

    snprintf(library, sizeof(library), "%s", hf_build_path("tests/contract/plugin_counting.so"));
    snprintf(text, sizeof(text),
        "[plugin:x]\nflags = a\nlibrary = %s\nflags = b, c\nflags = d\n[proxy]\ntelemetry_flag = "
        "d\n" UPSTREAM "telemetry_flag = a\n",
        library);
    check_good(text);
    snprintf(text, sizeof(text),
        UPSTREAM "[plugin:x]\nlibrary = %s\nflags = a\n[proxy]\ntelemetry_flag = b\n", library);
    check_bad(text, strlen(text), "telemetry_flag = b for upstream `a` is unknown to the plugin");
    snprintf(text, sizeof(text), UPSTREAM "[plugin:x]\nlibrary = %s\non_while = a\non_while = b\n",
        library);
    check_bad(text, strlen(text), "line 7: the key `on_while` is set twice in section [plugin:x]");
    snprintf(text, sizeof(text), UPSTREAM "[plugin:x]\nlibrary = a\nlibrary = b\n");
    check_bad(text, strlen(text), "line 6: the key `library` is set twice in section [plugin:x]");
    snprintf(text, sizeof(text), UPSTREAM "[plugin:x]\nlibrary = %s\nrefuse_init = not today\n",
        library);
    check_bad(text, strlen(text), "plugin_counting.so\": counting 0.1 says: not today");
    snprintf(text, sizeof(text), UPSTREAM "[plugin:x]\nlibrary = %s\n",
        hf_build_path("tests/contract/plugin_older.so"));
    check_good(text);
    snprintf(text, sizeof(text), UPSTREAM "telemetry_flag = a\n[plugin:x]\nlibrary = %s\n",
        hf_build_path("tests/contract/plugin_older.so"));
    check_bad(text, strlen(text), "telemetry_flag = a cannot be looked up for upstream `a`");
}

static void test_no_plugin(void)
{
    static const struct row rows[] = {
        {UPSTREAM "[plugin:x]\nlibrary = /nowhere/x.so\n",
            "cannot load plugin \"/nowhere/x.so\": No such file or directory"},
        {UPSTREAM "[plugin:x]\nlibrary = x.so\n", "looked for ./x.so only"},
        {UPSTREAM "[plugin:x]\nlibrary = /tmp\n", "\"/tmp\": it is a directory"},
        {UPSTREAM "[plugin:x]\nflags = a\n", "line 4: section [plugin:x] lacks the key `library`"},
    };

    CHECK_ROWS(rows);
}

static void test_sections(void)
{
    static const struct row rows[] = {
        {"", "there is no section [upstream:NAME]"},
        {"[proxy]\n", "there is no section [upstream:NAME]"},
        {"[prox]\n" UPSTREAM, "line 1: unknown section [prox]; did you mean [proxy]?"},
        {"[upsteam:b]\n" UPSTREAM,
            "line 1: unknown section [upsteam:b]; did you mean [upstream:NAME]?"},
        {"[Proxy]\n" UPSTREAM, "line 1: unknown section [Proxy]; did you mean [proxy]?"},
        {"[databases]\n" UPSTREAM,
            "line 1: unknown section [databases]; expected [proxy], [upstream:NAME] or"},
        {"[upstream:]\n" UPSTREAM, "line 1: [upstream:] has no name"},
        {UPSTREAM "[plugin: ]\n", "line 4: [plugin:] has no name"},
        {"[proxy]\n" UPSTREAM "[proxy]\n",
            "line 5: a second section [proxy], the first is in line 1"},
        {UPSTREAM UPSTREAM, "line 4: a second section [upstream:a], the first is in line 1"},
        {UPSTREAM "[plugin:a]\nlibrary = a\n[plugin:b]\nlibrary = b\n",
            "line 6: a second plugin section [plugin:b], the first is in line 4"},
        {"[upstream:a]\nlisten = 127.0.0.1:1\n",
            "line 1: section [upstream:a] lacks the key `connect`; expected a server"},
        {"\n[upstream:a]\nconnect = 127.0.0.1:1\n",
            "line 2: section [upstream:a] lacks the key `listen`; expected an address"},
        {UPSTREAM "[upstream:b]\nlisten = 127.0.0.1:6432\nconnect = b:1\n",
            "line 4: [upstream:a] and [upstream:b] both listen on 127.0.0.1:6432"},
    };

    CHECK_ROWS(rows);
}

static void test_keys(void)
{
    static const struct row rows[] = {
        {UPSTREAM "pool_sise = 8\n",
            "line 4: unknown key `pool_sise` in section [upstream:a]; did you mean `pool_size`?"},
        {UPSTREAM "pol_size = 8\n", "did you mean `pool_size`?"},
        {UPSTREAM "pool_isze = 8\n", "did you mean `pool_size`?"},
        {UPSTREAM "Host = a\n", "did you mean `host`?"},
        {"[proxy]\nthread = 8\n" UPSTREAM,
            "line 2: unknown key `thread` in section [proxy]; did you"},
        {"[proxy]\nfavourite_colour = 8\n" UPSTREAM,
            "unknown key `favourite_colour` in section [proxy]; --help lists the keys"},
        {"[proxy]\npool_size = 8\n" UPSTREAM,
            "unknown key `pool_size` in section [proxy]; it belongs in [upstream:NAME]"},
        {UPSTREAM "threads = 8\n",
            "unknown key `threads` in section [upstream:a]; it belongs in [proxy]"},
        {UPSTREAM "pool_size = 8\nhost = a\npool_size = 9\n",
            "line 6: the key `pool_size` was set in line 4 already"},
    };

    CHECK_ROWS(rows);
}

static void check_bad_value(
    const char *section, const char *key, const char *value, const char *valid)
{
    char text[500], part[500];

    if (strcmp(section, "proxy") == 0)
        snprintf(text, sizeof(text), "[proxy]\n%s = %s\n" UPSTREAM, key, value);
    else
        snprintf(text, sizeof(text), "[upstream:b]\n%s = %s\n", key, value);
    snprintf(part, sizeof(part), "line 2: bad value `%s` for `%s` in section [%s]; expected %s",
        value, key, section, valid);
    check_bad(text, strlen(text), part);
}

static void test_bad_numbers(void)
{
    char path[120] = "/";
    static const char *const numbers[] = {
        "", "0", "65", "-1", "4x", "4 threads", "0x4", "4.0", "four", "99999999999999999999"};
    static const char *const durations[] = {
        "", "30", "-1s", "30 seconds", "30S", "1.5s", "s", "25h", "2d", "9223372036854775807d"};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        check_bad_value("proxy", "threads", numbers[i], "a whole number from 1 to 64");
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
        check_bad_value("proxy", "drain_timeout", durations[i], "a duration with its unit");
    check_bad_value(
        "proxy", "connect_timeout", "99ms", "a duration with its unit (ms, s, min, h) from 100ms");
    check_bad_value("upstream:b", "pool_size", "10001", "a whole number from 0 to 10000");
    check_bad_value("proxy", "log_level", "verbose", "error, warning, info or debug");
    check_bad_value("proxy", "status_socket", "", "the path of a Unix socket");
    memset(path + 1, 'x', 107);
    check_bad_value("proxy", "status_socket", path, "the path of a Unix socket, at most 107 bytes");
}

static void test_bad_addresses(void)
{
    static const char *const listen[] = {"", "6432", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:x", "localhost:6432", "*:6432", "::1:6432", "[::1]", "[::1]6432",
        "[127.0.0.1:6432", "256.0.0.1:6432", "127.0.0.1:6432 x"};
    static const char *const connect[] = {"", "5432", "db", "db:", "db:0", "db:65536", "db:x",
        "d b:5432", "[db]:5432", "http://db:5432", "db:5432/x", ":5432"};
    static const char with_user[] = "[upstream:b]\nconnect = user@db:5432\n";

    for (size_t i = 0; i < sizeof(listen) / sizeof(listen[0]); i++)
        check_bad_value("upstream:b", "listen", listen[i], "a literal address and a port, such as");
    for (size_t i = 0; i < sizeof(connect) / sizeof(connect[0]); i++)
        check_bad_value("upstream:b", "connect", connect[i], "a host and a port, such as");
    check_bad(with_user, strlen(with_user), "line 2: bad value `...@db:5432` for `connect`");
}

static void test_all_problems(void)
{
    static const char text[] =
        "[proxy]\nthreads = none\n" UPSTREAM "pool_sise = 1\nhost\n[plugn:x]\n";
    char *output = NULL;

    CHECK_INT_EQ(run_check(text, strlen(text), &output), 1);
    CHECK_STR_CONTAINS(output, "line 2: bad value `none`");
    CHECK_STR_CONTAINS(output, "line 6: unknown key `pool_sise`");
    CHECK_STR_CONTAINS(output, "line 7: `host` is no setting");
    CHECK_STR_CONTAINS(output, "line 8: unknown section [plugn:x]; did you mean [plugin:NAME]?");
    free(output);
}

/* The program with these arguments: its status, and what it has to say. */
static void check_command(const char *const *arguments, int status, const char *part)
{
    const char *argv[8] = {hf_build_path("hostflags-host")};
    char *output = NULL;

    for (size_t i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    CHECK_INT_EQ(hf_process_run(argv, TIMEOUT_MS, &output), status);
    CHECK_STR_CONTAINS(output ? output : "", part);
    free(output);
}

#define COMMAND(status, part, ...) \
    check_command((const char *const[]){__VA_ARGS__, NULL}, status, part)

static void test_files(void)
{
    COMMAND(1, "/nowhere.ini: No such file or directory; expected a readable file",
        "--check-config", "/nowhere.ini");
    COMMAND(1, "/tmp: it is not a regular file; expected", "--check-config", "/tmp");
    COMMAND(1, "/nowhere.ini: No such file or directory", "/nowhere.ini");
}

static void test_command_line(void)
{
    check_command((const char *const[]){NULL}, 1, "no configuration file; expected --config FILE");
    COMMAND(1, "unknown option `--confg`; did you mean `--config`?", "--confg", "a");
    COMMAND(1, "unknown option `--frobnicate`; --help lists the options", "--frobnicate");
    COMMAND(1, "unknown option `-x`", "-x");
    COMMAND(1, "a configuration file is missing after `--config`", "--config");
    COMMAND(1, "a second configuration file `b`", "a", "b");
    COMMAND(0, "Usage: hostflags-host [--check-config] --config FILE", "--help");
    COMMAND(0, "half_close_timeout = 1min", "-h");
    COMMAND(0, "hostflags-host " HF_VERSION "\n", "--version");
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C85 what is no INI syntax is refused with its line", test_syntax},
        {"C85 lines that libinih would cut are refused, long comments are not", test_long_lines},
        {"C85 a file that is none of ours ends in an error, not in memory", test_endless_line},
        {"C85 comments, CRLF, a byte order mark, indented lines are accepted", test_accepted},
        {"C85 values: blanks, quotes, comments as INI users expect", test_values},
        {"C85 the plugin gets its section's keys, and flags lines append", test_plugin_section},
        {"C88 a plugin that cannot be loaded is an error of the file", test_no_plugin},
        {"sections: unknown, misspelt, repeated, incomplete", test_sections},
        {"keys: unknown, misspelt, repeated, of another section", test_keys},
        {"values: numbers, durations, levels, paths out of their range", test_bad_numbers},
        {"values: addresses that are none", test_bad_addresses},
        {"all problems of a file are reported at once", test_all_problems},
        {"files that cannot be read", test_files},
        {"the command line", test_command_line},
    };

    return hf_suite_run("proxy_config", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

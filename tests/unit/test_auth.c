/* SPDX-License-Identifier: PostgreSQL
 *
 * Where a token comes from, and what is no token.
 */
#include "plugin/auth.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char *directory;

/* What the host program's get_token gives. */
static struct {
    const char *text;
    int32_t length;
    char asked_for[64];
} given;

static int32_t give(void *arg, const char *host, char *buf, size_t size)
{
    (void)arg;
    snprintf(given.asked_for, sizeof(given.asked_for), "%s", host);
    if (given.text != NULL && strlen(given.text) <= size)
        memcpy(buf, given.text, strlen(given.text));
    return given.length;
}

static const struct hf_token_giver giver = {give, NULL}, no_giver = {NULL, NULL};

/* pairs: key, value, ..., NULL. */
static struct hf_settings *make(const char *const *pairs)
{
    struct hf_settings *settings = hf_settings_create();
    char error[1024] = "";

    if (settings == NULL)
        abort();
    for (; *pairs != NULL; pairs += 2) {
        if (hf_settings_set(settings, pairs[0], pairs[1], error, sizeof(error)) != 0)
            abort();
    }
    if (hf_settings_finish(settings, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    return settings;
}

#define MAKE(...) make((const char *const[]){__VA_ARGS__, NULL})

static enum hf_token_state read_for(
    const struct hf_settings *settings, const char *host, struct hf_token *token)
{
    return hf_token_read(settings, &no_giver, host, token);
}

static void write_token(const char *name, const char *text)
{
    free(hf_tmpdir_write(directory, name, text));
}

static void test_none(void)
{
    struct hf_settings *settings = MAKE(NULL);
    struct hf_token token;

    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_NONE);
    CHECK_INT_EQ(token.length, 0);
    hf_settings_destroy(settings);
}

static void test_file(void)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"abc", "abc"},
        {"abc\n", "abc"},
        {" \t\r\nabc \r\n\n", "abc"},
        {"eyJ.x-_~+/=:", "eyJ.x-_~+/=:"},
    };
    char *path = hf_tmpdir_path(directory, "{host}.{host}");
    struct hf_settings *settings = MAKE("token_file", path);
    struct hf_token token;

    for (size_t i = 0; i < COUNT(rows); i++) {
        write_token("db.example.db.example", rows[i].text);
        CHECK_INT_EQ(read_for(settings, "db.example", &token), HF_TOKEN_READY);
        CHECK_STR_EQ(token.text, rows[i].expected);
        CHECK_INT_EQ(token.length, strlen(rows[i].expected));
        CHECK_STR_CONTAINS(token.source, "the file /");
        CHECK_STR_CONTAINS(token.source, "/db.example.db.example");
    }
    CHECK_INT_EQ(read_for(settings, "other.example", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "/other.example.other.example cannot be read: No such file");
    hf_settings_destroy(settings);
    free(path);
}

static void test_bad_files(void)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"", "is empty"},
        {" \n", "is empty"},
        {"two words", "expected printable ASCII without blanks"},
        {"line\nend", "expected printable ASCII"},
        {"bell\x07", "expected printable ASCII"},
        {"\xc3\xa4", "expected printable ASCII"},
    };
    char *path = hf_tmpdir_path(directory, "token"), *fifo = hf_tmpdir_path(directory, "fifo");
    struct hf_settings *settings = MAKE("token_file", path, "allowed_hosts", "h");
    struct hf_settings *at_fifo = MAKE("token_file", fifo, "allowed_hosts", "h");
    struct hf_settings *at_folder = MAKE("token_file", directory, "allowed_hosts", "h");
    struct hf_token token;

    for (size_t i = 0; i < COUNT(rows); i++) {
        write_token("token", rows[i].text);
        CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
        CHECK_STR_CONTAINS(token.problem, rows[i].said);
        CHECK_INT_EQ(token.length, 0);
        CHECK_STR_EQ(token.text, "");
    }
    CHECK_INT_EQ(mkfifo(fifo, 0600), 0);
    CHECK_INT_EQ(read_for(at_fifo, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "it is no regular file");
    CHECK_INT_EQ(read_for(at_folder, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "it is no regular file");
    unlink(fifo);
    hf_settings_destroy(settings);
    hf_settings_destroy(at_fifo);
    hf_settings_destroy(at_folder);
    free(path);
    free(fifo);
}

/* A NUL is no end of the text: what follows it must not get lost. */
static void test_nul(void)
{
    static const char text[] = "abc\0def", end[] = "abc\0";
    char *path = hf_tmpdir_path(directory, "token");
    struct hf_settings *settings = MAKE("token_file", path, "allowed_hosts", "h");
    struct hf_token token;
    FILE *file;

    for (size_t length = sizeof(end) - 1; length <= sizeof(text) - 1; length++) {
        file = fopen(path, "w");
        if (!CHECK(file != NULL))
            break;
        CHECK_INT_EQ(fwrite(text, 1, length, file), length);
        fclose(file);
        CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
        CHECK_STR_CONTAINS(token.problem, "expected printable ASCII");
    }
    hf_settings_destroy(settings);
    free(path);
}

/* Root may read everything: it becomes nobody for a moment. */
static void test_forbidden(void)
{
    char *path = hf_tmpdir_write(directory, "forbidden", "abc");
    struct hf_settings *settings = MAKE("token_file", path, "allowed_hosts", "h");
    struct hf_token token;
    uid_t before = geteuid();
    enum hf_token_state state;

    CHECK_INT_EQ(chmod(path, 0), 0);
    CHECK_INT_EQ(chmod(directory, 0711), 0);
    if (before == 0)
        CHECK_INT_EQ(seteuid(65534), 0);
    state = read_for(settings, "h", &token);
    if (before == 0)
        CHECK_INT_EQ(seteuid(0), 0);
    CHECK_INT_EQ(state, HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "/forbidden cannot be read: Permission denied");
    CHECK_STR_EQ(token.text, "");
    hf_settings_destroy(settings);
    unlink(path);
    free(path);
}

/* Secrets that are mounted are often links to files. */
static void test_link(void)
{
    char *path = hf_tmpdir_path(directory, "link");
    struct hf_settings *settings = MAKE("token_file", path, "allowed_hosts", "h");
    struct hf_token token;

    write_token("linked", "abc\n");
    CHECK_INT_EQ(symlink("linked", path), 0);
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_READY);
    CHECK_STR_EQ(token.text, "abc");
    unlink(path);
    CHECK_INT_EQ(symlink("link", path), 0); /* to itself */
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "/link cannot be read: Too many levels of symbolic links");
    unlink(path);
    hf_settings_destroy(settings);
    free(path);
}

/* Paths that are long, and that get long by the host's name. */
static void test_long_paths(void)
{
    char host[254], path[5000] = "/", *twenty;
    struct hf_settings *settings;
    struct hf_token token;

    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    for (int i = 0; i < 20; i++)
        strcat(path, "{host}/");
    twenty = strdup(path);
    settings = MAKE("token_file", twenty);
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "/h/h/h/h/h/ cannot be read: No such file");
    CHECK_INT_EQ(read_for(settings, host, &token), HF_TOKEN_MISSING);
    CHECK_STR_EQ(token.problem, "the file of token_file cannot be read: its path is too long");
    hf_settings_destroy(settings);
    free(twenty);

    /* One that the system refuses; what is said of it is cut, and its end is still said. */
    memset(path + 1, 'x', 300);
    path[301] = '\0';
    settings = MAKE("token_file", path, "allowed_hosts", "h");
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "the file /xxx");
    CHECK_STR_CONTAINS(token.problem, "xxx cannot be read: File name too long");
    hf_settings_destroy(settings);
}

static void test_size(void)
{
    char *path = hf_tmpdir_path(directory, "token"), *text = calloc(1, HF_TOKEN_MAX + 3);
    struct hf_settings *settings = MAKE("token_file", path, "allowed_hosts", "h");
    struct hf_token token;

    if (text == NULL)
        abort();
    memset(text, 'x', HF_TOKEN_MAX);
    write_token("token", text);
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_READY);
    CHECK_INT_EQ(token.length, HF_TOKEN_MAX);
    text[HF_TOKEN_MAX] = 'x';
    write_token("token", text);
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_CONTAINS(token.problem, "larger than 8192 bytes");
    hf_settings_destroy(settings);

    for (size_t length = HF_TOKEN_MAX; length <= HF_TOKEN_MAX + 1; length++) {
        text[length] = '\0';
        setenv("HF_TEST_TOKEN", text, 1);
        text[length] = 'x';
        settings = MAKE("token_env", "HF_TEST_TOKEN", "allowed_hosts", "h");
        CHECK_INT_EQ(read_for(settings, "h", &token),
            length == HF_TOKEN_MAX ? HF_TOKEN_READY : HF_TOKEN_MISSING);
        CHECK_INT_EQ(token.length, length == HF_TOKEN_MAX ? HF_TOKEN_MAX : 0);
        hf_settings_destroy(settings);
    }
    CHECK_STR_CONTAINS(token.problem, "larger than 8192 bytes");
    unsetenv("HF_TEST_TOKEN");
    free(text);
    free(path);
}

static void test_variable(void)
{
    struct hf_settings *settings;
    struct hf_token token;

    setenv("HF_TEST_TOKEN", "from-env", 1);
    settings = MAKE("token_env", "HF_TEST_TOKEN", "allowed_hosts", "h");
    setenv("HF_TEST_TOKEN", "later", 1); /* it was read with the settings */
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_READY);
    CHECK_STR_EQ(token.text, "from-env");
    CHECK_STR_EQ(token.source, "the variable of token_env");
    hf_settings_destroy(settings);
    unsetenv("HF_TEST_TOKEN");
    settings = MAKE("token_env", "HF_TEST_TOKEN", "allowed_hosts", "h");
    CHECK_INT_EQ(read_for(settings, "h", &token), HF_TOKEN_MISSING);
    CHECK_STR_EQ(
        token.problem, "the variable of token_env was not set when the settings were read");
    hf_settings_destroy(settings);
}

static void test_giver(void)
{
    static const struct {
        const char *text;
        int32_t length;
        enum hf_token_state state;
        const char *said;
    } rows[] = {
        {"given", 5, HF_TOKEN_READY, ""},
        {"given", 3, HF_TOKEN_READY, ""},
        {"given", 0, HF_TOKEN_MISSING, "the host program holds no token: it is empty"},
        {"given", -1, HF_TOKEN_MISSING, "the host program has no token now"},
        {"given", INT32_MIN, HF_TOKEN_MISSING, "the host program has no token now"},
        {"given", HF_TOKEN_MAX + 1, HF_TOKEN_MISSING, "its length is over 8192 bytes"},
        {"given", INT32_MAX, HF_TOKEN_MISSING, "its length is over 8192 bytes"},
        {"g\nven", 5, HF_TOKEN_MISSING, "expected printable ASCII"},
    };
    struct hf_settings *settings = MAKE(NULL), *configured;
    char *path = hf_tmpdir_path(directory, "token");
    struct hf_token token;

    for (size_t i = 0; i < COUNT(rows); i++) {
        given.text = rows[i].text;
        given.length = rows[i].length;
        CHECK_INT_EQ(hf_token_read(settings, &giver, "db.example", &token), rows[i].state);
        CHECK_STR_EQ(given.asked_for, "db.example");
        CHECK_STR_CONTAINS(token.problem, rows[i].said);
        CHECK_INT_EQ(token.length, rows[i].state == HF_TOKEN_READY ? (size_t)rows[i].length : 0);
    }
    hf_settings_destroy(settings);

    /* The operator's word comes first, also where it leads to no token. */
    setenv("HF_TEST_TOKEN", "of-the-environment", 1);
    configured = MAKE("token_env", "HF_TEST_TOKEN", "allowed_hosts", "h");
    given.asked_for[0] = '\0';
    CHECK_INT_EQ(hf_token_read(configured, &giver, "h", &token), HF_TOKEN_READY);
    CHECK_STR_EQ(token.text, "of-the-environment");
    hf_settings_destroy(configured);
    unsetenv("HF_TEST_TOKEN");
    configured = MAKE("token_env", "HF_TEST_TOKEN", "allowed_hosts", "h");
    CHECK_INT_EQ(hf_token_read(configured, &giver, "h", &token), HF_TOKEN_MISSING);
    hf_settings_destroy(configured);
    write_token("token", "of-the-file");
    configured = MAKE("token_file", path, "allowed_hosts", "h");
    given.asked_for[0] = '\0';
    CHECK_INT_EQ(hf_token_read(configured, &giver, "h", &token), HF_TOKEN_READY);
    CHECK_STR_EQ(token.text, "of-the-file");
    CHECK_STR_EQ(given.asked_for, "");
    hf_settings_destroy(configured);
    free(path);
}

static void test_mark(void)
{
    struct hf_token one = {.length = 3, .text = "abc"}, other = {.length = 3, .text = "abd"};

    CHECK(hf_token_mark(&one, 1) != 0);
    CHECK(hf_token_mark(&one, 1) == hf_token_mark(&one, 1));
    CHECK(hf_token_mark(&one, 1) != hf_token_mark(&other, 1));
    CHECK(hf_token_mark(&one, 1) != hf_token_mark(&one, 2));
    hf_token_forget(&one);
    CHECK_INT_EQ(hf_token_mark(&one, 1), 0);
    for (size_t i = 0; i < sizeof(one.text); i++)
        CHECK_INT_EQ(one.text[i], 0);
}

static const struct hf_test tests[] = {
    {"C28 no token is configured", test_none},
    {"C28 a token from a file, with the host's name in its path", test_file},
    {"C28 files that hold no token", test_bad_files},
    {"C28 a NUL in a file", test_nul},
    {"C28 a file that may not be read", test_forbidden},
    {"C28 a link to a file", test_link},
    {"C28 long paths", test_long_paths},
    {"C28 the largest token, and one that is larger", test_size},
    {"C28 a token from the environment, as it was when the settings were read", test_variable},
    {"C28 C87 a token from the host program; the settings come first", test_giver},
    {"C66 marks tell tokens apart, and what is forgotten is gone", test_mark},
};

int main(int argc, char **argv)
{
    int status;

    directory = hf_tmpdir_create();
    if (directory == NULL)
        return 1;
    status = hf_suite_run("auth", tests, COUNT(tests), argc, argv);
    hf_tmpdir_remove(directory);
    return status;
}

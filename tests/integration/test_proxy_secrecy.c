/* SPDX-License-Identifier: PostgreSQL
 *
 * The running proxy, with secrets in its configuration: all that it writes is searched for them.
 */
#include "tests/integration/proxy_fixture.h"
#include "tests/integration/secrets.h"
#include "tests/support/flag_service.h"
#include "tests/support/tmpdir.h"

static char *directory;

/* The whole of a file, or what a program has written. */
static void check_file(const char *path)
{
    char *text = hf_tmpdir_read(path);

    check_text(path, text);
    free(text);
}

static void check_program(struct proxy *proxy)
{
    static const char *const formats[] = {"--json", "--prometheus", NULL};
    char path[64], *output;

    char *raw[] = {proxy_status(proxy), proxy_answer(proxy, "prometheus\n")};

    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        CHECK_STR_CONTAINS(raw[i], "127.0.0.1");
        check_text("the status socket", raw[i]);
        free(raw[i]);
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const char *const argv[] = {
            hf_build_path("hostflags-host"), "status", "--socket", proxy->socket, formats[i], NULL};

        CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &output), 0);
        CHECK_STR_CONTAINS(output, "127.0.0.1");
        check_text("hostflags-host status", output);
        free(output);
    }
    output = hf_process_output(proxy->process, HF_STDERR);
    CHECK_STR_CONTAINS(output, "DEBUG");
    check_text("its log", output);
    free(output);
    output = hf_process_output(proxy->process, HF_STDOUT);
    check_text("its output", output);
    free(output);
    check_file(proxy->telemetry);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)hf_process_pid(proxy->process));
    check_file(path);
}

/* ---- the running program ---- */

/* What services say, each of them to a host of its own. */
static const struct hf_flag_reply replies[] = {
    {.status = 200},
    {.status = 200, .body = "{\"flags\":\"" TOKEN "\"}", .body_len = 11 + sizeof(TOKEN)},
    {.status = 302, .headers = "Location: https://u:" TOKEN "@x.example/" TOKEN "?t=" TOKEN},
    {.status = 303, .headers = "Location: /login/" TOKEN "?t=" TOKEN_64},
    {.status = 401, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 403, .headers = "WWW-Authenticate: Bearer error=\"" TOKEN "\""},
    {.status = 404, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
    {.status = 429, .headers = "Retry-After: " TOKEN},
    {.status = 500, .body = TOKEN, .body_len = sizeof(TOKEN) - 1},
};

enum { SERVICES = sizeof(replies) / sizeof(replies[0]) };
static struct hf_flag_service *services[SERVICES];

/* Writes a section for each service, and one whose flag service's name cannot be found. */
static void write_upstreams(struct proxy *proxy)
{
    char text[3000] = "";
    size_t used = 0;

    for (size_t i = 0; i < SERVICES; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
            "[upstream:u%zu]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = %s\n"
            "pool_size = 1\n",
            i, hf_flag_service_port(services[i]), hf_flag_service_url(services[i]));
    proxy_write_config(proxy,
        "%s[upstream:name]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = db.example\n"
        "pool_size = 1\n",
        text, hf_flag_service_port(services[0]));
}

/* The command `check`, with the same configuration. */
static void check_command(struct proxy *proxy)
{
    char name[16], *output;

    for (size_t i = 0; i < SERVICES; i++) {
        const char *const argv[] = {
            hf_build_path("hostflags-host"), "check", name, "--config", proxy->config, NULL};

        snprintf(name, sizeof(name), "u%zu", i);
        output = NULL;
        CHECK(hf_process_run(argv, BOUND_MS, &output) >= 0);
        CHECK_STR_CONTAINS(output, "asked    http://127.0.0.1");
        check_text("hostflags-host check", output);
        free(output);
    }
}

/* Each host's first request has ended, and was logged. */
static bool has_asked_all(struct proxy *proxy)
{
    static const char *const said[] = {"sent 0 of our 2 flag(s)", "200, but no flag document",
        "302 to a place that is not shown", "303 to /...", "401: the token of 42 bytes from ",
        "403: the token of 42 bytes from ", "404: this host has no flag service",
        "429: it was asked too often", "500: the service itself fails",
        "flags of https://db.example failed"};

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        if (!proxy_logged(proxy, said[i]))
            return false;
    return true;
}

/* A reload that brings the secret in the wrong place changes nothing, and does not repeat it. */
static void reload_mistake(struct proxy *proxy, char *section)
{
    char *end = section + strlen(section);

    strcpy(end, "token = " TOKEN "\n");
    write_upstreams(proxy);
    proxy_reload(proxy, NOT_RELOADED);
    CHECK(HF_WAIT_UNTIL(proxy_logged(proxy, "there is no setting \"token\""), BOUND_MS));
    *end = '\0';
}

/* One life at log level debug, with a token from `source`. */
static void live_with(const char *source)
{
    struct proxy proxy;
    char section[1024];

    for (size_t i = 0; i < SERVICES; i++) {
        services[i] = hf_flag_service_start(NULL);
        hf_flag_service_set_reply(services[i], &replies[i]);
    }
    proxy_prepare(&proxy);
    proxy.options = "log_level = debug\n";
    proxy.plugin = section;
    snprintf(section, sizeof(section),
        "[plugin:hostflags]\nlibrary = %s\nflags = a, b\nallow_http = loopback\n%s"
        "allowed_hosts = 127.0.0.1, db.example\nproxy = http://user:" PASSWORD "@127.0.0.1:9\n",
        hf_build_path("hostflags.so"), source);
    write_upstreams(&proxy);
    if (proxy_run(&proxy)) {
        CHECK(HF_WAIT_UNTIL(has_asked_all(&proxy), BOUND_MS));
        for (size_t i = 0; i < SERVICES; i++)
            CHECK_STR_EQ(
                hf_flag_request_header(hf_flag_service_request(services[i], 0), "Authorization"),
                "Bearer " TOKEN);
        check_program(&proxy);
        check_command(&proxy);
        reload_mistake(&proxy, section);
        check_program(&proxy);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    proxy_free(&proxy);
    for (size_t i = 0; i < SERVICES; i++)
        hf_flag_service_stop(services[i]);
}

static void test_program(void)
{
    char *file = hf_tmpdir_write(directory, "token", TOKEN "\n"), source[512];

    snprintf(source, sizeof(source), "token_file = %s\n", file);
    live_with(source);
    setenv("HF_TEST_TOKEN", TOKEN, 1);
    live_with("token_env = HF_TEST_TOKEN\n");
    unsetenv("HF_TEST_TOKEN");
    free(file);
}

/* ---- mistakes ---- */

#define UPSTREAM "[upstream:one]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\n"
#define PLUGIN "[plugin:hostflags]\nflags = a\n"

/* A file with a secret where it does not belong, or in a form that is none. */
static const struct {
    const char *text;
    const char *said; /* part of what is said about it */
} mistakes[] = {
    {UPSTREAM PLUGIN "token: " TOKEN "\n", "`token` is no setting"},
    {UPSTREAM PLUGIN "token " TOKEN "\n", "`token` is no setting"},
    {UPSTREAM PLUGIN "proxy: http://user:" PASSWORD "@h:1\n", "`proxy` is no setting"},
    {"token = " TOKEN "\n" UPSTREAM, "`token` stands before the first section"},
    {UPSTREAM "[plugin:hostflags] token = " TOKEN "\n", "unexpected text after the section"},
    {UPSTREAM PLUGIN "token_env = \"A\" " TOKEN "\n", "unexpected text after the closing quote"},
    {UPSTREAM PLUGIN "token_env = \"" TOKEN "\n", "is opened and never closed"},
    {UPSTREAM "token = " TOKEN "\n", "unknown key `token`"},
    {"[proxy]\npassword = " PASSWORD "\n" UPSTREAM, "unknown key `password`"},
    {"[upstream:one]\nlisten = 127.0.0.1:0\nconnect = postgres://user:" PASSWORD "@db:1/x\n",
        "bad value `...@db:1/x` for `connect`"},
    {"[upstream:one]\nlisten = 127.0.0.1:0\nconnect = user:" PASSWORD "@db:1\n",
        "bad value `...@db:1` for `connect`"},
    {UPSTREAM PLUGIN "token = " TOKEN "\ntoken = " TOKEN "\n", "the key `token` is set twice"},
    {UPSTREAM PLUGIN "token = " TOKEN "\n", "there is no setting \"token\""},
    {UPSTREAM PLUGIN "token_file = " TOKEN "\nallowed_hosts = x\n", "the absolute path of a file"},
    {UPSTREAM PLUGIN "token_env = " TOKEN ".x\nallowed_hosts = x\n", "the name of a variable"},
    {UPSTREAM PLUGIN "service = https://" TOKEN "@h\n", "service = \"https://...@h\""},
    {UPSTREAM PLUGIN "proxy = http://user:" PASSWORD "@h\n", "proxy = \"http://...@h\""},
    {UPSTREAM PLUGIN "allowed_hosts = https://user:" PASSWORD "@h\n", "allowed_hosts = \"https"},
};

/* text, with the plugin's library put behind its section. Free it. */
static char *with_library(const char *text)
{
    const char *plugin = strstr(text, PLUGIN);
    char *whole;

    if (!plugin)
        return strdup(text);
    plugin += strlen(PLUGIN);
    if (asprintf(&whole, "%.*slibrary = %s\n%s", (int)(plugin - text), text,
            hf_build_path("hostflags.so"), plugin) < 0)
        abort();
    return whole;
}

/* Both ways to have a file read: to check it, and to make a request by it. */
static void check_mistake(const char *file, const char *said)
{
    const char *const runs[][6] = {
        {hf_build_path("hostflags-host"), "--check-config", "--config", file, NULL},
        {hf_build_path("hostflags-host"), "check", "one", "--config", file, NULL},
    };
    char *output;

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        output = NULL;
        CHECK(hf_process_run(runs[i], BOUND_MS, &output) != 0);
        CHECK_STR_CONTAINS(output, said);
        check_text(said, output);
        free(output);
    }
}

static void test_mistakes(void)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *text = with_library(mistakes[i].text);
        char *file = hf_tmpdir_write(directory, "mistake.ini", text);

        check_mistake(file, mistakes[i].said);
        free(file);
        free(text);
    }
}

/* A host that is a database's URL: neither the command nor the plugin's log repeats it. */
static void test_mistaken_host(void)
{
    char text[1024], *file, *output = NULL;
    const char *argv[] = {hf_build_path("hostflags-host"), "check", "one", "--config", NULL, NULL};

    snprintf(text, sizeof(text),
        UPSTREAM "host = https://user:" PASSWORD "@db.example\n" PLUGIN "library = %s\n",
        hf_build_path("hostflags.so"));
    file = hf_tmpdir_write(directory, "mistake.ini", text);
    argv[4] = file;
    CHECK(hf_process_run(argv, BOUND_MS, &output) != 0);
    CHECK_STR_CONTAINS(output, "a connection to \"db.example\" gets no flags");
    CHECK_STR_CONTAINS(output, "takes no connection to `...@db.example`");
    check_text("hostflags-host check", output);
    free(output);
    free(file);
}

static const struct hf_test tests[] = {
    {"C70 C83 C85 no mistake in the file makes the program repeat a secret", test_mistakes},
    {"C23 C70 a host with a password in it is not repeated", test_mistaken_host},
    {"C70 C85 the running proxy shows no secret, anywhere", test_program},
};

int main(int argc, char **argv)
{
    int status;

    directory = hf_tmpdir_create();
    if (!directory)
        return 1;
    status = hf_suite_run("proxy secrecy", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    hf_tmpdir_remove(directory);
    return status;
}

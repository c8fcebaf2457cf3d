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

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const char *const argv[] = {
            build_path("hostflags-host"), "status", "--socket", proxy->socket, formats[i], NULL};

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

/* The running proxy at log level debug, through a success, failures and reloads. */
static void test_program(void)
{
    char *file = hf_tmpdir_write(directory, "token", TOKEN), section[1024];
    const struct hf_flag_reply rejected = {
        .status = 401, .body = TOKEN, .body_len = sizeof(TOKEN) - 1};
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    struct proxy proxy;

    proxy_prepare(&proxy);
    proxy.options = "log_level = debug\n";
    proxy.plugin = section;
    snprintf(section, sizeof(section),
        "[plugin:hostflags]\nlibrary = %s\nflags = a, b\nallow_http = loopback\nttl = 500ms\n"
        "ttl_min = 500ms\ntoken_file = %s\nallowed_hosts = 127.0.0.1\n"
        "proxy = http://user:" PASSWORD "@127.0.0.1:9\n",
        build_path("hostflags.so"), file);
    hf_flag_service_set_ttl(service, NULL);
    proxy_write_config(&proxy,
        "[upstream:one]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = %s\npool_size = 1\n",
        hf_flag_service_port(service), hf_flag_service_url(service));
    if (proxy_run(&proxy)) {
        CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
        CHECK_STR_EQ(hf_flag_request_header(hf_flag_service_request(service, 0), "Authorization"),
            "Bearer " TOKEN);
        hf_flag_service_set_reply(service, &rejected);
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "401: the token of 42 bytes"), BOUND_MS));
        check_program(&proxy);

        strcat(section, "token = " TOKEN "\n");
        proxy_write_config(
            &proxy, "[upstream:one]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\npool_size = 0\n");
        hf_process_signal(proxy.process, SIGHUP);
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "was not applied"), BOUND_MS));
        check_program(&proxy);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    proxy_free(&proxy);
    hf_flag_service_stop(service);
    free(file);
}

static const struct hf_test tests[] = {
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

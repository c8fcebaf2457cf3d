/* SPDX-License-Identifier: PostgreSQL
 *
 * hostflags-host check: one request, and what is said about its end.
 */
#include "tests/support/certs.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOUND_MS = 30000 };
enum { ON = 0, OFF = 1, UNKNOWN = 2, FAILED = 3 };

static const char secret[] = "dapi-secret-0123456789-secret-abcdefghij";

static char *directory;
static struct hf_flag_service *service;
static char *output; /* of the latest check: stdout and stderr */

/* more: lines of the plugin's section. */
__attribute__((format(printf, 2, 3))) static void write_config(
    const char *host, const char *format, ...)
{
    const char *build = getenv("HF_BUILD");
    char text[4096], more[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof(more), format, args);
    va_end(args);
    snprintf(text, sizeof(text),
        "[upstream:warehouse]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\nhost = %s\n"
        "telemetry_flag = a\n[plugin:hostflags]\nlibrary = %s/hostflags.so\nflags = a, b, c\n%s",
        host, build ? build : "build", more);
    free(hf_tmpdir_write(directory, "proxy.ini", text));
}

/* words: what follows "check", up to NULL; `--config FILE` is added. */
static int check(const char *const *words)
{
    const char *build = getenv("HF_BUILD");
    const char *argv[16];
    char program[512], *config = hf_tmpdir_path(directory, "proxy.ini");
    size_t count = 0;
    int status;

    snprintf(program, sizeof(program), "%s/hostflags-host", build ? build : "build");
    argv[count++] = program;
    argv[count++] = "check";
    while (*words)
        argv[count++] = *words++;
    argv[count++] = "--config";
    argv[count++] = config;
    argv[count] = NULL;
    free(output);
    output = NULL;
    status = hf_process_run(argv, BOUND_MS, &output);
    free(config);
    CHECK(output != NULL && strstr(output, secret) == NULL);
    return status;
}

#define RUN_CHECK(...) check((const char *const[]){__VA_ARGS__, NULL})

static void set_up(void)
{
    directory = hf_tmpdir_create();
    service = hf_flag_service_start(NULL);
    if (!directory || !service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
}

static void tear_down(void)
{
    hf_flag_service_stop(service);
    hf_tmpdir_remove(directory);
    free(output);
    output = NULL;
    service = NULL;
}

static void test_values(void)
{
    const struct hf_flag_request *request;

    set_up();
    write_config(hf_flag_service_url(service), "allow_http = loopback\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_CONTAINS(output, "asked    http://127.0.0.1:");
    CHECK_STR_CONTAINS(output, "answer   HTTP 200 after ");
    CHECK_STR_CONTAINS(output, " ms, fresh for 900.000 s\n");
    CHECK_STR_CONTAINS(output,
        "\nFLAG  VALUE  REASON\na     on     static\nb     off    static\n"
        "c     off    default\n");
    CHECK(strstr(output, "problem") == NULL);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "b"), OFF);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "c"), UNKNOWN);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);

    CHECK_INT_EQ(RUN_CHECK(hf_flag_service_url(service), "--org-id", "4711"), ON);
    CHECK_STR_CONTAINS(output, ", org id 4711\n");
    if (CHECK_INT_EQ(hf_flag_service_count(service), 4)) {
        request = hf_flag_service_request(service, 3);
        CHECK_STR_EQ(hf_flag_request_header(request, "x-databricks-org-id"), "4711");
    }
    tear_down();
}

/* Settings of the file that would keep a check from asking, or from saying what it was told. */
static void test_settings(void)
{
    set_up();
    write_config(hf_flag_service_url(service), "allow_http = loopback\nprefetch = off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    write_config(hf_flag_service_url(service), "allow_http = loopback\noverrides = a=off, c=on\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), OFF);
    CHECK_STR_CONTAINS(output, "a     off    override\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "c"), ON);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);

    write_config(
        hf_flag_service_url(service), "allow_http = loopback\noverrides = a=on, b=off, c=off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_CONTAINS(output, "answer   none: nothing is asked");
    write_config(hf_flag_service_url(service), "allow_http = loopback\nenabled = off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), UNKNOWN);
    CHECK_STR_CONTAINS(output, "a     off    disabled\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 3);
    tear_down();
}

/* Each failure costs the service one request, and is told in the operator's words. */
static void test_failures(void)
{
    static const struct {
        struct hf_flag_reply reply;
        const char *said;
    } rows[] = {
        {{.status = 401}, "problem  http: 401: this service wants a token, and none is configured"},
        {{.status = 404}, "problem  http: 404: this host has no flag service at that path"},
        {{.status = 303, .headers = "Location: /login?next=%2Fapi"},
            "problem  http: 303 to /login: this host wants an org id\n"},
        {{.status = 302, .headers = "Location: https://elsewhere.example/x?token=y"},
            "302 to https://elsewhere.example/x: redirects are not followed"},
        {{.status = 429, .headers = "Retry-After: 60"},
            "429: it was asked too often; it says Retry-After: 60\n"},
        {{.status = 503}, "503: the service itself fails\n"},
        {{.status = 418}, "the answer's status was 418, expected 200\n"},
        {{.body = "<html>", .body_len = 6}, "parse: 200, but no flag document: it is no JSON\n"},
        {{.fault = HF_FAULT_BOMB, .bomb_mib = 4},
            "too_large: the answer's body is larger than max_response_size\n"},
        {{.fault = HF_FAULT_CLOSE}, "problem  connect: "},
        {{.fault = HF_FAULT_SILENCE}, "problem  timeout: "},
    };

    set_up();
    write_config(hf_flag_service_url(service), "allow_http = loopback\nrequest_timeout = 1s\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_flag_service_clear_log(service);
        hf_flag_service_set_reply(service, &rows[i].reply);
        CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
        CHECK_STR_CONTAINS(output, rows[i].said);
        CHECK_STR_CONTAINS(output, "a     off    default\n");
        CHECK_INT_EQ(hf_flag_service_count(service), 1);
    }
    tear_down();
}

static void test_token(void)
{
    const struct hf_flag_request *request;
    char *file, expected[128];

    set_up();
    file = hf_tmpdir_write(directory, "token", secret);
    write_config(hf_flag_service_url(service),
        "allow_http = loopback\nallowed_hosts = 127.0.0.1\ntoken_file = %s\n", file);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    request = hf_flag_service_request(service, 0);
    snprintf(expected, sizeof(expected), "Bearer %s", secret);
    if (CHECK(request != NULL))
        CHECK_STR_EQ(hf_flag_request_header(request, "Authorization"), expected);
    hf_flag_service_set_status(service, 401);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    snprintf(
        expected, sizeof(expected), "401: the token of %zu bytes from the file ", strlen(secret));
    CHECK_STR_CONTAINS(output, expected);
    CHECK_STR_CONTAINS(output, "/token was sent and rejected\n");

    unlink(file);
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "problem  token: nothing was sent: the file ");
    CHECK_STR_CONTAINS(output, "/token cannot be read: No such file or directory\n");
    CHECK_INT_EQ(RUN_CHECK("http://127.0.0.2"), FAILED);
    CHECK_STR_CONTAINS(output, "it is not among the hosts of allowed_hosts");
    CHECK_STR_CONTAINS(output, "the plugin takes no connection to `http://127.0.0.2`");
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    free(file);
    tear_down();
}

static void test_tls(void)
{
    static const struct {
        enum hf_cert cert;
        int status;
        const char *said;
    } rows[] = {
        {HF_CERT_GOOD, ON, "answer   HTTP 200 "},
        {HF_CERT_WRONG_NAME, FAILED,
            "tls: the certificate is for DNS:elsewhere.invalid, not for 127.0.0.1\n"},
        {HF_CERT_EXPIRED, FAILED, "problem  tls: "},
        {HF_CERT_SELF_SIGNED, FAILED, "problem  tls: "},
    };
    struct hf_certs *certs = hf_certs_create();

    if (!CHECK(certs != NULL))
        return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_flag_service_options options = {
            .cert_file = hf_certs_cert_file(certs, rows[i].cert),
            .key_file = hf_certs_key_file(certs)};

        directory = hf_tmpdir_create();
        service = hf_flag_service_start(&options);
        if (!directory || !service)
            abort();
        hf_flag_service_set_flag(service, "a", true);
        write_config(hf_flag_service_url(service), "ca_file = %s\n", hf_certs_ca_file(certs));
        CHECK_INT_EQ(RUN_CHECK("warehouse"), rows[i].status);
        CHECK_STR_CONTAINS(output, rows[i].said);
        tear_down();
    }
    hf_certs_destroy(certs);
}

/* Nothing that is wrong before the request lets one out. */
static void test_mistakes(void)
{
    uint16_t port;
    int listener;
    char host[64];

    set_up();
    write_config(hf_flag_service_url(service), "ttl = soon\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "ttl = \"soon\": expected a duration");
    write_config(hf_flag_service_url(service), "%s", "");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "refused: its flag service has a plain http address");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "d"), FAILED);
    CHECK_STR_CONTAINS(output, "the plugin knows no flag `d`");
    CHECK_INT_EQ(RUN_CHECK("ware house"), FAILED);
    CHECK_STR_CONTAINS(output, "takes no connection to `ware house`");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--org-id", "x"), FAILED);
    CHECK_STR_CONTAINS(output, "its org id is not a number");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flga", "a"), FAILED);
    CHECK_STR_CONTAINS(output, "did you mean `--flag`?");
    CHECK_INT_EQ(RUN_CHECK("--flag", "a"), FAILED);
    CHECK_STR_CONTAINS(output, "no upstream; expected check UPSTREAM --config FILE");
    CHECK_INT_EQ(RUN_CHECK("--help"), 0);
    CHECK_STR_CONTAINS(output, "Exit status: 0 the flag is on");
    CHECK_INT_EQ(hf_flag_service_count(service), 0);

    listener = hf_net_listen("127.0.0.1", 0); /* for a port where nobody listens */
    port = hf_net_port(listener);
    close(listener);
    snprintf(host, sizeof(host), "http://127.0.0.1:%u", port);
    write_config("db.example", "allow_http = loopback\n");
    CHECK_INT_EQ(RUN_CHECK(host), FAILED);
    CHECK_STR_CONTAINS(output, "answer   none after ");
    CHECK_STR_CONTAINS(output, "problem  connect: ");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "asked    https://db.example:443\n");
    CHECK_STR_CONTAINS(output, "problem  ");
    tear_down();
}

static const struct hf_test tests[] = {
    {"C35 C36 check tells the values: on, off, not sent", test_values},
    {"C81 C82 check asks at once, and tells overrides and the switch", test_settings},
    {"C60 C61 check tells each failure, and asks once", test_failures},
    {"C28 C34 C66 check tells of tokens, and none of them", test_token},
    {"C32 check tells what is wrong with a certificate", test_tls},
    {"C83 C88 check with mistakes in the file and on the command line", test_mistakes},
};

int main(int argc, char **argv)
{
    return hf_suite_run("check", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * hostflags-host check: one request, and what is said about its end.
 */
#include "tests/integration/check_fixture.h"
#include "tests/support/certs.h"

#include <unistd.h>

static void test_values(void)
{
    const struct hf_flag_request *request;

    check_set_up();
    check_write_config(hf_flag_service_url(service), "allow_http = loopback\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_CONTAINS(output, "asked    http://127.0.0.1:");
    CHECK_STR_CONTAINS(output, "answer   HTTP 200 after ");
    CHECK_STR_CONTAINS(output, " ms, fresh for 900.000 s\n");
    CHECK_STR_CONTAINS(output,
        "\nFLAG  VALUE  REASON\na     on     static\nb     off    static\n"
        "c     off    default\n");
    CHECK(strstr(output, "problem") == NULL);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "b"), OFF);
    CHECK(strstr(output, "try") == NULL);
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "c"), UNKNOWN);
    CHECK_STR_CONTAINS(
        output, "\ntry      it did not send `c`: is that spelt as the service spells it?\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 3);

    CHECK_INT_EQ(RUN_CHECK(hf_flag_service_url(service), "--org-id", "4711"), ON);
    CHECK_STR_CONTAINS(output, ", org id 4711\n");
    if (CHECK_INT_EQ(hf_flag_service_count(service), 4)) {
        request = hf_flag_service_request(service, 3);
        CHECK_STR_EQ(hf_flag_request_header(request, "x-databricks-org-id"), "4711");
    }
    check_tear_down();
}

/* Settings of the file that would keep a check from asking, or from saying what it was told. */
static void test_settings(void)
{
    check_set_up();
    check_write_config(hf_flag_service_url(service), "allow_http = loopback\nprefetch = off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    check_write_config(
        hf_flag_service_url(service), "allow_http = loopback\noverrides = a=off, c=on\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), OFF);
    CHECK_STR_CONTAINS(output, "a     off    override\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse", "--flag", "c"), ON);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);

    check_write_config(
        hf_flag_service_url(service), "allow_http = loopback\noverrides = a=on, b=off, c=off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
    CHECK_STR_CONTAINS(output, "answer   none: nothing is asked");
    check_write_config(hf_flag_service_url(service), "allow_http = loopback\nenabled = off\n");
    CHECK_INT_EQ(RUN_CHECK("warehouse"), UNKNOWN);
    CHECK_STR_CONTAINS(output, "a     off    disabled\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 3);
    check_tear_down();
}

static size_t times_said(const char *text)
{
    size_t count = 0;

    for (const char *at = output; at && (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

/* Each failure costs the service one request, and is told once, in the operator's words, with what
 * can be done about it. */
static void test_failures(void)
{
    static const struct {
        struct hf_flag_reply reply;
        const char *said, *advice;
    } rows[] = {
        {{.status = 401}, "problem  http: 401: this service wants a token, and none is configured",
            "try      a valid token in the place that `token_file` or `token_env` names\n"},
        {{.status = 403}, "problem  http: 403: this service wants a token, and none is configured",
            "try      a token that may read flags"},
        {{.status = 404}, "problem  http: 404: this host has no flag service at that path",
            "`overrides` for all flags"},
        {{.status = 303, .headers = "Location: /login?next=%2Fapi"},
            "problem  http: 303 to /login: this host wants an org id\n", "or --org-id here\n"},
        {{.status = 302, .headers = "Location: https://elsewhere.example/x?token=y"},
            "302 to https://elsewhere.example/x: redirects are not followed", NULL},
        {{.status = 429, .headers = "Retry-After: 60"},
            "429: it was asked too often; it says Retry-After: 60\n", "try      wait; "},
        {{.status = 503}, "503: the service itself fails\n", "try      nothing here: "},
        {{.status = 418}, "the answer's status was 418, expected 200\n", NULL},
        {{.body = "<html>", .body_len = 6}, "parse: 200, but no flag document: it is no JSON\n",
            "try      ask by hand: "},
        {{.fault = HF_FAULT_BOMB, .bomb_mib = 4},
            "too_large: the answer's body is larger than max_response_size\n",
            "raise `max_response_size`\n"},
        {{.fault = HF_FAULT_CLOSE}, "problem  connect: ", "try      is the service up, "},
        {{.fault = HF_FAULT_RESET}, "problem  connect: ", "try      is the service up, "},
        {{.fault = HF_FAULT_TRUNCATE}, "problem  connect: ", "try      is the service up, "},
        {{.fault = HF_FAULT_SILENCE}, "problem  timeout: ", "try      is the service slow, "},
    };

    check_set_up();
    check_write_config(
        hf_flag_service_url(service), "allow_http = loopback\nrequest_timeout = 1s\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_flag_service_clear_log(service);
        hf_flag_service_set_reply(service, &rows[i].reply);
        CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
        CHECK_INT_EQ(times_said(rows[i].said), 1);
        CHECK_INT_EQ(times_said("WARNING"), 0);
        CHECK_INT_EQ(times_said("\ntry      "), rows[i].advice != NULL);
        if (rows[i].advice)
            CHECK_STR_CONTAINS(output, rows[i].advice);
        CHECK_STR_CONTAINS(output, "a     off    default\n");
        CHECK_INT_EQ(hf_flag_service_count(service), 1);
    }
    check_tear_down();
}

/* The one answer after which the plugin itself asks again at once, in full: check cannot hold it
 * back, and tells of it like of other failures. */
static void test_not_modified(void)
{
    check_set_up();
    check_write_config(hf_flag_service_url(service), "allow_http = loopback\n");
    hf_flag_service_set_status(service, 304);
    CHECK_INT_EQ(RUN_CHECK("warehouse"), FAILED);
    CHECK_STR_CONTAINS(output, "answer   HTTP 304 after ");
    CHECK_STR_CONTAINS(output, "problem  http: 304 without being asked whether ");
    CHECK_INT_BETWEEN(hf_flag_service_count(service), 1, 2);
    check_tear_down();
}

static void test_token(void)
{
    const struct hf_flag_request *request;
    char *file, expected[128];

    check_set_up();
    file = hf_tmpdir_write(directory, "token", secret);
    check_write_config(hf_flag_service_url(service),
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
    check_tear_down();
}

/* What of these the service sees as a request is the good one alone; it needs no scheme. */
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
        bool is_good = rows[i].status == ON;

        check_set_up_with(
            &(struct hf_flag_service_options){.cert_file = hf_certs_cert_file(certs, rows[i].cert),
                .key_file = hf_certs_key_file(certs)});
        check_write_config(hf_flag_service_url(service), "ca_file = %s\n", hf_certs_ca_file(certs));
        CHECK_INT_EQ(RUN_CHECK("warehouse"), rows[i].status);
        CHECK_STR_CONTAINS(output, rows[i].said);
        CHECK_INT_EQ(times_said("try      `ca_file` for a private authority; "), !is_good);
        CHECK_INT_EQ(hf_flag_service_count(service), is_good);
        CHECK_INT_EQ(RUN_CHECK(hf_flag_service_host(service)), rows[i].status);
        CHECK_STR_CONTAINS(output, "asked    https://127.0.0.1:");
        check_tear_down();
    }
    hf_certs_destroy(certs);
}

static const struct hf_test tests[] = {
    {"C35 C36 check tells the values: on, off, not sent", test_values},
    {"C81 C82 check asks at once, and tells overrides and the switch", test_settings},
    {"C60 C61 check tells each failure, and asks once", test_failures},
    {"C71 check tells of a 304 that nobody asked for", test_not_modified},
    {"C28 C34 C66 check tells of tokens, and none of them", test_token},
    {"C32 check tells what is wrong with a certificate", test_tls},
};

int main(int argc, char **argv)
{
    return hf_suite_run("check", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

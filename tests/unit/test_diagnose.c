/* SPDX-License-Identifier: PostgreSQL
 *
 * What an operator is told.
 */
#include "plugin/diagnose.h"
#include "tests/support/suite.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LOOKS_SECRET "dapi0123456789abcdef"

static struct hf_symptoms symptoms_of(enum hf_outcome outcome, uint16_t status)
{
    return (struct hf_symptoms){.outcome = outcome,
        .http_status = status,
        .detail = "",
        .host = "db.example",
        .location = "",
        .retry_after = "",
        .certificate = "",
        .token_source = ""};
}

static void test_statuses(void)
{
    static const struct {
        uint16_t status;
        const char *retry_after, *said;
    } rows[] = {
        {401, "", "401: this service wants a token, and none is configured (see token_file)"},
        {403, "", "403: this service wants a token, and none is configured (see token_file)"},
        {404, "",
            "404: this host has no flag service at that path (some regions have none; the "
            "settings endpoint, client and client_version make the path)"},
        {407, "", "407: the proxy wants another user or password (setting proxy)"},
        {429, "", "429: it was asked too often"},
        {429, "60", "429: it was asked too often; it says Retry-After: 60"},
        {500, "", "500: the service itself fails"},
        {503, "soon", "503: the service itself fails; it says Retry-After: soon"},
        {503, "Wed, 21 Oct 2026 07:28:00 GMT",
            "503: the service itself fails; it says Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"},
        {429, "2026-11-25T22:53:40.123456+01:00",
            "429: it was asked too often; it says Retry-After: 2026-11-25T22:53:40.123456+01:00"},
        {429, LOOKS_SECRET, "429: it was asked too often"},
        {503, "60 " LOOKS_SECRET, "503: the service itself fails"},
        {599, "", "599: the service itself fails"},
        {304, "", "304 without being asked whether anything has changed (expected 200)"},
        {204, "", "the answer's status was 204, expected 200"},
        {418, "", "the answer's status was 418, expected 200"},
    };
    char text[HF_MESSAGE_MAX];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_symptoms symptoms = symptoms_of(HF_OUTCOME_HTTP, rows[i].status);

        symptoms.retry_after = rows[i].retry_after;
        hf_diagnose(&symptoms, text);
        CHECK_STR_EQ(text, rows[i].said);
    }
}

static void test_tokens(void)
{
    struct hf_symptoms symptoms = symptoms_of(HF_OUTCOME_HTTP, 401);
    char text[HF_MESSAGE_MAX];

    symptoms.token_source = "the file /etc/token";
    symptoms.token_length = 40;
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "401: the token of 40 bytes from the file /etc/token was sent and rejected");
    symptoms.http_status = 403;
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text,
        "403: the token of 40 bytes from the file /etc/token was sent and may not read the "
        "flags");
    symptoms.token_length = 0;
    symptoms.token_withheld = true;
    hf_diagnose(&symptoms, text);
    CHECK_STR_CONTAINS(text, "none is sent over plain http under allow_http = any");
    symptoms = symptoms_of(HF_OUTCOME_TOKEN, 0);
    symptoms.detail = "the file /x cannot be read: No such file or directory";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "nothing was sent: the file /x cannot be read: No such file or directory");
}

static void test_redirects(void)
{
    static const struct {
        const char *location;
        bool org_id;
        const char *said;
    } rows[] = {
        {"/login", false, "303 to /login: this host wants an org id"},
        {"/login?next=%2Fa", false, "303 to /login: this host wants an org id"},
        {"/login#x", false, "303 to /login: this host wants an org id"},
        {"/login.html", false, "303 to /login.html: this host wants an org id"},
        {"https://db.example/login?o=1", false,
            "303 to https://db.example/login: this host wants an org id"},
        {"/login", true, "303 to /login: this host does not know the org id, or wants a token"},
        {"/logins", false, "303 to /logins: redirects are not followed"},
        {"https://x.example/a?token=s", false, "303 to https://x.example/a: redirects are not"},
        {"https://u:s@x.example/a", false, "303 to a place that is not shown: redirects"},
        {"//u:s@x.example/a", false, "303 to a place that is not shown: redirects"},
        {"//x.example/a", false, "303 to a place that is not shown: redirects"},
        {"/a/" LOOKS_SECRET, false, "303 to /...: redirects"},
        {"/login/" LOOKS_SECRET "?x=" LOOKS_SECRET, false,
            "303 to /...: this host wants an org id"},
        {"https://x.example/" LOOKS_SECRET "#x", false, "303 to https://x.example/...: redirects"},
        {"https://x.example:8443/a.b-" LOOKS_SECRET ".c", false,
            "303 to https://x.example:8443/...: redirects"},
        {"https:\\\\u:s@x.example/a", false, "303 to a place that is not shown: redirects"},
        {"\\\\u:s@x.example/a", false, "303 to a place that is not shown: redirects"},
        {"mailto:u:s@x.example", false, "303 to a place that is not shown: redirects"},
        {"/a/u:s@x", false, "303 to a place that is not shown: redirects"},
        {LOOKS_SECRET, false, "303 to ...: redirects"},
        {"https://adb-1234567890123456.7.example/login.html", false,
            "303 to https://adb-1234567890123456.7.example/login.html: this host wants an org id"},
        {"/api/2.0/connector-service/feature-flags/GOLANG/1.0.0", false,
            "303 to /api/2.0/connector-service/feature-flags/GOLANG/1.0.0: redirects"},
        {"", false, "303 to nowhere: redirects are not followed"},
    };
    char text[HF_MESSAGE_MAX];

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_symptoms symptoms = symptoms_of(HF_OUTCOME_HTTP, 303);

        symptoms.location = rows[i].location;
        symptoms.has_org_id = rows[i].org_id;
        hf_diagnose(&symptoms, text);
        CHECK(strncmp(text, rows[i].said, strlen(rows[i].said)) == 0);
        CHECK_STR_CONTAINS(text, rows[i].said);
    }
}

static void test_others(void)
{
    struct hf_symptoms symptoms = symptoms_of(HF_OUTCOME_TLS, 0);
    char text[HF_MESSAGE_MAX];

    symptoms.detail = "what the library said";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "what the library said");
    symptoms.certificate = "DNS:other.example";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "the certificate is for DNS:other.example, not for db.example");
    symptoms.certificate =
        "DNS:0123456789.example, DNS:1123456789.example, DNS:2123456789.example, "
        "DNS:3123456789.example";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text,
        "the certificate is for DNS:0123456789.example, DNS:1123456789.example, "
        "DNS:2123456789.example, DNS:3123..., not for db.example");
    symptoms = symptoms_of(HF_OUTCOME_PARSE, 200);
    symptoms.detail = "it is no JSON";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "200, but no flag document: it is no JSON");
    symptoms = symptoms_of(HF_OUTCOME_OK, 200);
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "");
}

static void test_client_certificates(void)
{
    static const enum hf_outcome outcomes[] = {HF_OUTCOME_CONNECT, HF_OUTCOME_TLS};
    char text[HF_MESSAGE_MAX];

    for (size_t i = 0; i < COUNT(outcomes); i++) {
        struct hf_symptoms symptoms = symptoms_of(outcomes[i], 0);

        symptoms.hung_up = true;
        symptoms.detail = "Send failure: Broken pipe";
        hf_diagnose(&symptoms, text);
        CHECK_STR_EQ(text,
            "the service hung up after the TLS handshake; it may want a client certificate "
            "(settings client_cert_file and client_key_file)");
        symptoms.has_client_certificate = true;
        symptoms.detail = "tlsv1 alert unknown ca";
        hf_diagnose(&symptoms, text);
        CHECK_STR_EQ(text,
            "the service hung up after the TLS handshake; it may want another client certificate "
            "(setting client_cert_file): tlsv1 alert unknown ca");
        symptoms.hung_up = false;
        symptoms.bad_client_files = true;
        symptoms.detail = "no key";
        hf_diagnose(&symptoms, text);
        CHECK_STR_EQ(text,
            "client_cert_file or client_key_file cannot be used (expected PEM, the key without a "
            "password): no key");
    }
}

/* A line is a line, however long and strange what others say. */
static void test_strange(void)
{
    struct hf_symptoms symptoms = symptoms_of(HF_OUTCOME_CONNECT, 0);
    char text[HF_MESSAGE_MAX], detail[1000];

    symptoms.detail = "a\nb\x1b[31m\xc3\xa4\x7f";
    hf_diagnose(&symptoms, text);
    CHECK_STR_EQ(text, "a?b?[31m???");
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    symptoms.detail = detail;
    hf_diagnose(&symptoms, text);
    CHECK_INT_EQ(strlen(text), HF_MESSAGE_MAX - 1);
    CHECK_STR_EQ(text + HF_MESSAGE_MAX - 5, "x...");
}

static const struct hf_test tests[] = {
    {"C60 each status in the operator's words", test_statuses},
    {"C28 C70 what is said of tokens: length and source", test_tokens},
    {"C31 C70 what is said of redirects: no query, no user info", test_redirects},
    {"C32 C41 certificates, documents, and what others said", test_others},
    {"C32 client certificates that are wanted, refused or of no use", test_client_certificates},
    {"C70 long and unprintable texts", test_strange},
};

int main(int argc, char **argv)
{
    return hf_suite_run("diagnose", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * What is kept of an answer's header.
 */
#include "plugin/headers.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct hf_headers headers;

static bool take(const char *line)
{
    return hf_headers_take(&headers, line, strlen(line));
}

static void start(void)
{
    memset(&headers, 0, sizeof(headers));
    CHECK(take("HTTP/1.1 200 OK\r\n"));
}

static const char *etag_of(const char *line)
{
    start();
    CHECK(take(line));
    return headers.etag;
}

static void test_fields(void)
{
    start();
    CHECK_STR_EQ(headers.etag, "");
    CHECK(take("ETag: \"one\"\r\n"));
    CHECK(take("Retry-After: 60\r\n"));
    CHECK(take("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    CHECK(take("Location: https://elsewhere.example/login?a:b\r\n"));
    CHECK(take("X-Other: \"two\"\r\n"));
    CHECK(take("\r\n"));
    CHECK_STR_EQ(headers.etag, "\"one\"");
    CHECK_STR_EQ(headers.retry_after, "60");
    CHECK_STR_EQ(headers.date, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_STR_EQ(headers.location, "https://elsewhere.example/login?a:b");
}

static void test_case_and_blanks(void)
{
    static const char *const lines[] = {"etag: \"x\"\r\n", "ETAG: \"x\"\r\n", "eTaG: \"x\"\r\n",
        "ETag:\"x\"\r\n", "ETag:   \t \"x\" \t \r\n", "ETag: \"x\"\n", "ETag: \"x\""};

    for (size_t i = 0; i < COUNT(lines); i++)
        CHECK_STR_EQ(etag_of(lines[i]), "\"x\"");
}

/* As sent: nothing is unquoted or cut. */
static void test_etag_forms(void)
{
    static const char *const etags[] = {"\"x\"", "W/\"x\"", "\"\"", "W/\"\"", "unquoted",
        "\"with blanks in it\"", "\"a:b\"", "\"\xc3\xa4\xff\x80\"", "\"a\", \"b\"", "\"*\"", "\\"};
    char line[64];

    for (size_t i = 0; i < COUNT(etags); i++) {
        snprintf(line, sizeof(line), "ETag: %s\r\n", etags[i]);
        CHECK_STR_EQ(etag_of(line), etags[i]);
    }
    CHECK_STR_EQ(etag_of("ETag:\r\n"), "");
    CHECK_STR_EQ(etag_of("ETag:  \t \r\n"), "");
}

/* If-None-Match: * is true of whatever the service has: it would answer 304 for ever. */
static void test_etag_star(void)
{
    CHECK_STR_EQ(etag_of("ETag: *\r\n"), "");
    CHECK_STR_EQ(etag_of("ETag:*\r\n"), "");
}

static void test_other_names(void)
{
    static const char *const lines[] = {"ETag \"x\"\r\n", "ETag : \"x\"\r\n", " ETag: \"x\"\r\n",
        "ETags: \"x\"\r\n", "ETa: \"x\"\r\n", "X-ETag: \"x\"\r\n", ": \"x\"\r\n", ":\r\n", "\r\n",
        "", "ETag\r\n", "etag=\"x\"\r\n", "\tETag: \"x\"\r\n"};

    for (size_t i = 0; i < COUNT(lines); i++)
        CHECK_STR_EQ(etag_of(lines[i]), "");
}

static void test_last_one_wins(void)
{
    start();
    CHECK(take("ETag: \"one\"\r\n"));
    CHECK(take("Retry-After: 60\r\n"));
    CHECK(take("etag: \"two\"\r\n"));
    CHECK_STR_EQ(headers.etag, "\"two\"");
    CHECK(take("Retry-After: 70\r\n"));
    CHECK_STR_EQ(headers.retry_after, "70");
    CHECK(take("ETag: \"\x01\"\r\n")); /* unusable: then there is none */
    CHECK_STR_EQ(headers.etag, "");
    CHECK(take("Retry-After:\r\n"));
    CHECK_STR_EQ(headers.retry_after, "");
}

static void test_control_bytes(void)
{
    char line[] = "ETag: \"x?y\"\r\n";

    for (int byte = 0; byte < 256; byte++) {
        bool usable = (byte >= ' ' && byte != 0x7f);

        line[8] = (char)byte;
        start();
        CHECK(hf_headers_take(&headers, line, sizeof(line) - 1));
        if (!CHECK_INT_EQ(headers.etag[0] != '\0', usable))
            fprintf(stderr, "byte %d\n", byte);
    }
    start();
    CHECK(hf_headers_take(&headers, "Retry-After: 6\0000\r\n", 18));
    CHECK_STR_EQ(headers.retry_after, "");
}

/* What begins with a blank continues the line before (RFC 9112, 5.2): not read. */
static void test_folded(void)
{
    start();
    CHECK(take("Retry-After:\r\n"));
    CHECK(take(" 60\r\n"));
    CHECK(take("X-Long: a\r\n"));
    CHECK(take("\tETag: \"x\"\r\n"));
    CHECK_STR_EQ(headers.retry_after, "");
    CHECK_STR_EQ(headers.etag, "");
}

/* A proxy's answer to CONNECT, and 1xx answers, come before the one that counts. */
static void test_status_lines(void)
{
    static const char *const starts[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 503 no\r\n",
        "HTTP/2 200 \r\n", "HTTP/3 200\r\n", "HTTP/1.1 100 Continue\r\n"};

    for (size_t i = 0; i < COUNT(starts); i++) {
        start();
        CHECK(take("ETag: \"early\"\r\n"));
        CHECK(take("Retry-After: 3000\r\n"));
        CHECK(take("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
        CHECK(take("Location: /login\r\n"));
        CHECK(take("\r\n"));
        CHECK(take(starts[i]));
        CHECK_STR_EQ(headers.etag, "");
        CHECK_STR_EQ(headers.retry_after, "");
        CHECK_STR_EQ(headers.date, "");
        CHECK_STR_EQ(headers.location, "");
    }
}

static void fill_line(char *line, size_t value_length)
{
    strcpy(line, "ETag: \"");
    memset(line + 7, 'x', value_length - 2);
    strcpy(line + 7 + value_length - 2, "\"\r\n");
}

static void test_long_values(void)
{
    char line[2048];

    fill_line(line, HF_ETAG_MAX);
    CHECK_INT_EQ(strlen(etag_of(line)), 256);
    fill_line(line, HF_ETAG_MAX + 1);
    CHECK_STR_EQ(etag_of(line), "");
    start();
    snprintf(line, sizeof(line), "Retry-After: %063d\r\n", 60);
    CHECK(take(line));
    CHECK_INT_EQ(strlen(headers.retry_after), 63);
    snprintf(line, sizeof(line), "Retry-After: %064d\r\n", 60);
    CHECK(take(line));
    CHECK_STR_EQ(headers.retry_after, "");
    snprintf(line, sizeof(line), "Location: /%01023d\r\n", 0);
    CHECK(take(line));
    CHECK_STR_EQ(headers.location, "");
}

static void test_limit(void)
{
    static char line[HF_HEADERS_MAX_BYTES + 1];
    const char *status = "HTTP/1.1 200 OK\r\n";
    size_t rest = HF_HEADERS_MAX_BYTES - strlen(status);

    memset(line, 'x', sizeof(line));
    start();
    CHECK(hf_headers_take(&headers, line, rest));
    CHECK(hf_headers_take(&headers, line, 0));
    CHECK(!hf_headers_take(&headers, line, 1));
    start();
    CHECK(!hf_headers_take(&headers, line, rest + 1));
    start();
    for (size_t sent = 0; sent < rest; sent++)
        CHECK(hf_headers_take(&headers, "x", 1));
    CHECK(!take("ETag: \"beyond\"\r\n"));
    CHECK_STR_EQ(headers.etag, "");
}

/* Answers without end, each of them small. */
static void test_limit_over_status_lines(void)
{
    size_t sent = 0;

    memset(&headers, 0, sizeof(headers));
    while (sent <= HF_HEADERS_MAX_BYTES && take("HTTP/1.1 100 Continue\r\n") && take("\r\n"))
        sent += 25;
    CHECK_INT_BETWEEN(sent, HF_HEADERS_MAX_BYTES - 50, HF_HEADERS_MAX_BYTES);
}

static const struct hf_test tests[] = {
    {"C65 C71 the fields that are kept", test_fields},
    {"C71 names in any case, blanks around values", test_case_and_blanks},
    {"C71 an ETag is kept byte by byte", test_etag_forms},
    {"C71 an ETag * would fit everything: it is none", test_etag_star},
    {"C71 lines that only look like a field", test_other_names},
    {"C65 C71 of duplicates the last one counts", test_last_one_wins},
    {"C71 C72 a value with control bytes is none", test_control_bytes},
    {"C71 folded lines are not read", test_folded},
    {"C65 C72 each status line starts anew", test_status_lines},
    {"C71 an ETag of 256 bytes is kept, one of 257 is not", test_long_values},
    {"C42 64 KiB of headers are taken, one byte more is not", test_limit},
    {"C42 the limit holds over any number of status lines", test_limit_over_status_lines},
};

int main(int argc, char **argv)
{
    return hf_suite_run("headers", tests, COUNT(tests), argc, argv);
}

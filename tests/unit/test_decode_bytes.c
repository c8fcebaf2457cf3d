/* SPDX-License-Identifier: PostgreSQL
 *
 * Bodies that libraries take for JSON and RFC 8259 does not: each is refused as a whole, whatever
 * else it says.
 */
#include "plugin/decode.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Decodes a copy without a byte to spare. The flag is a. */
static const char *decode(const char *body, struct hf_document *document)
{
    static const char *const names[] = {"a"};
    size_t length = strlen(body);
    char *copy = malloc(length);
    const char *refused;

    if (copy == NULL)
        abort();
    memcpy(copy, body, length);
    *document = (struct hf_document){0, 0, 0};
    refused = hf_decode(hf_protocol_find("databricks"), names, 1, copy, length, document);
    free(copy);
    return refused;
}

/* The body says that a is on. */
static void check_accepted(const char *body)
{
    struct hf_document document;
    bool ok = CHECK_STR_EQ(decode(body, &document), NULL);

    ok = CHECK_INT_EQ(document.on, 1) && ok;
    if (!ok)
        printf("            in: %s\n", body);
}

static void check_refused(const char *body)
{
    struct hf_document document;
    bool ok = CHECK_STR_CONTAINS(decode(body, &document), "no JSON");

    ok = CHECK_INT_EQ(document.on, 0) && CHECK_INT_EQ(document.sent, 0) && ok;
    if (!ok)
        printf("            in: %s\n", body);
}

/* RFC 8259, 6. */
static void test_numbers(void)
{
    static const char *const numbers[] = {"0", "-0", "10", "-1.5", "0.0", "0e0", "1E+9", "2e-07",
        "1.25e10", "123456789012345678901234567890"};
    static const char *const others[] = {"00", "01", "-01", "007.5", "1.", "-1.", "1.e5", ".5",
        "-.5", "1e", "1E", "1e+", "1e-", "1e1.5", "1.5.5", "-", "--1", "1-", "1+", "+1", "0x1",
        "1e5e5", "e5", "E", "."};
    char body[128];

    for (size_t i = 0; i < COUNT(numbers); i++) {
        snprintf(body, sizeof(body), "{\"flags\":{\"a\":true},\"x\":%s}", numbers[i]);
        check_accepted(body);
        snprintf(body, sizeof(body), "{\"flags\":{\"a\":true},\"x\":[%s ,1]}", numbers[i]);
        check_accepted(body);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        snprintf(body, sizeof(body), "{\"flags\":{\"a\":true},\"x\":%s}", others[i]);
        check_refused(body);
        snprintf(body, sizeof(body), "{\"flags\":{\"a\":true},\"x\":[%s ,1]}", others[i]);
        check_refused(body);
        snprintf(body, sizeof(body), "{\"flags\":{\"a\":true},\"ttl_seconds\":%s\n}", others[i]);
        check_refused(body);
    }
}

/* RFC 3629: characters of each length, the first and the last of each range; and what looks like
 * them: longer forms than need be, halves of surrogate pairs, beyond U+10FFFF, cut ones. */
static void test_utf8(void)
{
    static const char *const characters[] = {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xec\xbf\xbf",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf3\xbf\xbf\xbf",
        "\xf4\x8f\xbf\xbf"};
    static const char *const others[] = {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\x80", "\xbf", "\xc2", "\xc2x",
        "\xe1\x80", "\xe1\x80x", "\xf1\x80\x80", "\xf1\x80\x80x", "\xc2\xc2\x80"};
    char body[128];

    for (size_t i = 0; i < COUNT(characters); i++) {
        snprintf(body, sizeof(body), "{\"flags\":{\"b%s\":true,\"a\":true}}", characters[i]);
        check_accepted(body);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        snprintf(body, sizeof(body), "{\"flags\":{\"b%s\":true,\"a\":true}}", others[i]);
        check_refused(body);
        snprintf(body, sizeof(body), "{\"x\":[\"%s\"],\"flags\":{\"a\":true}}", others[i]);
        check_refused(body);
    }
}

static const struct hf_test tests[] = {
    {"C41 what looks like a number, and is none in JSON, is refused", test_numbers},
    {"C43 characters of UTF-8, and what looks like them", test_utf8},
};

int main(int argc, char **argv)
{
    return hf_suite_run("decode bytes", tests, COUNT(tests), argc, argv);
}

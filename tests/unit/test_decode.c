/* SPDX-License-Identifier: PostgreSQL
 *
 * From bodies to answer words. The flags are a, b and c, in this order.
 */
#include "plugin/decode.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { A = 1, B = 2, C = 4 };

static const char *const names[] = {"a", "b", "c"};

/* What hf_decode must not have touched. */
static const struct hf_document untouched = {0xdead, 0xbeef, 4711};

/* Decodes a copy without a byte to spare, so that reading on would be noticed. */
static const char *decode(const char *body, size_t length, struct hf_document *document)
{
    char *copy = malloc(length == 0 ? 1 : length);
    const char *refused;

    if (copy == NULL)
        abort();
    memcpy(copy, body, length);
    *document = untouched;
    refused =
        hf_decode(hf_protocol_find("databricks"), names, COUNT(names), copy, length, document);
    free(copy);
    return refused;
}

struct row {
    const char *body;
    uint64_t sent, on;
    int64_t ttl_seconds;
};

static void check_row(const struct row *row)
{
    struct hf_document document;
    bool ok = CHECK_STR_EQ(decode(row->body, strlen(row->body), &document), NULL);

    ok = CHECK_INT_EQ(document.sent, row->sent) && ok;
    ok = CHECK_INT_EQ(document.on, row->on) && ok;
    ok = CHECK_INT_EQ(document.ttl_seconds, row->ttl_seconds) && ok;
    if (!ok)
        printf("            in: %s\n", row->body);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i]);
}

static void check_refused(const char *body, size_t length, const char *expected)
{
    struct hf_document document;
    const char *refused = decode(body, length, &document);
    bool ok = CHECK_STR_CONTAINS(refused, expected);

    ok = CHECK(memcmp(&document, &untouched, sizeof(document)) == 0) && ok;
    if (!ok)
        printf("            in: %.*s\n", (int)length, body);
}

#define REFUSED(body, expected) check_refused(body, sizeof(body) - 1, expected)

/* ---- values ---- */

static void test_true_and_false(void)
{
    static const struct row rows[] = {
        {"{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}]}", A, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":\"TRUE\"}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":\"TrUe\"}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":\"FALSE\"}]}", A, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":true}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":false}]}", A, 0, 0},
        {"{\"flags\":[{\"value\":true,\"name\":\"a\"}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"\\u0061\",\"value\":\"tru\\u0065\"}]}", A, A, 0},
        {" \t\r\n{ \"flags\" : [ { \"name\" : \"a\" , \"value\" : true } ] } \t\r\n", A, A, 0},
    };
    check_rows(rows, COUNT(rows));
}

static void test_no_boolean(void)
{
    static const char *const values[] = {"\" true \"", "\"true \"", "\" true\"", "\"1\"", "\"yes\"",
        "\"on\"", "\"\"", "\"\\\"true\\\"\"", "\"null\"", "\"truex\"", "\"tru\"", "\"true\\u0000\"",
        "\"falsehood\"", "null", "42", "1", "0", "1.0", "{}", "[]", "[true]", "{\"value\":true}"};
    char body[256];

    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(body, sizeof(body),
            "{\"flags\":[{\"name\":\"b\",\"value\":true},{\"name\":\"a\",\"value\":%s},"
            "{\"name\":\"c\",\"value\":\"false\"}],\"ttl_seconds\":60}",
            values[i]);
        check_row(&(struct row){body, B | C, B, 60});
        snprintf(
            body, sizeof(body), "{\"flags\":{\"b\":true,\"a\":%s,\"c\":\"false\"}}", values[i]);
        check_row(&(struct row){body, B | C, B, 0});
    }
    check_row(
        &(struct row){"{\"flags\":[{\"name\":\"a\"},{\"name\":\"b\",\"value\":true}]}", B, B, 0});
}

static void test_absent(void)
{
    static const struct row rows[] = {
        {"{\"flags\":[]}", 0, 0, 0},
        {"{\"flags\":{}}", 0, 0, 0},
        {"{\"flags\":[],\"ttl_seconds\":900}", 0, 0, 900},
        {"{\"flags\":[{\"name\":\"d\",\"value\":true}]}", 0, 0, 0},
        {"{\"flags\":[{\"name\":\"d\",\"value\":true},{\"name\":\"c\",\"value\":true}]}", C, C, 0},
    };
    check_rows(rows, COUNT(rows));
    REFUSED("{}", "no list of flags");
    REFUSED("{\"error\":\"login\"}", "no list of flags");
    REFUSED("{\"Flags\":[]}", "no list of flags");
    REFUSED("{\"flags\":null}", "neither an array nor an object");
    REFUSED("{\"flags\":true}", "neither an array nor an object");
    REFUSED("{\"flags\":42}", "neither an array nor an object");
    REFUSED("{\"flags\":\"a\"}", "neither an array nor an object");
}

static void test_names(void)
{
    static const struct row rows[] = {
        {"{\"flags\":[{\"name\":\"a\",\"value\":true},{\"name\":\"b\",\"value\":false},"
         "{\"name\":\"c\",\"value\":true}]}",
            A | B | C, A | C, 0},
        {"{\"flags\":[{\"name\":\"A\",\"value\":true},{\"name\":\"b\",\"value\":true}]}", B, B, 0},
        {"{\"flags\":{\"A\":true,\"b\":true}}", B, B, 0},
        {"{\"flags\":[{\"name\":\"ab\",\"value\":true},{\"name\":\"\",\"value\":true},"
         "{\"name\":\" a\",\"value\":true}]}",
            0, 0, 0},
        {"{\"flags\":[{\"name\":\"a\\u0000\",\"value\":true},{\"name\":\"a\\u0000b\",\"value\":"
         "true}]}",
            0, 0, 0},
    };
    check_rows(rows, COUNT(rows));
}

/* The last of 64 names, in a document of 10,000. */
static void test_many_flags(void)
{
    static char texts[HF_MAX_FLAGS][16];
    const char *wanted[HF_MAX_FLAGS];
    struct hf_document document = untouched;
    char *body = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&body, &length);

    for (uint32_t i = 0; i < HF_MAX_FLAGS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "flag-%u", i * 157); /* the last is flag-9891 */
        wanted[i] = texts[i];
    }
    fprintf(out, "{\"flags\":[");
    for (int i = 0; i < 10000; i++)
        fprintf(out, "%s{\"name\":\"flag-%d\",\"value\":\"%s\"}", i == 0 ? "" : ",", i,
            i == 157 || i == 9891 ? "true" : "false");
    fprintf(out, "]}");
    fclose(out);
    CHECK_STR_EQ(
        hf_decode(hf_protocol_find("databricks"), wanted, HF_MAX_FLAGS, body, length, &document),
        NULL);
    CHECK(document.sent == UINT64_MAX);
    CHECK(document.on == (2 | 1ull << 63));
    free(body);
}

static void test_older_shape(void)
{
    static const struct row rows[] = {
        {"{\"flags\":{\"a\":true}}", A, A, 0},
        {"{\"flags\":{\"a\":false,\"b\":\"true\",\"c\":\"FALSE\"}}", A | B | C, B, 0},
        {"{\"flags\":{\"d\":true,\"b\":true},\"ttl_seconds\":30}", B, B, 30},
    };
    check_rows(rows, COUNT(rows));
    REFUSED("{\"flags\":{\"a\\u0000\":true}}", "the name of a member has a NUL");
    REFUSED("{\"flags\":{\"a\\u0000\" :true}}", "the name of a member has a NUL");
}

static void test_unknown_and_duplicate(void)
{
    static const struct row rows[] = {
        {"{\"x\":[1,2.5,{\"flags\":[]}],\"flags\":[{\"name\":\"a\",\"value\":true,\"y\":null}],"
         "\"z\":"
         "\"\"}",
            A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":true},{\"name\":\"a\",\"value\":false}]}", A, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":false},{\"name\":\"a\",\"value\":true}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":true},{\"name\":\"a\",\"value\":\"\"}]}", 0, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":true},{\"name\":\"a\"}]}", 0, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":null},{\"name\":\"a\",\"value\":true}]}", A, A, 0},
        {"{\"flags\":[{\"name\":\"b\",\"name\":\"a\",\"value\":false,\"value\":true}]}", A, A, 0},
        {"{\"flags\":{\"a\":true,\"a\":false,\"b\":true,\"b\":7}}", A, 0, 0},
        {"{\"flags\":[{\"name\":\"a\",\"value\":true}],\"flags\":[{\"name\":\"b\",\"value\":true}]"
         "}",
            B, B, 0},
        {"{\"ttl_seconds\":5,\"flags\":[],\"ttl_seconds\":6}", 0, 0, 6},
        /* elements that are no flags */
        {"{\"flags\":[null,1,\"a\",[],{},{\"value\":true},{\"name\":1,\"value\":true},"
         "{\"name\":null,\"value\":true},{\"name\":[\"a\"],\"value\":true},"
         "{\"name\":\"c\",\"value\":true}]}",
            C, C, 0},
    };
    check_rows(rows, COUNT(rows));
}

/* ---- no flag documents ---- */

static void test_no_document(void)
{
    check_refused("", 0, "empty");
    REFUSED(" ", "ends too early");
    REFUSED("\n\n", "ends too early");
    REFUSED("true", "ends too early"); /* json-c waits for what ends the word */
    REFUSED("true ", "no object");
    REFUSED("null ", "no object");
    REFUSED("42 ", "no object");
    REFUSED("[]", "no object");
    REFUSED("[{\"flags\":[]}]", "no object");
    REFUSED("\"flags\"", "no object");
    REFUSED("<html><body>Sign in</body></html>", "no JSON");
    REFUSED("not found", "no JSON");
    REFUSED("\xef\xbb\xbf{\"flags\":[]}", "no JSON");
    REFUSED("{\"flags\":[]}x", "no JSON");
    REFUSED("{\"flags\":[]} x", "no JSON");
    REFUSED("{\"flags\":[]}}", "no JSON");
    REFUSED("{\"flags\":[]}{\"flags\":[]}", "no JSON");
    REFUSED("{\"flags\":[]}\n0", "no JSON");
    REFUSED("{\"flags\":[]} // on", "no JSON");
    REFUSED("/* on */{\"flags\":[]}", "no JSON");
    REFUSED("{\"flags\":[],}", "no JSON");
    REFUSED("{\"flags\":[1,]}", "no JSON");
    REFUSED("{\"flags\":[}", "no JSON");
    REFUSED("{\"flags\" []}", "no JSON");
    REFUSED("{flags:[]}", "no JSON");
    REFUSED("{'flags':[]}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":NaN}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":-Infinity}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":True}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":+1}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":1-1}", "no JSON");
    REFUSED("{\"flags\":[],\"x\":\"\\q\"}", "no JSON");
}

static const char whole[] =
    "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"},{\"name\":\"b\",\"value\":"
    "false}],\"ttl_seconds\":900,\"x\":{\"y\":[\"\\u00e9\",null,-1.5e3]}}";

static void test_truncated(void)
{
    for (size_t length = 1; length < strlen(whole); length++)
        check_refused(whole, length, "ends too early");
    check_row(&(struct row){whole, A | B, A, 900});
}

/* start, then unit so many times, then end. The caller frees it. */
static char *repeat(const char *start, const char *unit, size_t times, const char *end)
{
    size_t unit_length = strlen(unit);
    char *body = malloc(strlen(start) + unit_length * times + strlen(end) + 1), *p;

    if (body == NULL)
        abort();
    p = stpcpy(body, start);
    for (size_t i = 0; i < times; i++)
        p = mempcpy(p, unit, unit_length);
    strcpy(p, end);
    return body;
}

static void check_repeated(
    const char *start, const char *unit, size_t times, const char *end, const char *expected)
{
    char *body = repeat(start, unit, times, end);
    struct hf_document document;
    const char *refused = decode(body, strlen(body), &document);
    bool ok =
        expected == NULL ? CHECK_STR_EQ(refused, NULL) : CHECK_STR_CONTAINS(refused, expected);

    if (!ok)
        printf("            in: %s, then %zu times %s\n", start, times, unit);
    free(body);
}

/* The document is level 1, the value of x level 2, so the 30th array is level 31. */
static void test_too_deep(void)
{
    char *body = repeat("{\"flags\":[],\"x\":", "[", 30, "1");
    char *deeper = repeat("{\"flags\":[],\"x\":", "[", 31, "1");

    check_repeated(body, "]", 30, "}", NULL);
    check_repeated(deeper, "]", 31, "}", "nested too deep");
    check_repeated("{\"flags\":", "[", 60000, "", "nested too deep");
    check_repeated("", "{\"flags\":", 50000, "", "nested too deep");
    free(body);
    free(deeper);
}

/* Around the array's elements: 3 containers of 8, 2 colons and 1 comma, 27. */
static void test_too_many_values(void)
{
    const char *start = "{\"flags\":[],\"x\":[1";

    check_repeated(start, ",1", HF_JSON_COST_MAX - 27, "]}", NULL);
    check_repeated(start, ",1", HF_JSON_COST_MAX - 26, "]}", "too many values");
    check_repeated(start, ",{}", 349000, "]}", "too many values"); /* 1 MiB, 270 MB in json-c */
    check_repeated("{\"flags\":", "[", 1048576, "", "too many values");
    check_repeated("{\"flags\":[{\"name\":\"", "[{,:", 262144, "\",\"value\":true}]}", NULL);
    check_repeated("{\"flags\":[{\"name\":\"\\\"", "[{,:", 262144, "\",\"value\":true}]}", NULL);
}

static void test_bad_bytes(void)
{
    REFUSED("\0", "no JSON");
    REFUSED("{\"flags\":[]}\0", "no JSON");
    REFUSED("{\"flags\":[]}\0{\"flags\":[]}", "no JSON");
    REFUSED("{\"flags\":\0[]}", "no JSON");
    REFUSED("{\"flags\":[{\"name\":\"a\0\",\"value\":true}]}", "a string has a control character");
    REFUSED("{\"flags\":[{\"name\":\"a\",\"value\":\"true\0\"}]}", "control character");
    REFUSED("{\"flags\":[{\"name\":\"a\\\0\",\"value\":true}]}", "control character");
    REFUSED("{\"flags\":[{\"name\":\"a\n\",\"value\":true}]}", "control character");
    REFUSED("{\"flags\":[{\"name\":\"a\xff\",\"value\":true}]}", "no JSON");
    REFUSED("{\"flags\":[{\"name\":\"a\xc3\",\"value\":true}]}", "no JSON");
    REFUSED("{\"flags\":[{\"name\":\"a\x80\",\"value\":true}]}", "no JSON");
    REFUSED("{\"flags\":{\"a\xff\":true}}", "no JSON");
    REFUSED("{\"flags\":[{\"name\":\"a\",\"value\":\xff}]}", "no JSON");
    REFUSED("{\"flags\":[{\"name\":\"a\xc3", "");
    REFUSED("{\"flags\":[{\"name\":\"a\\", "ends too early");
    REFUSED("{\"flags\\u0000\":[]}", "the name of a member has a NUL");
    check_row(&(struct row){"{\"flags\":[{\"name\":\"a\xc3\xa9\",\"value\":true}]}", 0, 0, 0});
    /* What looks like an escaped NUL, behind an escaped backslash, is none. */
    check_row(&(struct row){"{\"flags\":{\"a\\\\u0000\":true,\"b\":true}}", B, B, 0});
    check_row(&(struct row){"{\"x\":\"\\u0000\",\"flags\":{\"b\":true}}", B, B, 0});
}

/* Whatever becomes of one byte: no crash, and nothing is on that was not sent. */
static void test_mutations(void)
{
    static const char bytes[] = "\0\"\\{}[]:,-.0eEtfn \n/\x7f\x80\xff";
    char body[sizeof(whole)];
    struct hf_document document;
    size_t accepted = 0, tried = 0;

    for (size_t at = 0; at < strlen(whole); at++) {
        for (size_t i = 0; i < 8 + sizeof(bytes) - 1; i++, tried++) {
            memcpy(body, whole, sizeof(whole));
            body[at] = i < 8 ? (char)(body[at] ^ 1 << i) : bytes[i - 8];
            if (decode(body, strlen(whole), &document) != NULL)
                continue;
            accepted++;
            CHECK((document.on & ~document.sent) == 0);
            CHECK((document.sent & ~(uint64_t)(A | B | C)) == 0);
            CHECK(document.ttl_seconds >= 0);
        }
    }
    CHECK(accepted > 100 && accepted < tried / 2); /* letters in strings; the rest is syntax */
}

/* ---- TTL ---- */

static void test_ttl(void)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {{"900", 900}, {"1", 1}, {"9223372036854775806", INT64_MAX - 1},
        {"9223372036854775807", 0}, {"9223372036854775808", 0}, {"18446744073709551615", 0},
        {"18446744073709551616", 0}, {"99999999999999999999999", 0}, {"-9223372036854775809", 0},
        {"0", 0}, {"-0", 0}, {"-1", 0}, {"-900", 0}, {"null", 0}, {"true", 0}, {"\"900\"", 0},
        {"\"\"", 0}, {"0.5", 0}, {"900.5", 0}, {"900.0", 0}, {"9e2", 0}, {"9E2", 0}, {"1e400", 0},
        {"{}", 0}, {"[900]", 0}};
    char body[256];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(body, sizeof(body),
            "{\"flags\":[{\"name\":\"a\",\"value\":true}],\"ttl_seconds\":%s}", rows[i].text);
        check_row(&(struct row){body, A, A, rows[i].seconds});
    }
    check_row(&(struct row){"{\"flags\":[{\"name\":\"a\",\"value\":true}]}", A, A, 0});
    check_row(
        &(struct row){"{\"flags\":[{\"name\":\"a\",\"value\":true,\"ttl_seconds\":7}]}", A, A, 0});
}

/* A document replaces all that an earlier one said. */
static void test_removed(void)
{
    static const char after[] = "{\"flags\":[{\"name\":\"b\",\"value\":true}]}";
    struct hf_document document = {A | B, A, 900};

    CHECK_STR_EQ(hf_decode(hf_protocol_find("databricks"), names, COUNT(names), after,
                     strlen(after), &document),
        NULL);
    CHECK_INT_EQ(document.sent, B);
    CHECK_INT_EQ(document.on, B);
    CHECK_INT_EQ(document.ttl_seconds, 0);
}

static const struct hf_test tests[] = {
    {"C35 true and false, as text in any case and as JSON", test_true_and_false},
    {"C36 what is no boolean counts as not sent, the others stand", test_no_boolean},
    {"C37 an absent flag is not sent; a document without flags is none", test_absent},
    {"C38 names are compared byte by byte", test_names},
    {"C38 64 flags among 10,000", test_many_flags},
    {"C39 flags as an object", test_older_shape},
    {"C40 unknown members are ignored, the last duplicate wins", test_unknown_and_duplicate},
    {"C41 what is no JSON object is refused", test_no_document},
    {"C41 every truncated document is refused", test_truncated},
    {"C42 nested too deep", test_too_deep},
    {"C42 too many values for the memory they would take", test_too_many_values},
    {"C43 invalid UTF-8 and NUL bytes", test_bad_bytes},
    {"C43 C41 any single byte changed: nothing is on that was not sent", test_mutations},
    {"C45 a TTL that is unusable counts as none, the flags stand", test_ttl},
    {"C50 a flag that is not in the next document is not sent", test_removed},
};

int main(int argc, char **argv)
{
    return hf_suite_run("decode", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Upstream names: which spellings are one upstream, which are two, which are none.
 *
 * Most cases are rows of a table. A row that fails is shown as "what was given -> what came of it".
 */
#include "plugin/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_BYTES 1024

/* "given -> https://origin", or "given -> refused: why". Static buffer. */
static const char *outcome(const char *host, uint16_t port)
{
    static char text[TEXT_BYTES];
    struct hf_upstream_key key;
    char origin[HF_ORIGIN_MAX];
    const char *error = hf_upstream_parse(&key, host, port, NULL);

    if (error == NULL)
        hf_upstream_origin(&key, origin);
    snprintf(text, sizeof(text), "%s -> %s%s", host != NULL ? host : "NULL",
        error != NULL ? "refused: " : "", error != NULL ? error : origin);
    return text;
}

static void check_origin(const char *host, uint16_t port, const char *origin)
{
    char expected[TEXT_BYTES];

    snprintf(expected, sizeof(expected), "%s -> %s", host, origin);
    CHECK_STR_EQ(outcome(host, port), expected);
}

/* why: a part of the refusal, which completes a sentence. */
static void check_refused(const char *host, uint16_t port, const char *why)
{
    const char *text = outcome(host, port);

    CHECK_STR_CONTAINS(text, " -> refused: ");
    CHECK_STR_CONTAINS(text, why);
}

/* The key of a name that is valid; a failed check and the key of "invalid" where it is not. fill:
 * what the memory of the key holds before. */
static struct hf_upstream_key key_in(int fill, const char *host, const char *org_id)
{
    struct hf_upstream_key key;

    memset(&key, fill, sizeof(key));
    if (!CHECK_STR_EQ(hf_upstream_parse(&key, host, 0, org_id), NULL) &&
        hf_upstream_parse(&key, "invalid", 0, NULL) != NULL)
        abort();
    return key;
}

static struct hf_upstream_key key_of(const char *host, const char *org_id)
{
    return key_in(0, host, org_id);
}

/* ---- one upstream ---- */

static void test_spellings(void)
{
    static const char *const spellings[] = {"warehouse.example", "Warehouse.Example",
        "WAREHOUSE.EXAMPLE", "https://warehouse.example", "HTTPS://Warehouse.example",
        "hTTpS://warehouse.example/", "warehouse.example/", "warehouse.example.",
        "warehouse.example./", "warehouse.example:443", "warehouse.example.:443",
        "warehouse.example:443/", "https://warehouse.example.:443/"};
    struct hf_upstream_key first = key_of(spellings[0], "12");

    for (size_t i = 0; i < COUNT(spellings); i++) {
        struct hf_upstream_key key = key_in(i % 2 == 0 ? 0xff : 0, spellings[i], "12");

        check_origin(spellings[i], 0, "https://warehouse.example");
        CHECK(hf_upstream_equal(&first, &key));
        CHECK(hf_upstream_same_host(&first, &key));
        CHECK(hf_upstream_hash(&first) == hf_upstream_hash(&key));
        CHECK_INT_EQ(key.port, 443);
        CHECK_INT_EQ(key.scheme, HF_HTTPS);
        CHECK_STR_EQ(key.host, "warehouse.example");
        CHECK_INT_EQ(key.host_length, strlen("warehouse.example"));
        CHECK_STR_EQ(key.org_id, "12");
        CHECK_INT_EQ(key.org_id_length, 2);
    }
}

static void test_ports(void)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *origin;
    } rows[] = {
        {"h", 0, "https://h"},
        {"h", 443, "https://h"},
        {"h:443", 0, "https://h"},
        {"h:443", 443, "https://h"},
        {"h", 8443, "https://h:8443"},
        {"h:8443", 0, "https://h:8443"},
        {"h:8443", 8443, "https://h:8443"},
        {"h:80", 0, "https://h:80"},
        {"http://h", 0, "http://h"},
        {"http://h:80", 0, "http://h"},
        {"http://h", 80, "http://h"},
        {"HTTP://h:80/", 80, "http://h"},
        {"http://h:443", 443, "http://h:443"},
        {"h:1", 0, "https://h:1"},
        {"h:65535", 0, "https://h:65535"},
        {"h:9", 9, "https://h:9"},
        {"[::1]", 8443, "https://[::1]:8443"},
        {"::1", 8443, "https://[::1]:8443"},
    };
    static const char *const disagree = "not the port given with it";

    for (size_t i = 0; i < COUNT(rows); i++)
        check_origin(rows[i].host, rows[i].port, rows[i].origin);
    check_refused("h:443", 444, disagree);
    check_refused("h:444", 443, disagree);
    check_refused("https://h:443/", 80, disagree);
    check_refused("http://h:80", 443, disagree);
    check_refused("[::1]:443", 444, disagree);
}

/* ---- two upstreams ---- */

static void check_apart(const char *org_id)
{
    static const char *const names[] = {"h", "h:444", "http://h", "http://h:443", "h:80", "h2", "g",
        "hh", "h.h", "h-h", "h_h", "127.0.0.1", "127.0.0.2", "[::1]", "[::2]", "::ffff:127.0.0.1",
        "http://[::1]", "[::1]:80"};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct hf_upstream_key one = key_of(names[i], org_id);

        for (size_t j = 0; j < COUNT(names); j++) {
            struct hf_upstream_key other = key_of(names[j], org_id);

            CHECK_INT_EQ(hf_upstream_equal(&one, &other), i == j);
            CHECK_INT_EQ(hf_upstream_same_host(&one, &other), i == j);
            CHECK_INT_EQ(hf_upstream_hash(&one) == hf_upstream_hash(&other), i == j);
        }
    }
}

static void test_apart(void)
{
    check_apart(NULL);
    check_apart("7");
}

static void test_org_ids(void)
{
    /* The last rows are those that run together when host and org id are simply put in a row. */
    static const char *const rows[][2] = {{"h.example", NULL}, {"h.example", "1"},
        {"h.example", "2"}, {"h.example", "11"}, {"h.example", "01"}, {"g.example", "1"},
        {"g.example", NULL}, {"h", "12"}, {"h1", "2"}, {"h12", NULL}, {"1.2.3.4", "5"},
        {"1.2.3.45", NULL}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_upstream_key one = key_of(rows[i][0], rows[i][1]);

        for (size_t j = 0; j < COUNT(rows); j++) {
            struct hf_upstream_key other = key_of(rows[j][0], rows[j][1]);
            bool same_host = strcmp(rows[i][0], rows[j][0]) == 0;

            CHECK_INT_EQ(hf_upstream_equal(&one, &other), i == j);
            CHECK_INT_EQ(hf_upstream_same_host(&one, &other), same_host);
            CHECK_INT_EQ(hf_upstream_hash(&one) == hf_upstream_hash(&other), i == j);
        }
    }
}

/* A key lies in memory that held something else before. */
static void test_leftovers(void)
{
    static const char *const names[] = {"h.example", "[2001:db8::1]:8443", "10.0.0.1"};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct hf_upstream_key clean = key_in(0, names[i], "77");
        struct hf_upstream_key dirty = key_in(0xa5, names[i], "77");

        CHECK(hf_upstream_equal(&clean, &dirty));
        CHECK(hf_upstream_same_host(&clean, &dirty));
        CHECK(hf_upstream_hash(&clean) == hf_upstream_hash(&dirty));
    }
}

static void test_no_org_id(void)
{
    struct hf_upstream_key none = key_of("h.example", NULL), empty = key_of("h.example", "");

    CHECK(hf_upstream_equal(&none, &empty));
    CHECK(hf_upstream_hash(&none) == hf_upstream_hash(&empty));
    CHECK_STR_EQ(none.org_id, "");
    CHECK_INT_EQ(none.org_id_length, 0);
}

static void test_bad_org_ids(void)
{
    static const char *const bad[] = {"a", "12a", "1 2", " 12", "12 ", "-1", "+1", "1.0", "0x1",
        "1\r\nX-Evil: 1", "\n", "1\n", "\xd9\xa3" /* an Arabic digit */, "123456789012345678901"};
    struct hf_upstream_key key;

    for (size_t i = 0; i < COUNT(bad); i++)
        CHECK_STR_CONTAINS(hf_upstream_parse(&key, "h", 0, bad[i]), "org id is not a number");
    key = key_of("h", "12345678901234567890");
    CHECK_STR_EQ(key.org_id, "12345678901234567890");
    CHECK_INT_EQ(key.org_id_length, HF_ORG_ID_MAX);
}

/* ---- no upstream ---- */

static void test_empty(void)
{
    static const char *const empty[] = {NULL, "", "https://", "HTTP://", "/", ":443",
        "https://:443", "https:///", "http://./", ".", "./", ".:443"};
    static const char *const blank[] = {" ", "\t", "   ", "\r\n", "https:// ", "\xc2\xa0"};

    for (size_t i = 0; i < COUNT(empty); i++)
        check_refused(empty[i], 0, "no host in it");
    for (size_t i = 0; i < COUNT(blank); i++)
        check_refused(blank[i], 0, "no host name has");
}

static void test_refused(void)
{
    static const struct {
        const char *why, *names[40];
    } groups[] = {
        {"it holds credentials",
            {"user@h", "https://user@h", "h\\@g", "user:secret@h", "u:p@h:1", "@h", "user@",
                "user@[::1]", "https://user:p@h/path"}},
        {"no host name has",
            {"h?q", "h#f", "h?@", "h#@", "h\\", "a b", " h", "h ", "h\t", "h\r\nX: 1", "h\n",
                "h\x01", "h\x7f", "h\xe2\x80\x8b", "\xc3\xa9.example", "h%00", "h%2eg", "*.h",
                "h,g", "h;g", "h]", "h[", "h[::1]"}},
        {"goes on behind the host",
            {"h/path", "h//", "https://h/api/2.0", "h:443/x", "h/.", "h/?", "h/#", "h:443//", "h/@",
                "h:443/@", "[::1]x", "[::1].", "[::1]]", "[::1]443", "[::1]//", "::1//"}},
        {"its scheme is neither",
            {"ftp://h", "unix://h", "ws://h:80", "http://http://h", "httpss://h"}},
        {"a label of it", {"a..b", ".h", "h..", "a..:443", ".h.", "a.b..c/"}},
        {"not a number from 1 to 65535",
            {"h:", "h:/", "h.:", "h:0", "h:65536", "h:99999", "h:443000", "h:4294967739", "h:0443",
                "h:00443", "h:+443", "h:-1", "h: 443", "h:443 ", "h:443.", "h:https", "h:0x1bb",
                "h:44.3", "h:443?q", "http:/h", "https:h", "[::1]:", "[::1]:0", "[::1]:65536",
                "[::1]:0443"}},
        {"no ']'", {"[", "[::1", "[::1:443", "https://[::1/"}},
        {"not an IPv6 address",
            {"[]", "[h]", "[1.2.3.4]", "[[::1]]", "::1]", "::1.", ":::", "h:443:", "h:1:2",
                "fe80::1%eth0", "[fe80::1%25eth0]", "[fe80::1%1]", "1::2::3", "12345::1", "::g",
                "::1.2.3.256", "::01.2.3.4", "[::1 ]", "[1:2:3:4:5:6:7:8:9]", "1:2:3:4:5:6:7",
                "[0000:0000:0000:0000:0000:0000:255.255.255.2555]"}},
        {"not an IPv4 address",
            {"127.1", "1.2.3", "0x7f000001", "0X7F.1", "2130706433", "0", "1.2.3.4.5", "1.2.3.256",
                "010.0.0.1", "1.2.3.04", "1.2.3.0x4", "0x1.2.3.4", "h.1", "h.example.0xff", "h.0x",
                "127.1.", "127.1:443", "https://0177.0.0.1/", "1.2.3.999999999999"}},
    };

    for (size_t i = 0; i < COUNT(groups); i++) {
        for (size_t j = 0; groups[i].names[j] != NULL; j++)
            check_refused(groups[i].names[j], 0, groups[i].why);
    }
}

/* Every byte in the middle of a name: the letters, digits, '-', '_' and '.', no other. */
static void test_every_byte(void)
{
    char name[] = "a?b", expected[] = "a?b";
    struct hf_upstream_key key;

    for (int byte = 1; byte < 256; byte++) {
        bool upper = byte >= 'A' && byte <= 'Z', lower = byte >= 'a' && byte <= 'z';
        bool digit = byte >= '0' && byte <= '9';
        bool valid = upper || lower || digit || byte == '-' || byte == '_' || byte == '.';
        const char *error;

        name[1] = (char)byte;
        expected[1] = (char)(upper ? byte + 32 : byte);
        error = hf_upstream_parse(&key, name, 0, NULL);
        CHECK_INT_EQ(valid ? 0 : byte, error == NULL ? 0 : byte);
        if (error == NULL)
            CHECK_STR_EQ(key.host, expected);
    }
}

/* Writes labels of label_length bytes, length bytes in all. */
static const char *long_name(char *text, size_t length, size_t label_length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = i % (label_length + 1) == label_length ? '.' : 'a';
    text[length] = '\0';
    return text;
}

static void test_lengths(void)
{
    char name[300], spelled[320], origin[HF_ORIGIN_MAX];
    struct hf_upstream_key key;

    snprintf(spelled, sizeof(spelled), "https://%s.:65535/", long_name(name, 253, 61));
    key = key_of(spelled, "12345678901234567890");
    CHECK_STR_EQ(key.host, name);
    CHECK_INT_EQ(key.host_length, HF_HOST_MAX);
    hf_upstream_origin(&key, origin);
    snprintf(spelled, sizeof(spelled), "https://%s:65535", name);
    CHECK_STR_EQ(origin, spelled);
    check_refused(long_name(name, 254, 61), 0, "too long");
    check_refused(long_name(name, 255, 61), 0, "too long");
    CHECK_STR_EQ(key_of(long_name(name, 63, 63), NULL).host, name);
    CHECK_STR_EQ(key_of(long_name(name, 127, 63), NULL).host, name); /* two of 63 */
    check_refused(long_name(name, 64, 64), 0, "a label of it");
    check_refused(long_name(name, 66, 64), 0, "a label of it");
    check_refused(long_name(name, 128, 64), 0, "a label of it");
}

static void test_huge(void)
{
    static const char bytes[] = "a.:1[/ ";
    size_t length = 1 << 20;
    char *huge = malloc(length + 1);
    struct hf_upstream_key key;

    if (!CHECK(huge != NULL))
        return;
    huge[length] = '\0';
    for (size_t i = 0; bytes[i] != '\0'; i++) {
        memset(huge, bytes[i], length);
        CHECK(hf_upstream_parse(&key, huge, 0, NULL) != NULL);
        CHECK(hf_upstream_parse(&key, "h", 0, huge) != NULL);
    }
    free(huge);
}

/* ---- addresses and other unusual names ---- */

static void test_addresses(void)
{
    static const char *const rows[][2] = {
        {"127.0.0.1", "https://127.0.0.1"},
        {"0.0.0.0", "https://0.0.0.0"},
        {"255.255.255.255:8443", "https://255.255.255.255:8443"},
        {"http://10.20.30.40:80/", "http://10.20.30.40"},
        {"10.20.30.40.", "https://10.20.30.40"},
        {"[::1]", "https://[::1]"},
        {"::1", "https://[::1]"},
        {"::", "https://[::]"},
        {"[::1]:8443", "https://[::1]:8443"},
        {"[::1]:443/", "https://[::1]"},
        {"http://[::1]:80", "http://[::1]"},
        {"https://::1/", "https://[::1]"},
        {"2001:db8::1:443", "https://[2001:db8::1:443]"}, /* an address, no port */
        {"2001:DB8:0:0:0:0:0:1", "https://[2001:db8::1]"},
        {"[2001:0db8::0001]:443", "https://[2001:db8::1]"},
        {"1:2:3:4:5:6:7:8", "https://[1:2:3:4:5:6:7:8]"},
        {"::FFFF:1.2.3.4", "https://[::ffff:1.2.3.4]"},
        {"[::ffff:102:304]", "https://[::ffff:1.2.3.4]"},
        {"[0000:0000:0000:0000:0000:FFFF:255.255.255.255]", "https://[::ffff:255.255.255.255]"},
        {"beef", "https://beef"},
        {"xn--bcher-kva.example", "https://xn--bcher-kva.example"},
        {"XN--BCHER-KVA.example:8443", "https://xn--bcher-kva.example:8443"},
        {"_dns.h-1.example", "https://_dns.h-1.example"},
        {"1.2.3.4.example", "https://1.2.3.4.example"},
        {"127.0.0.1a", "https://127.0.0.1a"},
        {"0x7g", "https://0x7g"}, /* no number to anybody */
        {"h0.1x", "https://h0.1x"},
        {"http", "https://http"},
        {"https:443", "https://https"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_origin(rows[i][0], 0, rows[i][1]);
}

/* What a path is put behind. */
static void test_origin_has_no_slash_at_its_end(void)
{
    static const char *const names[] = {"h", "h/", "h./", "h:443/", "https://h/", "http://h:80/",
        "http://h:8080/", "[::1]/", "::1/", "https://[::1]:8443/"};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct hf_upstream_key key = key_of(names[i], NULL);
        char origin[HF_ORIGIN_MAX];

        hf_upstream_origin(&key, origin);
        CHECK_STR_EQ(
            strchr(origin + strlen(key.scheme == HF_HTTP ? "http://" : "https://"), '/'), NULL);
    }
}

static void test_loopback(void)
{
    static const char *const loopback[] = {"127.0.0.1", "127.255.255.254", "http://127.0.0.1:8080",
        "127.0.0.1.", "::1", "[::1]:80", "0:0:0:0:0:0:0:1"};
    static const char *const other[] = {"localhost", "localhost.localdomain", "128.0.0.1",
        "126.255.255.255", "1.2.3.127", "0.0.0.0", "127.0.0.1.example", "127.example", "127-0-0-1",
        "::", "::2", "::1:1", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1"};

    for (size_t i = 0; i < COUNT(loopback); i++) {
        struct hf_upstream_key key = key_of(loopback[i], NULL);
        CHECK_STR_EQ(hf_upstream_is_loopback(&key) ? NULL : loopback[i], NULL);
    }
    for (size_t i = 0; i < COUNT(other); i++) {
        struct hf_upstream_key key = key_of(other[i], NULL);
        CHECK_STR_EQ(hf_upstream_is_loopback(&key) ? other[i] : NULL, NULL);
    }
}

static const struct hf_test tests[] = {
    {"C17 all spellings of a name are one upstream", test_spellings},
    {"C17 C18 a port in the name and a port beside it must agree", test_ports},
    {"C18 C19 other hosts, ports and schemes are other upstreams", test_apart},
    {"C20 C21 an org id is part of the upstream and never runs into the host", test_org_ids},
    {"C17 what the memory held before does not count", test_leftovers},
    {"C20 C29 no org id is one thing, NULL or empty", test_no_org_id},
    {"C29 an org id that is not 1 to 20 digits is refused", test_bad_org_ids},
    {"C22 no name, an empty one or a blank one is refused", test_empty},
    {"C23 what a client may read otherwise is refused, and the text says why", test_refused},
    {"C23 of all bytes only those of a host name are taken", test_every_byte},
    {"C23 253 bytes and 63 in a label, not one more", test_lengths},
    {"C23 a megabyte is refused like any other", test_huge},
    {"C24 literal addresses and punycode, with and without port", test_addresses},
    {"C30 the origin ends without a slash, whatever the spelling",
        test_origin_has_no_slash_at_its_end},
    {"C33 only literals of 127.0.0.0/8 and ::1 are loopback", test_loopback},
};

int main(int argc, char **argv)
{
    return hf_suite_run("upstream", tests, COUNT(tests), argc, argv);
}

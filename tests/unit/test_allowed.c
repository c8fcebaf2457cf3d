/* SPDX-License-Identifier: PostgreSQL
 *
 * allowed_hosts, and the URL of a proxy.
 */
#include "plugin/allowed.h"
#include "plugin/proxy_url.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool fits(const char *list, const char *name)
{
    struct hf_complaint complaint;
    struct hf_upstream_key key;
    char *patterns = NULL;
    bool result;

    if (hf_upstream_parse(&key, name, 0, NULL) != NULL ||
        !hf_allowed_parse(list, &patterns, &complaint)) {
        CHECK_STR_EQ(name, list); /* a mistake of the test's own */
        return false;
    }
    result = hf_allowed_fits(patterns, &key);
    free(patterns);
    return result;
}

static void test_fits(void)
{
    static const struct {
        const char *list, *name;
        bool fits;
    } rows[] = {
        {"a.example", "a.example", true},
        {"A.Example.", "https://a.EXAMPLE:8443/", true},
        {"a.example", "http://a.example", true},
        {"a.example", "b.example", false},
        {"a.example", "a.example.org", false},
        {"a.example", "xa.example", false},
        {"b.example, a.example", "a.example", true},
        {" b.example ,\ta.example\t", "a.example", true},
        {"*.example", "a.example", true},
        {"*.example", "a.b.example", true},
        {"*.Example", "a.example", true},
        {"*.example", "example", false},
        {"*.example", "aexample", false},
        {"*.example", "a.example.org", false},
        {"*.b.example", "a.example", false},
        {"*.x, *.y, z", "z", true},
        {"127.0.0.1", "127.0.0.1:80", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"::1", "[::1]:8443", true},
        {"[::1]", "::1", true},
        {"[0:0:0:0:0:0:0:1]", "::1", true},
        {"::1", "::2", false},
        {"::ffff:102:304", "::ffff:1.2.3.4", true},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", true},
    };
    struct hf_upstream_key key;

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!CHECK_INT_EQ(fits(rows[i].list, rows[i].name), rows[i].fits))
            CHECK_STR_EQ(rows[i].name, rows[i].list);
    }
    CHECK(hf_upstream_parse(&key, "anything", 0, "17") == NULL);
    CHECK(hf_allowed_fits(NULL, &key));
}

static void test_refused(void)
{
    static const char *const rows[] = {"*", "*.", "*.*", "*foo", "*foo.example", "a.*", "*.a.*.b",
        "https://a.example", "a.example:443", "a.example/", "[::1]:443", "[::1", "::1]", "*.::1",
        "*.[::1]", "a..b", "a b", "a,", ",a", "a,,b", ",", "user@a", "1.2.3", "a\nb"};
    struct hf_complaint complaint;
    char *patterns;

    for (size_t i = 0; i < COUNT(rows); i++) {
        bool taken = hf_allowed_parse(rows[i], &patterns, &complaint);

        if (!CHECK(!taken)) {
            CHECK_STR_EQ(rows[i], "refused");
            free(patterns);
            continue;
        }
        CHECK_STR_CONTAINS(
            complaint.text, " is neither a host name nor an address nor *. before a name");
    }
}

/* As many patterns as a long list can have are all found again. */
static void test_many(void)
{
    char list[5000] = "", name[32];
    size_t used = 0;

    for (int i = 0; i < 500; i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%sh%d", i ? "," : "", i);
    for (int i = 0; i < 510; i++) {
        snprintf(name, sizeof(name), "h%d", i);
        CHECK_INT_EQ(fits(list, name), i < 500);
    }
}

static void test_proxy_urls(void)
{
    static const char *const good[] = {"proxy:3128", "http://proxy:3128", "HTTPS://proxy.example:1",
        "socks5h://u:p@proxy:1080", "socks4a://proxy:1080", "socks4://p:1", "socks5://p:1",
        "u:p%40ss%2f%zz%@proxy:65535", "http://us:er[:\\%7e@proxy:1", "http://127.0.0.1:8080/",
        "[::1]:8080", "http://u:p@[::1]:8080"};
    static const struct {
        const char *url, *said;
    } bad[] = {
        {"proxy", "it has no port"},
        {"http://proxy", "it has no port"},
        {"[::1]", "it has no port"},
        {"::1", "it has no port"},
        {"ftp://proxy:1", "its scheme is none of"},
        {"://proxy:1", "its scheme is none of"},
        {"proxy:0", "is neither"},
        {"proxy:65536", "is neither"},
        {"proxy:x", "is neither"},
        {"http://:80", "is neither"},
        {"u:p@:80", "is neither"},
        {"proxy:80/path", "is neither"},
        {"http://u:p/w@proxy:80", "one of / ? # @"},
        {"http://u:p?w@proxy:80", "one of / ? # @"},
        {"http://u:p#w@proxy:80", "one of / ? # @"},
        {"u:p@w@proxy:80", "one of / ? # @"},
        {"http://u:p://w@proxy:80", "one of / ? # @"},
        {"u:p%00@proxy:80", "a control character"},
        {"u%0A:p@proxy:80", "a control character"},
        {"u:%1f@proxy:80", "a control character"},
        {"u:%7F@proxy:80", "a control character"},
        {"pro xy:80", "blank"},
        {"proxy:80\x7f", "blank or no printable ASCII"},
        {"prox\xc3\xa4:80", "blank or no printable ASCII"},
    };

    for (size_t i = 0; i < COUNT(good); i++)
        CHECK_STR_EQ(hf_proxy_url_check(good[i]), NULL);
    for (size_t i = 0; i < COUNT(bad); i++)
        CHECK_STR_CONTAINS(hf_proxy_url_check(bad[i].url), bad[i].said);
}

static const struct hf_test tests[] = {
    {"C34 which hosts a pattern fits", test_fits},
    {"C34 C83 what is no pattern", test_refused},
    {"C34 a long list", test_many},
    {"C32 C83 URLs of proxies, good and bad", test_proxy_urls},
};

int main(int argc, char **argv)
{
    return hf_suite_run("allowed", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * The URL that is asked, and the templates it is made of.
 */
#include "plugin/protocol.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const one_flag[] = {"a.b"};
static const char *const strange_flags[] = {"a.b", "c/d", "e&f=?#%", "~_-"};

struct row {
    const char *upstream, *service, *endpoint, *client, *client_version;
    const char *url; /* NULL: refused */
};

static const char *make(const struct row *row, const char *org_id, const char *const *flags,
    uint32_t flag_count, struct hf_upstream_key *asked, char **url)
{
    struct hf_target target = {hf_protocol_find("databricks"), row->service, row->endpoint,
        row->client == NULL ? "GOLANG" : row->client,
        row->client_version == NULL ? "1.0.0" : row->client_version, flags, flag_count};
    struct hf_upstream_key upstream;

    *url = NULL;
    if (!CHECK_STR_EQ(hf_upstream_parse(&upstream, row->upstream, 0, org_id), NULL))
        return "the test is wrong";
    return hf_protocol_url(&target, &upstream, asked, url);
}

static void check_rows(
    const struct row *rows, size_t count, const char *const *flags, uint32_t flag_count)
{
    for (size_t i = 0; i < count; i++) {
        struct hf_upstream_key asked;
        char *url;
        const char *refused = make(&rows[i], NULL, flags, flag_count, &asked, &url);

        if (rows[i].url == NULL) {
            CHECK_STR_CONTAINS(refused, "service");
            CHECK(url == NULL);
            continue;
        }
        CHECK_STR_EQ(refused, NULL);
        CHECK_STR_EQ(url, rows[i].url);
        free(url);
    }
}

#define PATH "/api/2.0/connector-service/feature-flags/GOLANG/1.0.0"

static void test_default_path(void)
{
    static const struct row rows[] = {
        {.upstream = "h.example", .url = "https://h.example" PATH},
        {.upstream = "http://h.example", .url = "http://h.example" PATH},
        {.upstream = "h.example:8443", .url = "https://h.example:8443" PATH},
        {.upstream = "127.0.0.1:80", .url = "https://127.0.0.1:80" PATH},
        {.upstream = "[::1]:8443", .url = "https://[::1]:8443" PATH},
        {.upstream = "h.example",
            .client = "PYTHON",
            .client_version = "4.1",
            .url = "https://h.example/api/2.0/connector-service/feature-flags/PYTHON/4.1"},
    };
    check_rows(rows, COUNT(rows), one_flag, 1);
}

/* All spellings of one host give one URL, without an empty segment. */
static void test_no_double_slash(void)
{
    static const char *const spellings[] = {"h.example", "H.Example", "h.example.", "h.example/",
        "https://h.example", "HTTPS://h.example/", "h.example:443", "https://h.example.:443/"};
    static const char *const services[] = {NULL, "https://{host}/", "{host}", "https://h.example/"};

    for (size_t i = 0; i < COUNT(spellings) * COUNT(services); i++) {
        struct row row = {.upstream = spellings[i / COUNT(services)],
            .service = services[i % COUNT(services)],
            .url = "https://h.example" PATH};
        check_rows(&row, 1, one_flag, 1);
    }
}

static void test_endpoint(void)
{
    static const struct row rows[] = {
        {.upstream = "h.example",
            .endpoint = "/api/2.0/feature-flags?flags={flags}",
            .url = "https://h.example/api/2.0/feature-flags?flags="
                   "a.b,c%2Fd,e%26f%3D%3F%23%25,~_-"},
        {.upstream = "h.example", .endpoint = "/", .url = "https://h.example/"},
        {.upstream = "h.example",
            .endpoint = "/{client}-{client}/{client_version}.json",
            .url = "https://h.example/GOLANG-GOLANG/1.0.0.json"},
        {.upstream = "h.example",
            .endpoint = "/{client}/{client_version}",
            .client = "a/b c",
            .client_version = "\xc3\xa9",
            .url = "https://h.example/a%2Fb%20c/%C3%A9"},
        /* What a value brings along is no placeholder. */
        {.upstream = "h.example",
            .endpoint = "/{client}",
            .client = "{flags}",
            .url = "https://h.example/%7Bflags%7D"},
    };
    check_rows(rows, COUNT(rows), strange_flags, COUNT(strange_flags));
}

static void test_service(void)
{
    static const struct row rows[] = {
        {.upstream = "h.example",
            .service = "https://flags.internal",
            .url = "https://flags.internal" PATH},
        {.upstream = "h.example:5432",
            .service = "https://{host}:8443",
            .url = "https://h.example:8443" PATH},
        {.upstream = "h.example:5432", .service = "http://{host}", .url = "http://h.example" PATH},
        {.upstream = "h.example",
            .service = "https://flags.{host}:1/",
            .url = "https://flags.h.example:1" PATH},
        {.upstream = "[::1]:5432",
            .service = "https://{host}:8443",
            .url = "https://[::1]:8443" PATH},
        {.upstream = "127.0.0.3",
            .service = "http://{host}:8080",
            .url = "http://127.0.0.3:8080" PATH},
        {.upstream = "h.example", .service = "http://[::1]:8080", .url = "http://[::1]:8080" PATH},
        {.upstream = "h", .service = "https://{host}.{host}", .url = "https://h.h" PATH},
        {.upstream = "[::1]", .service = "https://flags.{host}", .url = NULL},
    };
    check_rows(rows, COUNT(rows), one_flag, 1);
}

static void test_asked(void)
{
    struct hf_upstream_key asked;
    char *url;

    CHECK_STR_EQ(
        make(&(struct row){.upstream = "http://h.example:81"}, "42", one_flag, 1, &asked, &url),
        NULL);
    CHECK_STR_EQ(asked.host, "h.example");
    CHECK_INT_EQ(asked.port, 81);
    CHECK_INT_EQ(asked.scheme, HF_HTTP);
    CHECK_STR_EQ(asked.org_id, "42");
    free(url);
    CHECK_STR_EQ(
        make(&(struct row){.upstream = "http://h.example:81", .service = "https://f.{host}"}, "42",
            one_flag, 1, &asked, &url),
        NULL);
    CHECK_STR_EQ(asked.host, "f.h.example");
    CHECK_INT_EQ(asked.port, 443);
    CHECK_INT_EQ(asked.scheme, HF_HTTPS);
    CHECK_STR_EQ(asked.org_id, "42");
    free(url);
}

/* A host name of 253 bytes is fine by itself, and too long behind "f.". */
static void test_longest_host(void)
{
    char host[HF_HOST_MAX + 1], expected[512];
    struct row rows[3] = {{.upstream = host, .service = "https://{host}", .url = expected},
        {.upstream = host, .service = "https://f.{host}", .url = NULL},
        {.upstream = host, .service = "https://{host}{host}{host}", .url = NULL}};

    memset(host, 'h', HF_HOST_MAX);
    for (size_t i = 50; i < HF_HOST_MAX; i += 50)
        host[i] = '.';
    host[HF_HOST_MAX] = '\0';
    snprintf(expected, sizeof(expected), "https://%s" PATH, host);
    check_rows(rows, COUNT(rows), one_flag, 1);
}

static void test_check_endpoint(void)
{
    static const char *const good[] = {"/", "/a", "/a/", "/{client}/{client_version}?f={flags}",
        "/a?b=c&d=%2F", "/~a;b@c:d$e!f*(g)'h\"+,<>"};
    static const struct {
        const char *endpoint, *wrong;
    } bad[] = {{"", "begin with /"}, {"a", "begin with /"}, {" /a", "begin with /"},
        {"https://h/a", "begin with /"}, {"//", "//"}, {"//a", "//"}, {"/a//b", "//"},
        {"/a//", "//"}, {"/a b", "blank"}, {"/a\t", "blank"}, {"/a\r\nb", "blank"},
        {"/a\x7f", "printable"}, {"/\xc3\xa9", "printable"}, {"/a#b", "#"}, {"/a\\b", "\\"},
        {"/{host}", "placeholder"}, {"/{Client}", "placeholder"}, {"/{client", "placeholder"},
        {"/client}", "placeholder"}, {"/{{client}}", "placeholder"}, {"/{}", "placeholder"},
        {"/{flags}}", "placeholder"}};

    for (size_t i = 0; i < COUNT(good); i++)
        CHECK_STR_EQ(hf_protocol_check_endpoint(good[i]), NULL);
    for (size_t i = 0; i < COUNT(bad); i++)
        CHECK_STR_CONTAINS(hf_protocol_check_endpoint(bad[i].endpoint), bad[i].wrong);
    CHECK_STR_EQ(hf_protocol_check_endpoint(hf_protocol_find("databricks")->endpoint), NULL);
}

static void test_check_service(void)
{
    static const char *const good[] = {"https://{host}:8443", "https://flags.internal",
        "http://{host}", "https://flags.{host}/", "http://127.0.0.1:8080", "https://[::1]:8443",
        "flags.internal:8443"};
    static const char *const bad[] = {"", "https://", "ftp://{host}", "https://{host}/path",
        "https://{host}?a", "https://user@{host}", "https://{host}:0", "https://{host}:65536",
        "https://{host}:{port}", "https://{client}", "https://{host", "https://{HOST}",
        "https://{host} ", "https://a b", "https://[{host}]", "https://{host}:80:80"};

    for (size_t i = 0; i < COUNT(good); i++)
        CHECK_STR_EQ(hf_protocol_check_service(good[i]), NULL);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (!CHECK(hf_protocol_check_service(bad[i]) != NULL))
            printf("            service: %s\n", bad[i]);
    }
}

/* Around the size of any buffer of ours, before and behind the placeholder. */
static void test_check_long(void)
{
    char service[4096];

    for (int length = 254; length < 2000; length++) {
        snprintf(service, sizeof(service), "%0*d{host}%020d", length, 1, 1);
        CHECK_STR_CONTAINS(hf_protocol_check_service(service), "too long");
        snprintf(service, sizeof(service), "{host}%0*d", length, 1);
        CHECK_STR_CONTAINS(hf_protocol_check_service(service), "too long");
    }
}

static void test_find(void)
{
    char names[64], *end = NULL;

    snprintf(names, sizeof(names), "%s", hf_protocol_names());
    for (char *name = strtok_r(names, ", ", &end); name != NULL;
         name = strtok_r(NULL, ", ", &end)) {
        if (CHECK(hf_protocol_find(name) != NULL))
            CHECK_STR_EQ(hf_protocol_find(name)->name, name);
    }
    CHECK_STR_CONTAINS(hf_protocol_names(), "databricks");
    CHECK(hf_protocol_find("Databricks") == NULL);
    CHECK(hf_protocol_find("databrick") == NULL);
    CHECK(hf_protocol_find("") == NULL);
}

static const struct hf_test tests[] = {
    {"C25 the path with client and version, and no query", test_default_path},
    {"C30 C17 no // in the path, however the host is spelt", test_no_double_slash},
    {"C25 another endpoint: placeholders are filled in, percent-encoded", test_endpoint},
    {"C18 service: another place, made of the upstream's host", test_service},
    {"C18 C20 the host that is really asked, with the upstream's org id", test_asked},
    {"C23 service: a host name that becomes too long", test_longest_host},
    {"C83 C30 what is an endpoint", test_check_endpoint},
    {"C83 what is a service", test_check_service},
    {"C83 services that are too long", test_check_long},
    {"C83 protocols by name", test_find},
};

int main(int argc, char **argv)
{
    return hf_suite_run("protocol", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Upstream names of any bytes. An input is a line with the port that is given beside the name, a
 * line with the org id, and the name: all the rest.
 */
#include "plugin/upstream.h"

#include "plugin/allowed.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>

struct input {
    uint16_t port;
    char *org_id, *name;
};

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* C23: no name with another byte is accepted, and no key has one. */
static void check_bytes(const struct input *input, const struct hf_upstream_key *key)
{
    bool ipv6 = strchr(key->host, ':') != NULL;

    HOLDS(input->name[strspn(input->name, LOWER UPPER DIGITS "-_.:/[]")] == '\0');
    HOLDS(strspn(key->host, ipv6 ? DIGITS "abcdef:." : LOWER DIGITS "-_.") == key->host_length);
    HOLDS(strstr(input->name, ipv6 ? "]:0" : ":0") == NULL); /* a port is no octal number */
    HOLDS(key->host_length >= 1 && key->host_length <= HF_HOST_MAX);
    HOLDS(strlen(key->host) == key->host_length);
    HOLDS(strspn(key->org_id, DIGITS) == key->org_id_length && key->org_id_length <= 20);
    HOLDS(strcmp(key->org_id, input->org_id) == 0);
    HOLDS(key->scheme == HF_HTTP || key->scheme == HF_HTTPS);
    HOLDS(key->port != 0 && (input->port == 0 || key->port == input->port));
}

/* What is no literal address has labels of 1 to 63 bytes, and nobody would read it as a number. */
static void check_labels(const struct hf_upstream_key *key)
{
    struct in_addr strict, lenient;
    const char *label = key->host;

    if (strchr(key->host, ':') != NULL || inet_pton(AF_INET, key->host, &strict) == 1)
        return;
    HOLDS(inet_aton(key->host, &lenient) == 0);
    HOLDS(!hf_upstream_is_loopback(key));
    for (;;) {
        size_t length = strcspn(label, ".");

        HOLDS(length >= 1 && length <= 63);
        if (label[length] == '\0')
            break;
        label += length + 1;
    }
}

/* The origin of a key, read again, is that key. */
static void check_origin(const struct hf_upstream_key *key)
{
    char *origin = malloc(HF_ORIGIN_MAX); /* its own block, so that a byte beyond it is seen */
    struct hf_upstream_key again;

    hf_upstream_origin(key, origin);
    HOLDS(hf_upstream_parse(&again, origin, 0, key->org_id) == NULL);
    HOLDS(hf_upstream_equal(&again, key) && hf_upstream_equal(key, &again));
    HOLDS(hf_upstream_hash(&again) == hf_upstream_hash(key));
    HOLDS(hf_upstream_parse(&again, origin, key->port, NULL) == NULL);
    HOLDS(hf_upstream_same_host(&again, key));
    HOLDS(hf_upstream_equal(&again, key) == (key->org_id_length == 0));
    free(origin);
}

static void check_part(CURLU *url, CURLUPart part, const char *expected)
{
    char *text = NULL;

    HOLDS(curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK);
    HOLDS(strcmp(text, expected) == 0);
    curl_free(text);
}

/* libcurl, which is to make the request, understands the same. */
static void check_client(const struct hf_upstream_key *key)
{
    char origin[HF_ORIGIN_MAX], host[HF_HOST_MAX + 3], port[8];
    bool ipv6 = strchr(key->host, ':') != NULL;
    CURLU *url = curl_url();

    hf_upstream_origin(key, origin);
    snprintf(host, sizeof(host), ipv6 ? "[%s]" : "%s", key->host);
    snprintf(port, sizeof(port), "%u", key->port);
    HOLDS(url != NULL && curl_url_set(url, CURLUPART_URL, origin, 0) == CURLUE_OK);
    check_part(url, CURLUPART_SCHEME, key->scheme == HF_HTTP ? "http" : "https");
    check_part(url, CURLUPART_HOST, host);
    check_part(url, CURLUPART_PORT, port);
    check_part(url, CURLUPART_PATH, "/");
    curl_url_cleanup(url);
}

/* C17: in capitals it is the same one. */
static void check_capitals(const struct input *input, const struct hf_upstream_key *key)
{
    char *capitals = hf_fuzz_text(input->name, strlen(input->name));
    struct hf_upstream_key again;

    for (char *at = capitals; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    HOLDS(hf_upstream_parse(&again, capitals, input->port, input->org_id) == NULL);
    HOLDS(hf_upstream_equal(&again, key));
    free(capitals);
}

/* C34: as a list of one, it allows itself. */
static void check_allowed(const struct hf_upstream_key *key)
{
    struct hf_complaint complaint;
    char *patterns = NULL;

    HOLDS(hf_allowed_parse(key->host, &patterns, &complaint));
    HOLDS(hf_allowed_fits(patterns, key));
    free(patterns);
}

/* A key has nothing of what its storage held before, nor of a name that is read after it; and what
 * lies beside it stays as it is. */
static bool parse_twice(const struct input *input, struct hf_upstream_key *key)
{
    struct hf_upstream_key *one = malloc(sizeof(*one)), *two = malloc(sizeof(*two)), other, before;
    const char *refused, *refused_again;

    memset(one, 0, sizeof(*one));
    memset(two, 0xff, sizeof(*two));
    refused = hf_upstream_parse(one, input->name, input->port, input->org_id);
    before = *one;
    HOLDS(hf_upstream_parse(&other, "http://other.example:81", 0, "17") == NULL);
    refused_again = hf_upstream_parse(two, input->name, input->port, input->org_id);
    HOLDS(refused == refused_again);
    HOLDS(memcmp(one, &before, sizeof(before)) == 0);
    if (refused == NULL) {
        HOLDS(hf_upstream_equal(one, two) && hf_upstream_hash(one) == hf_upstream_hash(two));
        HOLDS(!hf_upstream_equal(one, &other) || strcmp(one->host, "other.example") == 0);
        *key = *two;
    } else {
        HOLDS(refused[0] != '\0');
    }
    free(one);
    free(two);
    return refused == NULL;
}

static struct input read_input(const uint8_t *data, size_t size)
{
    struct hf_fuzz_lines lines = {(const char *)data, (const char *)data + size};
    char *port = hf_fuzz_line(&lines);
    struct input input = {.port = port == NULL ? 0 : (uint16_t)strtoul(port, NULL, 10)};

    free(port);
    input.org_id = hf_fuzz_line(&lines);
    if (input.org_id == NULL)
        input.org_id = hf_fuzz_text("", 0);
    input.name = lines.at == NULL ? hf_fuzz_text("", 0)
                                  : hf_fuzz_text(lines.at, (size_t)(lines.end - lines.at));
    return input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = read_input(data, size);
    struct hf_upstream_key key;

    if (parse_twice(&input, &key)) {
        check_bytes(&input, &key);
        check_labels(&key);
        check_origin(&key);
        check_client(&key);
        check_capitals(&input, &key);
        check_allowed(&key);
    }
    free(input.org_id);
    free(input.name);
    return 0;
}

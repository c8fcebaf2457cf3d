/* SPDX-License-Identifier: PostgreSQL
 *
 * A parser from left to right: scheme, host, port, end. Each part takes what it understands and
 * leaves *rest at the first byte that it does not; whatever is left over at the end is refused.
 * Every new connection comes through here, so a plain name is read once and copied as it is read;
 * literal addresses and refusals may take longer.
 */
#include "plugin/upstream.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */
#define PORT_DIGITS 5

#define BAD_LABEL "a label of it is empty or too long (expected 1 to 63 bytes between two dots)"
#define BAD_IPV6 \
    "what is in brackets or has several colons is not an IPv6 address (expected one without " \
    "zone, " \
    "in brackets where a port follows)"

/* The bytes of a host name, in lower case; 0 for any other byte. */
#define LETTER(upper, lower) [upper] = lower, [lower] = lower
#define ITSELF(byte) [byte] = byte
/* clang-format off */
static const char host_bytes[256] = {
    LETTER('A', 'a'), LETTER('B', 'b'), LETTER('C', 'c'), LETTER('D', 'd'), LETTER('E', 'e'),
    LETTER('F', 'f'), LETTER('G', 'g'), LETTER('H', 'h'), LETTER('I', 'i'), LETTER('J', 'j'),
    LETTER('K', 'k'), LETTER('L', 'l'), LETTER('M', 'm'), LETTER('N', 'n'), LETTER('O', 'o'),
    LETTER('P', 'p'), LETTER('Q', 'q'), LETTER('R', 'r'), LETTER('S', 's'), LETTER('T', 't'),
    LETTER('U', 'u'), LETTER('V', 'v'), LETTER('W', 'w'), LETTER('X', 'x'), LETTER('Y', 'y'),
    LETTER('Z', 'z'), ITSELF('0'), ITSELF('1'), ITSELF('2'), ITSELF('3'), ITSELF('4'),
    ITSELF('5'), ITSELF('6'), ITSELF('7'), ITSELF('8'), ITSELF('9'), ITSELF('-'), ITSELF('_'),
    ITSELF('.'),
};
/* clang-format on */

static char host_byte(char byte)
{
    return host_bytes[(unsigned char)byte];
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static uint16_t default_port(uint8_t scheme)
{
    return scheme == HF_HTTP ? 80 : 443;
}

static uint8_t parse_scheme(const char **rest)
{
    if (**rest != 'h' && **rest != 'H')
        return HF_HTTPS; /* worth a third of the time of a plain name */
    if (strncasecmp(*rest, "https://", 8) == 0) {
        *rest += 8;
    } else if (strncasecmp(*rest, "http://", 7) == 0) {
        *rest += 7;
        return HF_HTTP;
    }
    return HF_HTTPS;
}

static const char *parse_ipv6(struct hf_upstream_key *key, const char *text, size_t length)
{
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (length >= sizeof(literal))
        return BAD_IPV6;
    memcpy(literal, text, length);
    literal[length] = '\0';
    if (inet_pton(AF_INET6, literal, &address) != 1)
        return BAD_IPV6;
    inet_ntop(AF_INET6, &address, key->host, sizeof(key->host));
    key->host_length = (uint8_t)strlen(key->host);
    return NULL;
}

static const char *parse_bracketed(struct hf_upstream_key *key, const char **rest)
{
    const char *text = *rest + 1;
    size_t length = strcspn(text, "]");

    if (text[length] == '\0')
        return "its '[' has no ']' (expected an IPv6 address in brackets)";
    *rest = text + length + 1;
    return parse_ipv6(key, text, length);
}

static const char *parse_bare_ipv6(struct hf_upstream_key *key, const char **rest)
{
    const char *text = *rest;
    size_t length = strcspn(text, "/");

    *rest = text + length;
    return parse_ipv6(key, text, length);
}

/* Whether inet_aton() or a browser would take a name with this last label for a number. */
static bool is_number(const char *label)
{
    if (!is_digit(label[0]))
        return false;
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

/* start: where the last label begins. */
static const char *check_name(const struct hf_upstream_key *key, size_t start)
{
    struct in_addr address;

    if (key->host_length == 0)
        return "there is no host in it (expected a host name or an IP address)";
    if (key->host_length - start - 1 >= LABEL_MAX)
        return BAD_LABEL;
    if (is_number(key->host + start) && inet_pton(AF_INET, key->host, &address) != 1)
        return "what ends in a number is not an IPv4 address (expected four decimal numbers from 0 "
               "to 255 without leading zeros)";
    return NULL;
}

/* Whether the name that ends at rest is in truth the first group of an IPv6 literal, or nothing at
 * all before one. */
static bool is_ipv6(const char *rest)
{
    return rest[0] == ':' && rest[1] != '/' && strchr(rest + 1, ':') != NULL;
}

static const char *check_end_of_name(const char *rest)
{
    if (rest[0] == ':' && rest[1] == '/' && rest[2] == '/')
        return "its scheme is neither http nor https";
    if (rest[0] != '\0' && rest[0] != '/' && rest[0] != ':')
        return "it has a byte that no host name has (expected letters, digits, '-', '_' and '.'; "
               "an international name as punycode)";
    return NULL;
}

static const char *parse_name(struct hf_upstream_key *key, const char **rest)
{
    const char *text = *rest, *error;
    size_t length = 0, label = 0;
    char byte;

    for (; (byte = host_byte(text[length])) != 0; length++) {
        if (byte == '.') {
            if (host_byte(text[length + 1]) == 0)
                break; /* the dot behind the name */
            if (length - label - 1 >= LABEL_MAX) /* an empty label wraps round */
                return BAD_LABEL;
            label = length + 1;
        }
        if (length == HF_HOST_MAX)
            return "it is too long (expected at most 253 bytes)";
        key->host[length] = byte;
    }
    if (is_ipv6(text + length))
        return parse_bare_ipv6(key, rest);
    key->host[length] = '\0';
    key->host_length = (uint8_t)length;
    *rest = text + length + (text[length] == '.');
    error = check_end_of_name(*rest);
    return error != NULL ? error : check_name(key, label);
}

/* 0: none. */
static const char *parse_port(const char **rest, uint16_t *port)
{
    const char *text = *rest + 1;
    uint32_t value = 0;
    size_t digits = 0;

    *port = 0;
    if (**rest != ':')
        return NULL;
    for (; digits < PORT_DIGITS && is_digit(text[digits]); digits++)
        value = value * 10 + (uint32_t)(text[digits] - '0');
    *rest = text + digits;
    if (text[0] == '0' || value == 0 || value > UINT16_MAX || (**rest != '\0' && **rest != '/'))
        return "the port is not a number from 1 to 65535 without leading zeros";
    *port = (uint16_t)value;
    return NULL;
}

static const char *parse_end(const char *rest)
{
    if (rest[0] == '\0' || (rest[0] == '/' && rest[1] == '\0'))
        return NULL;
    return "it goes on behind the host (expected at most a port and one '/': no path, query or "
           "fragment)";
}

static const char *choose_port(struct hf_upstream_key *key, uint16_t named, uint16_t given)
{
    if (named != 0 && given != 0 && named != given)
        return "the port in it is not the port given with it (expected the same one twice, or 0)";
    key->port = named != 0 ? named : given != 0 ? given : default_port(key->scheme);
    return NULL;
}

static const char *parse_org_id(struct hf_upstream_key *key, const char *org_id)
{
    size_t length = 0;

    for (; org_id != NULL && org_id[length] != '\0'; length++) {
        if (length == HF_ORG_ID_MAX || !is_digit(org_id[length]))
            return "its org id is not a number of 1 to 20 digits";
        key->org_id[length] = org_id[length];
    }
    key->org_id[length] = '\0';
    key->org_id_length = (uint8_t)length;
    return NULL;
}

static bool holds_credentials(const char *authority)
{
    return memchr(authority, '@', strcspn(authority, "/?#")) != NULL;
}

const char *hf_upstream_parse(
    struct hf_upstream_key *key, const char *host, uint16_t port, const char *org_id)
{
    const char *rest = host != NULL ? host : "", *error;
    uint16_t named_port;

    key->scheme = parse_scheme(&rest);
    if (holds_credentials(rest))
        return "it holds credentials (expected a host, and at most its port)";
    error = *rest == '[' ? parse_bracketed(key, &rest) : parse_name(key, &rest);
    if (error == NULL)
        error = parse_port(&rest, &named_port);
    if (error == NULL)
        error = parse_end(rest);
    if (error == NULL)
        error = choose_port(key, named_port, port);
    return error != NULL ? error : parse_org_id(key, org_id);
}

bool hf_upstream_same_host(const struct hf_upstream_key *a, const struct hf_upstream_key *b)
{
    return a->port == b->port && a->scheme == b->scheme && a->host_length == b->host_length &&
        memcmp(a->host, b->host, a->host_length) == 0;
}

_Static_assert(offsetof(struct hf_upstream_key, host) == 5, "no padding before the host");

/* The key from its first byte to the last one of the host is one piece without padding. Both
 * lengths lie in it, so that what belongs to the host cannot be taken for the org id. */
static size_t piece_length(const struct hf_upstream_key *key)
{
    return offsetof(struct hf_upstream_key, host) + key->host_length;
}

bool hf_upstream_equal(const struct hf_upstream_key *a, const struct hf_upstream_key *b)
{
    return a->host_length == b->host_length && memcmp(a, b, piece_length(a)) == 0 &&
        (a->org_id_length == 0 || memcmp(a->org_id, b->org_id, a->org_id_length) == 0);
}

uint64_t hf_upstream_hash(const struct hf_upstream_key *key)
{
    if (key->org_id_length == 0)
        return XXH3_64bits(key, piece_length(key));
    return XXH3_64bits_withSeed(
        key, piece_length(key), XXH3_64bits(key->org_id, key->org_id_length));
}

bool hf_upstream_is_loopback(const struct hf_upstream_key *key)
{
    struct in_addr address;

    if (inet_pton(AF_INET, key->host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcmp(key->host, "::1") == 0;
}

void hf_upstream_origin(const struct hf_upstream_key *key, char origin[HF_ORIGIN_MAX])
{
    bool ipv6 = strchr(key->host, ':') != NULL;
    int length = snprintf(origin, HF_ORIGIN_MAX, "%s://%s%s%s",
        key->scheme == HF_HTTP ? "http" : "https", ipv6 ? "[" : "", key->host, ipv6 ? "]" : "");

    if (key->port != default_port(key->scheme))
        snprintf(origin + length, HF_ORIGIN_MAX - (size_t)length, ":%u", (unsigned)key->port);
}

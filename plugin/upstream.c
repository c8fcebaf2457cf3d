/* SPDX-License-Identifier: PostgreSQL
 *
 * A parser from left to right: scheme, host, port, end. Each part takes what it understands and
 * leaves *rest at the first byte that it does not; whatever is left over at the end is refused.
 * Every new connection comes through here, so a plain name is read once and copied as it is read;
 * literal addresses and refusals may take longer.
 */
#include "plugin/upstream.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */
#define PORT_DIGITS 5

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
        return "it is longer than any IPv6 address";
    memcpy(literal, text, length);
    literal[length] = '\0';
    if (inet_pton(AF_INET6, literal, &address) != 1)
        return "what has more than one ':' or stands in brackets is no IPv6 address without zone";
    inet_ntop(AF_INET6, &address, key->host, sizeof(key->host));
    key->host_length = (uint8_t)strlen(key->host);
    return NULL;
}

static const char *parse_bracketed(struct hf_upstream_key *key, const char **rest)
{
    const char *text = *rest + 1;
    size_t length = strcspn(text, "]");

    if (text[length] == '\0')
        return "the '[' before an IPv6 address has no ']' behind it";
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

static const char *check_last_label(const struct hf_upstream_key *key, size_t start)
{
    const char *label = key->host + start;
    struct in_addr address;

    if (key->host_length == 0)
        return "there is no host name in it";
    if (label[0] == '\0')
        return "it has an empty label (two dots in a row, or one in front)";
    if (key->host_length - start > LABEL_MAX)
        return "a part between two dots has more than 63 bytes";
    if (is_number(label) && inet_pton(AF_INET, key->host, &address) != 1)
        return "it ends in a number, but is no IPv4 address of four decimal numbers from 0 to 255 "
               "without leading zeros";
    return NULL;
}

static const char *check_byte_behind_name(const char *rest)
{
    if (rest[0] == '\0' || rest[0] == '/')
        return NULL;
    if (rest[0] != ':')
        return "it has a byte that no host name has (expected letters, digits, '-', '_' and '.'; "
               "an international name as punycode)";
    if (rest[1] == '/' && rest[2] == '/')
        return "its scheme is neither http nor https";
    return NULL;
}

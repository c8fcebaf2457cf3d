/* SPDX-License-Identifier: PostgreSQL
 *
 * upstream.h: the name of an upstream, normalised: two spellings of one upstream give equal keys,
 * two upstreams never do. Pure: no allocation, no I/O, any thread. Less than 1 KiB of stack; 3 KiB
 * for IPv6 literals and in hf_upstream_origin, since libc formats them.
 *
 * Accepted: a host name (letters, digits, '-', '_', '.'; labels of 1 to 63 bytes, 253 in all; an
 * international name as punycode), an IPv4 literal in four decimal parts, an IPv6 literal (in
 * brackets where a port follows); before it "http://" or "https://" in any case; behind it a dot
 * (not behind IPv6), ":port" and a slash, each at most once and in this order. Scheme and port
 * default to https and the scheme's own port. Of several colons without brackets all belong to an
 * address: "::1:443" has no port.
 *
 * Refused, because a resolver or an HTTP client may read it otherwise than the operator did: user
 * info, path, query, fragment, backslash, blanks, control and non-ASCII bytes, an empty label, a
 * zone id, another scheme, a number that is no dotted quad ("127.1", "0x7f000001", "2130706433",
 * "010.0.0.1"), a port outside 1 to 65535 or with a leading zero.
 */
#ifndef HOSTFLAGS_UPSTREAM_H
#define HOSTFLAGS_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_HOST_MAX 253 /* bytes of a host name: RFC 1035, 2.3.4, without the final dot */
#define HF_ORG_ID_MAX 20 /* digits of an unsigned 64-bit number */

enum hf_scheme { HF_HTTPS = 0, HF_HTTP = 1 };

/* The identity of a host entry. No pointers: it can lie in shared memory. */
struct hf_upstream_key {
    uint16_t port;
    uint8_t scheme; /* enum hf_scheme */
    uint8_t host_length, org_id_length; /* without the NUL */
    char host[HF_HOST_MAX + 1]; /* lower case, no brackets, NUL-terminated; a ':' means IPv6 */
    char org_id[HF_ORG_ID_MAX + 1]; /* "" means none */
};

/* Fills key; bytes behind the NUL of a member stay as they were. host NULL: refused as empty. port
 * 0: as the name says, or the scheme's own; where both say one they must agree. org_id: at most
 * HF_ORG_ID_MAX digits, taken as they are; NULL or "": none. Returns NULL, or a constant text that
 * says what is wrong and completes "upstream name refused: ..."; key then holds nothing of use. */
const char *hf_upstream_parse(struct hf_upstream_key *key, const char *host, uint16_t port,
    const char *org_id) __attribute__((warn_unused_result));

/* Whether all of it is equal / all but the org id. */
bool hf_upstream_equal(const struct hf_upstream_key *a, const struct hf_upstream_key *b);
bool hf_upstream_same_host(const struct hf_upstream_key *a, const struct hf_upstream_key *b);

/* XXH3 over what hf_upstream_equal compares. */
uint64_t hf_upstream_hash(const struct hf_upstream_key *key);

/* Whether the host is a literal of 127.0.0.0/8 or ::1. "localhost" is a name: no literal. */
bool hf_upstream_is_loopback(const struct hf_upstream_key *key);

/* Writes "scheme://host[:port]" (the port only where it is not the scheme's own, IPv6 in brackets),
 * at most HF_ORIGIN_MAX bytes with the NUL. */
#define HF_ORIGIN_MAX (8 + HF_HOST_MAX + 2 + 6 + 1)
void hf_upstream_origin(const struct hf_upstream_key *key, char origin[HF_ORIGIN_MAX]);

#endif

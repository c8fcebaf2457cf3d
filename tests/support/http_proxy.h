/* SPDX-License-Identifier: PostgreSQL
 *
 * http_proxy.h: an HTTP proxy on loopback: tunnels (CONNECT) and plain requests with an absolute
 * URL. It looks up no names: whatever a client wants to reach, it reaches the one target.
 * What is for the proxy alone, its credentials above all, is not passed on. A plain request is the
 * last one of its connection.
 *
 * A thread per connection. Threads: any, but for stop. Ownership: options are borrowed until stop;
 * what is given out lives until stop.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_HTTP_PROXY_H
#define HOSTFLAGS_TESTS_SUPPORT_HTTP_PROXY_H

#include <stddef.h>
#include <stdint.h>

struct hf_http_proxy_options {
    uint16_t target_port; /* on 127.0.0.1; 0, or nobody listens: 502 */
    const char *credentials; /* "Basic …": anything else is answered 407; NULL: not looked at */
    const char *connect_headers; /* further lines, each with \r\n, of the 200 to CONNECT; NULL */
};

struct hf_http_proxy;

/* NULL: could not start; the reason is on stderr. Serves at most 64 connections in its life. */
struct hf_http_proxy *hf_http_proxy_start(const struct hf_http_proxy_options *options);
void hf_http_proxy_stop(struct hf_http_proxy *proxy); /* NULL is fine */

uint16_t hf_http_proxy_port(const struct hf_http_proxy *proxy);

/* Connections so far, and the header that number i began with ("" while incomplete). */
size_t hf_http_proxy_count(struct hf_http_proxy *proxy);
const char *hf_http_proxy_request(struct hf_http_proxy *proxy, size_t i);

/* Requests by kind, also those that were refused, once their header is complete. */
size_t hf_http_proxy_connects(struct hf_http_proxy *proxy);
size_t hf_http_proxy_plain(struct hf_http_proxy *proxy);

/* What the latest of them wanted to reach, "flags.example:443"; "": none. The caller frees. */
char *hf_http_proxy_authority(struct hf_http_proxy *proxy);

#endif

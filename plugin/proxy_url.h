/* SPDX-License-Identifier: PostgreSQL
 *
 * proxy_url.h: the setting proxy, whose text may hold a password. Pure; any thread.
 */
#ifndef HOSTFLAGS_PROXY_URL_H
#define HOSTFLAGS_PROXY_URL_H

/* Whether url is [scheme://][user[:password]@]host:port with a scheme of http, https, socks4,
 * socks4a, socks5 or socks5h (none: http). A port is demanded because libcurl's default, 1080, is
 * nobody's expectation. User and password are %-encoded: no / ? # @ and no control character. NULL,
 * or a constant text that says what is wrong with it. */
const char *hf_proxy_url_check(const char *url) __attribute__((warn_unused_result));

#endif

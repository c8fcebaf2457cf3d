/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/proxy_url.h"

#include "plugin/upstream.h"

#include <string.h>
#include <strings.h>

/* Moves *url behind a known scheme. */
static bool skip_scheme(const char **url)
{
    static const char *const schemes[] = {
        "http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    const char *end = strstr(*url, "://");

    if (end == NULL)
        return true;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i]);
        if (length == (size_t)(end - *url) && strncasecmp(*url, schemes[i], length) == 0) {
            *url = end + strlen("://");
            return true;
        }
    }
    return false;
}

static bool has_port(const char *host)
{
    const char *colon = strrchr(host, ':');

    return colon != NULL && strchr(colon, ']') == NULL &&
        (host[0] == '[' || strchr(host, ':') == colon);
}

const char *hf_proxy_url_check(const char *url)
{
    struct hf_upstream_key key;
    const char *host;

    for (const char *p = url; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            return "it has a byte that is blank or no printable ASCII";
    }
    if (!skip_scheme(&url))
        return "its scheme is none of http, https, socks4, socks4a, socks5 and socks5h";
    host = strrchr(url, '@');
    host = host == NULL ? url : host + 1;
    if (!has_port(host))
        return "it has no port";
    if (hf_upstream_parse(&key, host, 0, NULL) != NULL)
        return "what should be host and port is neither";
    return NULL;
}

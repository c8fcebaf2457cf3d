/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/proxy_url.h"

#include "plugin/upstream.h"

#include <ctype.h>
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

static bool is_escaped_control(const char *text)
{
    if (text[0] != '%' || !isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
        return false;
    return text[1] < '2' || (text[1] == '7' && strchr("fF", text[2]) != NULL);
}

/* user:password, up to length. libcurl does not understand what is refused here: it repeats the
 * whole URL in its error text, or leaves the proxy out without a word. */
static const char *check_credentials(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr("/?#@", text[i]) != NULL)
            return "its user or password has one of / ? # @ (expected %2F %3F %23 %40)";
        if (is_escaped_control(text + i))
            return "its user or password has a control character";
    }
    return NULL;
}

const char *hf_proxy_url_check(const char *url)
{
    struct hf_upstream_key key;
    const char *host, *wrong;

    for (const char *p = url; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            return "it has a byte that is blank or no printable ASCII";
    }
    if (!skip_scheme(&url))
        return "its scheme is none of http, https, socks4, socks4a, socks5 and socks5h";
    host = strrchr(url, '@');
    wrong = host == NULL ? NULL : check_credentials(url, (size_t)(host - url));
    if (wrong != NULL)
        return wrong;
    host = host == NULL ? url : host + 1;
    if (!has_port(host))
        return "it has no port";
    if (hf_upstream_parse(&key, host, 0, NULL) != NULL)
        return "what should be host and port is neither";
    return NULL;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * value.c: see value.h.
 */
#include "hosts/proxy/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "host_api.h"

/* Reads digits; returns what follows them. NULL: there are none, or their number is too large. */
static const char *read_digits(const char *text, int64_t *number)
{
    int64_t sum = 0;

    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, *text - '0', &sum))
            return NULL;
    *number = sum;
    return text;
}

int hf_value_integer(const char *text, int64_t min, int64_t max, int64_t *value)
{
    int64_t number;
    const char *rest = read_digits(text, &number);

    if (!rest || *rest || number < min || number > max)
        return HF_E_INVALID;
    *value = number;
    return HF_OK;
}

int hf_value_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *value_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t number, scale = 0;
    const char *rest = read_digits(text, &number);

    if (!rest)
        return HF_E_INVALID;
    rest += strspn(rest, " \t");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(rest, units[i].name) == 0)
            scale = units[i].ms;
    if ((scale == 0 && (*rest || number != 0)) || __builtin_mul_overflow(number, scale, &number) ||
        number < min_ms || number > max_ms)
        return HF_E_INVALID;
    *value_ms = number;
    return HF_OK;
}

int hf_value_log_level(const char *text, int64_t *level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    for (int i = HF_LOG_ERROR; i <= HF_LOG_DEBUG; i++) {
        if (strcmp(text, names[i]) == 0) {
            *level = i;
            return HF_OK;
        }
    }
    return HF_E_INVALID;
}

/* Copies the host part of text and returns where the port begins; NULL: it has not that form. */
static const char *split_host(const char *text, char *host, size_t size)
{
    const char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
    size_t length;

    if (*text == '[')
        text++;
    if (!end || end == text || (size_t)(end - text) >= size)
        return NULL;
    length = (size_t)(end - text);
    memcpy(host, text, length);
    host[length] = '\0';
    if (*end == ']')
        end++;
    return *end == ':' ? end + 1 : NULL;
}

static bool read_literal(struct hf_address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->socket;

    if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
    } else if (inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
    } else {
        return false;
    }
    return true;
}

/* What a name may consist of; the resolver judges the rest. */
static bool is_name(const char *host)
{
    for (; *host; host++)
        if (!isalnum((unsigned char)*host) && !strchr("-._", *host))
            return false;
    return true;
}

int hf_value_address(const char *text, bool listen, struct hf_address *address)
{
    struct hf_address read = {.port = 0};
    const char *port_text = split_host(text, read.host, sizeof(read.host));
    int64_t port;

    if (!port_text || hf_value_integer(port_text, listen ? 0 : 1, UINT16_MAX, &port) != HF_OK)
        return HF_E_INVALID;
    read.port = (uint16_t)port;
    read.literal = read_literal(&read);
    if (!read.literal && (listen || *text == '[' || !is_name(read.host)))
        return HF_E_INVALID;
    *address = read;
    return HF_OK;
}

const char *hf_value_shown(const char *text)
{
    const char *at = strrchr(text, '@');

    return at ? at : text;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/headers.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Copies a value whole or not at all. */
static void keep(char *place, size_t room, const char *value, size_t length)
{
    place[0] = '\0';
    if (length >= room)
        return;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
            return;
    }
    memcpy(place, value, length);
    place[length] = '\0';
}

static void take_field(struct hf_headers *headers, const char *line, size_t length)
{
    const struct {
        const char *name;
        char *place;
        size_t room;
    } fields[] = {
        {"etag", headers->etag, sizeof(headers->etag)},
        {"retry-after", headers->retry_after, sizeof(headers->retry_after)},
        {"date", headers->date, sizeof(headers->date)},
        {"location", headers->location, sizeof(headers->location)},
    };
    const char *colon = memchr(line, ':', length), *value, *end = line + length;

    for (size_t i = 0; colon != NULL && i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strlen(fields[i].name) != (size_t)(colon - line) ||
            strncasecmp(fields[i].name, line, (size_t)(colon - line)) != 0)
            continue;
        value = colon + 1;
        while (value < end && is_space(*value))
            value++;
        while (end > value && is_space(end[-1]))
            end--;
        keep(fields[i].place, fields[i].room, value, (size_t)(end - value));
        break;
    }
    /* If-None-Match: * is true of whatever the service has. */
    if (strcmp(headers->etag, "*") == 0)
        headers->etag[0] = '\0';
}

bool hf_headers_take(struct hf_headers *headers, const char *line, size_t length)
{
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        *headers = (struct hf_headers){.bytes = headers->bytes};
    headers->bytes += length;
    if (headers->bytes > HF_HEADERS_MAX_BYTES)
        return false;
    take_field(headers, line, length);
    return true;
}

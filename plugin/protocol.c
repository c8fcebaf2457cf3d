/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct hf_protocol protocols[] = {
    {
        .name = "databricks",
        .endpoint = "/api/2.0/connector-service/feature-flags/{client}/{client_version}",
        .org_id_header = "x-databricks-org-id",
        .list = "flags",
        .flag_name = "name",
        .flag_value = "value",
        .ttl = "ttl_seconds",
    },
};

const struct hf_protocol *hf_protocol_find(const char *name)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    }
    return NULL;
}

const char *hf_protocol_names(void)
{
    return "databricks";
}

/* ---- the host that is asked ---- */

static const char host_placeholder[] = "{host}";

/* Reads the URL that `service` becomes for this host. */
static const char *fill_service(
    const char *service, const char *host, const char *org_id, struct hf_upstream_key *asked)
{
    char filled[2 * HF_ORIGIN_MAX]; /* what does not fit is no origin */
    bool bracket = strchr(host, ':') != NULL;
    size_t used = 0;

    while (*service != '\0') {
        const char *end = strstr(service, host_placeholder);
        int text = (int)(end == NULL ? strlen(service) : (size_t)(end - service));
        int wrote = snprintf(filled + used, sizeof(filled) - used, "%.*s%s%s%s", text, service,
            end != NULL && bracket ? "[" : "", end != NULL ? host : "",
            end != NULL && bracket ? "]" : "");

        used += (size_t)wrote;
        if (used >= sizeof(filled))
            return "it is too long";
        service = end == NULL ? service + text : end + strlen(host_placeholder);
    }
    return hf_upstream_parse(asked, filled, 0, org_id);
}

const char *hf_protocol_check_service(const char *service)
{
    struct hf_upstream_key asked;

    if (*service == '\0')
        return "it is empty";
    return fill_service(service, "host.example", NULL, &asked);
}

/* ---- the path ---- */

enum part { PART_CLIENT, PART_CLIENT_VERSION, PART_FLAGS, PART_COUNT };

static const char *const part_names[PART_COUNT] = {"{client}", "{client_version}", "{flags}"};

/* The placeholder at the start of text, or PART_COUNT. */
static enum part find_part(const char *text)
{
    enum part part = PART_CLIENT;

    while (part < PART_COUNT && strncmp(text, part_names[part], strlen(part_names[part])) != 0)
        part++;
    return part;
}

const char *hf_protocol_check_endpoint(const char *endpoint)
{
    if (*endpoint != '/')
        return "it does not begin with /";
    if (strstr(endpoint, "//") != NULL)
        return "it has a // in it";
    for (; *endpoint != '\0'; endpoint++) {
        enum part part = find_part(endpoint);
        if (part < PART_COUNT)
            endpoint += strlen(part_names[part]) - 1;
        else if (*endpoint <= ' ' || *endpoint >= 0x7f)
            return "it has a byte that is blank or no printable ASCII";
        else if (strchr("#\\", *endpoint) != NULL)
            return "it has a # or a \\ in it";
        else if (*endpoint == '{' || *endpoint == '}')
            return "it has a brace that belongs to no known placeholder";
    }
    return NULL;
}

/* Text that is first measured (start NULL), then written. */
struct text {
    char *start;
    size_t length;
};

static void put(struct text *text, char c)
{
    if (text->start != NULL)
        text->start[text->length] = c;
    text->length++;
}

/* RFC 3986, 2.1 and 2.3: all but the unreserved characters. */
static void put_encoded(struct text *text, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL) {
            put(text, *value);
        } else {
            put(text, '%');
            put(text, hex[c >> 4]);
            put(text, hex[c & 15]);
        }
    }
}

static void put_part(struct text *text, const struct hf_target *target, enum part part)
{
    switch (part) {
    case PART_CLIENT:
        put_encoded(text, target->client);
        break;
    case PART_CLIENT_VERSION:
        put_encoded(text, target->client_version);
        break;
    case PART_FLAGS:
        for (uint32_t i = 0; i < target->flag_count; i++) {
            if (i > 0)
                put(text, ',');
            put_encoded(text, target->flags[i]);
        }
        break;
    case PART_COUNT:
        break;
    }
}

static void put_url(struct text *text, const struct hf_target *target, const char *origin)
{
    const char *p = target->endpoint != NULL ? target->endpoint : target->protocol->endpoint;

    for (; *origin != '\0'; origin++)
        put(text, *origin);
    for (; *p != '\0'; p++) {
        enum part part = find_part(p);
        if (part == PART_COUNT) {
            put(text, *p);
        } else {
            put_part(text, target, part);
            p += strlen(part_names[part]) - 1;
        }
    }
    put(text, '\0');
}

const char *hf_protocol_url(const struct hf_target *target, const struct hf_upstream_key *upstream,
    struct hf_upstream_key *asked, char **url)
{
    char origin[HF_ORIGIN_MAX];
    struct text text = {NULL, 0};

    if (target->service == NULL)
        *asked = *upstream;
    else if (fill_service(target->service, upstream->host, upstream->org_id, asked) != NULL)
        return "with its name as {host}, the setting service gives no valid host";
    hf_upstream_origin(asked, origin);
    put_url(&text, target, origin);
    text.start = malloc(text.length);
    if (text.start == NULL)
        return "out of memory";
    text.length = 0;
    put_url(&text, target, origin);
    *url = text.start;
    return NULL;
}

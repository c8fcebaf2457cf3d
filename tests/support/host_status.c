/* SPDX-License-Identifier: PostgreSQL
 *
 * Reads the JSON of status(). Each call parses a document of its own, so no json_object is shared
 * between threads.
 */
#include "tests/support/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

char *hf_test_status(const struct hf_plugin *plugin, int32_t format)
{
    size_t size = 4096, needed;
    char *text = NULL;

    for (;;) {
        text = realloc(text, size);
        if (!text)
            abort();
        text[0] = '\0';
        needed = plugin->status(format, text, size);
        if (needed < size)
            return text;
        size = needed + 1024; /* it may grow in between */
    }
}

/* The whole document; an object with nothing in it when it is not JSON. Caller puts it. */
static struct json_object *parse_status(const struct hf_plugin *plugin)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_object *root = json_tokener_parse(text);

    if (!root || !json_object_is_type(root, json_type_object)) {
        fprintf(stderr, "status() gave no JSON object: %s\n", text);
        json_object_put(root);
        root = json_object_new_object();
    }
    free(text);
    return root;
}

static const char *string_member(struct json_object *object, const char *name)
{
    struct json_object *member = json_object_object_get(object, name);

    return member ? json_object_get_string(member) : "";
}

/* wanted: "name" or "name#org". */
static bool host_fits(struct json_object *host, const char *wanted, uint16_t port)
{
    size_t name_len = strcspn(wanted, "#");
    const char *org = wanted[name_len] ? wanted + name_len + 1 : NULL;
    const char *name = string_member(host, "host");

    if (strlen(name) != name_len || strncmp(name, wanted, name_len) != 0)
        return false;
    if (port != 0 && json_object_get_int(json_object_object_get(host, "port")) != port)
        return false;
    return !org || strcmp(string_member(host, "org_id"), org) == 0;
}

/* Borrowed from root; NULL: no such host. */
static struct json_object *find_host(struct json_object *root, const char *name, uint16_t port)
{
    struct json_object *hosts = json_object_object_get(root, "hosts");

    if (!hosts || !json_object_is_type(hosts, json_type_array))
        return NULL;
    for (size_t i = 0; i < json_object_array_length(hosts); i++) {
        struct json_object *host = json_object_array_get_idx(hosts, i);

        if (host_fits(host, name, port))
            return host;
    }
    return NULL;
}

static int64_t int_value(struct json_object *value)
{
    if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_boolean))
        return json_object_get_int64(value);
    return HF_TEST_NO_VALUE;
}

bool hf_test_status_has(const struct hf_plugin *plugin, const char *host, uint16_t port)
{
    struct json_object *root = parse_status(plugin);
    bool has = find_host(root, host, port) != NULL;

    json_object_put(root);
    return has;
}

int64_t hf_test_status_int(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *member)
{
    struct json_object *root = parse_status(plugin);
    struct json_object *found = find_host(root, host, port);
    int64_t value = int_value(found ? json_object_object_get(found, member) : NULL);

    json_object_put(root);
    return value;
}

char *hf_test_status_string(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *member)
{
    struct json_object *root = parse_status(plugin);
    struct json_object *found = find_host(root, host, port);
    struct json_object *value = found ? json_object_object_get(found, member) : NULL;
    char *text = value ? strdup(json_object_get_string(value)) : NULL;

    json_object_put(root);
    return text;
}

bool hf_test_status_is(const struct hf_plugin *plugin, const char *host, uint16_t port,
    const char *member, const char *expected)
{
    char *text = hf_test_status_string(plugin, host, port, member);
    bool equal = text && strcmp(text, expected) == 0;

    free(text);
    return equal;
}

/* A member of one flag's object; borrowed from root. */
static struct json_object *find_flag(
    struct json_object *root, const char *host, uint16_t port, const char *flag, const char *member)
{
    struct json_object *found = find_host(root, host, port);
    struct json_object *flags = found ? json_object_object_get(found, "flags") : NULL;
    struct json_object *one = flags ? json_object_object_get(flags, flag) : NULL;

    return one ? json_object_object_get(one, member) : NULL;
}

int64_t hf_test_status_flag(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *flag)
{
    struct json_object *root = parse_status(plugin);
    int64_t value = int_value(find_flag(root, host, port, flag, "enabled"));

    json_object_put(root);
    return value;
}

bool hf_test_status_reason_is(const struct hf_plugin *plugin, const char *host, uint16_t port,
    const char *flag, const char *expected)
{
    struct json_object *root = parse_status(plugin);
    struct json_object *reason = find_flag(root, host, port, flag, "reason");
    bool equal = reason && strcmp(json_object_get_string(reason), expected) == 0;

    json_object_put(root);
    return equal;
}

int64_t hf_test_status_total(const struct hf_plugin *plugin, const char *member)
{
    struct json_object *root = parse_status(plugin);
    struct json_object *value = json_object_object_get(root, member);
    int64_t total = json_object_is_type(value, json_type_array)
        ? (int64_t)json_object_array_length(value)
        : int_value(value);

    json_object_put(root);
    return total;
}

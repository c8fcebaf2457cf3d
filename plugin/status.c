/* SPDX-License-Identifier: PostgreSQL
 *
 * status.c: json-c says nothing when memory runs out half-way; so every addition is checked, and a
 * text is either whole or not there.
 */
#include "plugin/status.h"

#include "plugin/describe.h"

#include <json-c/json.h>
#include <string.h>

/* Adds value to object, which then owns it. False: value is NULL, or out of memory. */
static bool add(struct json_object *object, const char *name, struct json_object *value)
{
    if (value != NULL && json_object_object_add(object, name, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static bool add_int(struct json_object *object, const char *name, int64_t value)
{
    return add(object, name, json_object_new_int64(value));
}

static bool add_string(struct json_object *object, const char *name, const char *value)
{
    return add(object, name, json_object_new_string(value));
}

static struct json_object *flag_object(const struct hf_flag_words *words)
{
    struct json_object *object = json_object_new_object();

    if (object != NULL &&
        (!add(object, "enabled", json_object_new_boolean(words->enabled)) ||
            !add_string(object, "reason", hf_reason_name(words->reason)))) {
        json_object_put(object);
        return NULL;
    }
    return object;
}

static struct json_object *flags_object(
    const struct hf_settings *settings, const struct hf_view *view, enum hf_state state)
{
    struct json_object *object = json_object_new_object();

    for (uint32_t flag = 0; object != NULL && flag < settings->flag_count; flag++) {
        struct hf_flag_words words = hf_describe_flag(settings, view, state, flag);
        if (!add(object, settings->flags[flag], flag_object(&words))) {
            json_object_put(object);
            return NULL;
        }
    }
    return object;
}

static bool fill_host(struct json_object *object, const struct hf_settings *settings,
    const struct hf_view *view, int64_t now)
{
    struct hf_host_words words = hf_describe_host(settings, view, now);

    return add_string(object, "scheme", view->key.scheme == HF_HTTP ? "http" : "https") &&
        add_string(object, "host", view->key.host) && add_int(object, "port", view->key.port) &&
        add_string(object, "org_id", view->key.org_id) &&
        add_int(object, "references", view->references) &&
        add_string(object, "state", hf_state_name(words.state)) &&
        add_int(object, "age_ms", words.age_ms) &&
        add_int(object, "next_refresh_ms", words.next_refresh_ms) &&
        add_int(object, "requests", (int64_t)view->requests) &&
        add_int(object, "not_modified", 0) && add_int(object, "failures", (int64_t)view->failed) &&
        add_string(object, "last_error", hf_outcome_name(view->facts.outcome)) &&
        add_int(object, "http_status", view->facts.http_status) &&
        add(object, "flags", flags_object(settings, view, words.state));
}

/* The array of hosts; *connections: the sum of their references. */
static struct json_object *hosts_array(struct hf_registry *registry,
    const struct hf_settings *settings, int64_t now, uint64_t *connections)
{
    struct json_object *array = json_object_new_array();
    uint32_t slots = hf_registry_slots(registry);
    struct hf_view view;

    *connections = 0;
    for (uint32_t slot = 0; array != NULL && slot < slots; slot++) {
        if (!hf_registry_view(registry, slot, now, &view))
            continue;
        struct json_object *host = json_object_new_object();
        if (host == NULL || !fill_host(host, settings, &view, now) ||
            json_object_array_add(array, host) != 0) {
            json_object_put(host);
            json_object_put(array);
            return NULL;
        }
        *connections += view.references;
    }
    return array;
}

char *hf_status_json(struct hf_registry *registry, const struct hf_settings *settings,
    uint64_t rejected, int64_t now)
{
    struct json_object *object = json_object_new_object();
    uint64_t connections;
    const char *text;
    char *copy = NULL;

    if (object != NULL &&
        add(object, "hosts", hosts_array(registry, settings, now, &connections)) &&
        add_int(object, "connections", (int64_t)connections) &&
        add_int(object, "rejected", (int64_t)rejected)) {
        text = json_object_to_json_string_ext(
            object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        copy = text == NULL ? NULL : strdup(text);
    }
    json_object_put(object);
    return copy;
}

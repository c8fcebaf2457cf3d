/* SPDX-License-Identifier: PostgreSQL
 *
 * status.c: json-c says nothing when memory runs out half-way; so every addition is checked, and a
 * text is either whole or not there.
 */
#include "plugin/status.h"

#include "plugin/describe.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* Adds value to object, which then owns it. False: value is NULL, or out of memory. The name, which
 * lives longer than the object, is not copied: json-c 0.16 loses the copy where it has no memory
 * for a larger table. */
static bool add(struct json_object *object, const char *name, struct json_object *value)
{
    if (value != NULL &&
        json_object_object_add_ex(object, name, value, JSON_C_OBJECT_ADD_CONSTANT_KEY) == 0)
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
        struct hf_flag_words words = hf_describe_flag(&view->rules, view, state, flag);
        if (!add(object, settings->flags[flag], flag_object(&words))) {
            json_object_put(object);
            return NULL;
        }
    }
    return object;
}

static bool fill_host(
    struct json_object *object, const struct hf_status *status, const struct hf_view *view)
{
    struct hf_host_words words = hf_describe_host(&status->settings->policy, view, status->now);
    const struct hf_facts *facts = &view->facts;

    return add_string(object, "scheme", view->key.scheme == HF_HTTP ? "http" : "https") &&
        add_string(object, "host", view->key.host) && add_int(object, "port", view->key.port) &&
        add_string(object, "org_id", view->key.org_id) &&
        add_int(object, "references", view->references) &&
        add_string(object, "state", hf_state_name(words.state)) &&
        add_int(object, "age_ms", words.age_ms) && add_int(object, "ttl_ms", words.ttl_ms) &&
        add_int(object, "next_refresh_ms", words.next_refresh_ms) &&
        add_int(object, "retry_after_ms", words.retry_after_ms) &&
        add_int(object, "requests", (int64_t)view->requests) &&
        add_int(object, "not_modified", (int64_t)view->not_modified) &&
        add_int(object, "failures", (int64_t)view->failed) &&
        add_int(object, "failures_in_a_row", facts->failures) &&
        add_string(object, "last_error", hf_outcome_name(facts->outcome)) &&
        add_int(object, "http_status", facts->http_status) &&
        add_string(object, "last_message", view->message) &&
        add(object, "flags", flags_object(status->settings, view, words.state));
}

struct sums {
    uint64_t connections;
    uint32_t in_flight;
};

static struct json_object *hosts_array(const struct hf_status *status, struct sums *sums)
{
    struct json_object *array = json_object_new_array();
    uint32_t slots = hf_registry_slots(status->registry);
    struct hf_view view;

    for (uint32_t slot = 0; array != NULL && slot < slots; slot++) {
        if (!hf_registry_view(status->registry, slot, status->now, &view))
            continue;
        struct json_object *host = json_object_new_object();
        if (host == NULL || !fill_host(host, status, &view) ||
            json_object_array_add(array, host) != 0) {
            json_object_put(host);
            json_object_put(array);
            return NULL;
        }
        sums->connections += view.references;
        sums->in_flight += view.facts.in_flight;
    }
    return array;
}

/* An object with a number for each word. */
static struct json_object *counts_object(
    const uint64_t *counts, int count, const char *(*name)(int number))
{
    struct json_object *object = json_object_new_object();

    for (int i = 0; object != NULL && i < count; i++) {
        if (!add_int(object, name(i), (int64_t)counts[i])) {
            json_object_put(object);
            return NULL;
        }
    }
    return object;
}

static const char *outcome_name(int number)
{
    return hf_outcome_name((enum hf_outcome)number);
}

static const char *reason_name(int number)
{
    return hf_reason_name((enum hf_reason)number);
}

static const char *refusal_name(int number)
{
    return hf_refusal_name((enum hf_refusal)number);
}

static bool fill_totals(
    struct json_object *object, const struct hf_status *status, const struct sums *sums)
{
    struct hf_totals totals = hf_registry_totals(status->registry);
    uint64_t refused[HF_REFUSED_NOTHING];

    for (int i = 0; i < HF_REFUSED_NOTHING; i++)
        refused[i] = atomic_load(&status->refusals->reasons[i].count);
    return add_int(object, "connections", (int64_t)sums->connections) &&
        add_int(object, "max_connections", status->settings->max_connections) &&
        add_int(object, "max_hosts", status->settings->max_hosts) &&
        add_int(object, "host_slots", totals.host_slots) &&
        add_int(object, "in_flight", sums->in_flight) &&
        add_int(object, "rejected", (int64_t)atomic_load(&status->refusals->total)) &&
        add(object, "rejected_for", counts_object(refused, HF_REFUSED_NOTHING, refusal_name)) &&
        add_int(object, "evictions",
            (int64_t)atomic_load(&status->refusals->reasons[HF_REFUSED_NOTHING].count)) &&
        add(object, "requests_by_outcome",
            counts_object(totals.requests, HF_OUTCOMES, outcome_name)) &&
        add_int(object, "not_modified", (int64_t)totals.not_modified) &&
        add(object, "published", counts_object(totals.published, HF_REASONS, reason_name));
}

/* Only where the cache is shared. */
static bool fill_sharing(struct json_object *object, const struct hf_status *status)
{
    struct hf_share_facts facts;
    struct json_object *sharing;

    if (status->share == NULL)
        return true;
    facts = hf_share_facts(status->share);
    sharing = json_object_new_object();
    return add(object, "sharing", sharing) && add_int(sharing, "processes", facts.processes) &&
        add_int(sharing, "own", atomic_load(&status->registry->owner)) &&
        add_int(sharing, "refresher", facts.refresher) &&
        add_int(sharing, "refresher_pid", facts.refresher_pid) &&
        add_int(sharing, "take_overs", hf_registry_totals(status->registry).take_overs) &&
        add_int(sharing, "returned_references", (int64_t)facts.returned);
}

char *hf_status_json(const struct hf_status *status)
{
    struct json_object *object = json_object_new_object();
    struct sums sums = {0, 0};
    const char *text;
    char *copy = NULL;

    if (object != NULL && add_string(object, "version", HF_VERSION) &&
        add(object, "enabled",
            json_object_new_boolean(hf_registry_rules(status->registry).enabled)) &&
        add(object, "hosts", hosts_array(status, &sums)) && fill_totals(object, status, &sums) &&
        fill_sharing(object, status)) {
        errno = 0;
        text = json_object_to_json_string_ext(
            object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        /* Where its buffer cannot grow, json-c leaves out what does not fit, and goes on. */
        copy = text == NULL || errno == ENOMEM ? NULL : strdup(text);
    }
    json_object_put(object);
    return copy;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * status_view.c: see status_view.h.
 */
#include "hosts/proxy/status_view.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "hosts/proxy/memory.h"

void hf_status_view_clean(char *text, const char *keep)
{
    for (; *text; text++)
        if ((*text < ' ' || *text > '~') && !strchr(keep, *text))
            *text = '?';
}

/* A member of that type; NULL: none. */
static struct json_object *member(struct json_object *object, const char *name, json_type type)
{
    struct json_object *value;

    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, type))
        return NULL;
    return value;
}

static int64_t number_of(struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_int);

    return value ? json_object_get_int64(value) : HF_ABSENT;
}

static char *copy_clean(const char *text)
{
    char *copy = hf_memory_copy(text);

    hf_status_view_clean(copy, "");
    return copy;
}

static char *text_of(struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_string);

    return copy_clean(value ? json_object_get_string(value) : "");
}

static struct hf_status_counts counts_of(struct json_object *object, const char *name)
{
    struct hf_status_counts counts = {0};
    struct json_object *value = member(object, name, json_type_object);

    if (!value)
        return counts;
    json_object_object_foreach(value, key, count)
    {
        if (!json_object_is_type(count, json_type_int))
            continue;
        counts.items = hf_memory_grow(counts.items, counts.count, sizeof(*counts.items));
        counts.items[counts.count++] =
            (struct hf_status_count){copy_clean(key), json_object_get_int64(count)};
    }
    return counts;
}

static void read_flags(struct json_object *object, struct hf_status_host *host)
{
    struct json_object *flags = member(object, "flags", json_type_object);

    host->flags_on = host->flag_count = flags ? 0 : HF_ABSENT;
    if (!flags)
        return;
    json_object_object_foreach(flags, name, flag)
    {
        struct hf_status_flag *read;

        host->flags = hf_memory_grow(host->flags, (size_t)host->flag_count, sizeof(*read));
        read = &host->flags[host->flag_count++];
        read->name = copy_clean(name);
        read->reason = text_of(flag, "reason");
        read->enabled = json_object_get_boolean(member(flag, "enabled", json_type_boolean));
        host->flags_on += read->enabled;
    }
}

static struct hf_status_host read_host(struct json_object *object)
{
    struct hf_status_host host = {
        .scheme = text_of(object, "scheme"),
        .host = text_of(object, "host"),
        .org_id = text_of(object, "org_id"),
        .state = text_of(object, "state"),
        .last_error = text_of(object, "last_error"),
        .last_message = text_of(object, "last_message"),
        .port = number_of(object, "port"),
        .references = number_of(object, "references"),
        .age_ms = number_of(object, "age_ms"),
        .ttl_ms = number_of(object, "ttl_ms"),
        .next_refresh_ms = number_of(object, "next_refresh_ms"),
        .requests = number_of(object, "requests"),
        .not_modified = number_of(object, "not_modified"),
        .failures = number_of(object, "failures"),
        .http_status = number_of(object, "http_status"),
    };

    read_flags(object, &host);
    return host;
}

bool hf_status_host_fails(const struct hf_status_host *host)
{
    return strcmp(host->state, "unknown") == 0 && *host->last_error &&
        strcmp(host->last_error, "ok") != 0;
}

/* The worst is 0. A word that we do not know is nothing to hide. */
static int rank(const struct hf_status_host *host)
{
    static const char *const states[] = {"expired", "stale", NULL, "unknown", "fresh"};

    if (hf_status_host_fails(host))
        return 2;
    for (int i = 0; i < 5; i++)
        if (states[i] && strcmp(states[i], host->state) == 0)
            return i;
    return 0;
}

static int compare(const void *one, const void *other)
{
    const struct hf_status_host *a = one, *b = other;
    int order = rank(a) - rank(b);

    if (order == 0)
        order = strcmp(a->host, b->host);
    if (order == 0)
        order = (a->port > b->port) - (a->port < b->port);
    return order ? order : strcmp(a->org_id, b->org_id);
}

static void read_hosts(struct hf_status_view *view, struct json_object *hosts)
{
    size_t count = hosts ? json_object_array_length(hosts) : 0;

    view->has_hosts = hosts != NULL;
    view->hosts = hf_memory_new((count + 1) * sizeof(*view->hosts));
    for (size_t i = 0; i < count; i++)
        view->hosts[view->host_count++] = read_host(json_object_array_get_idx(hosts, i));
    qsort(view->hosts, view->host_count, sizeof(*view->hosts), compare);
}

static struct hf_status_sharing sharing_of(struct json_object *object)
{
    struct json_object *sharing = member(object, "sharing", json_type_object);

    return (struct hf_status_sharing){
        .processes = number_of(sharing, "processes"),
        .refresher = number_of(sharing, "refresher"),
        .refresher_pid = number_of(sharing, "refresher_pid"),
        .take_overs = number_of(sharing, "take_overs"),
        .returned_references = number_of(sharing, "returned_references"),
    };
}

struct hf_status_view *hf_status_view_read(const char *text)
{
    struct json_object *object = json_tokener_parse(text), *enabled;
    struct hf_status_view *view = NULL;

    if (json_object_is_type(object, json_type_object)) {
        view = hf_memory_new(sizeof(*view));
        enabled = member(object, "enabled", json_type_boolean);
        view->disabled = enabled && !json_object_get_boolean(enabled);
        view->version = text_of(object, "version");
        view->connections = number_of(object, "connections");
        view->max_connections = number_of(object, "max_connections");
        view->max_hosts = number_of(object, "max_hosts");
        view->rejected = number_of(object, "rejected");
        view->evictions = number_of(object, "evictions");
        view->not_modified = number_of(object, "not_modified");
        view->rejected_for = counts_of(object, "rejected_for");
        view->requests_by_outcome = counts_of(object, "requests_by_outcome");
        view->sharing = sharing_of(object);
        read_hosts(view, member(object, "hosts", json_type_array));
    }
    json_object_put(object);
    return view;
}

static void free_counts(struct hf_status_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++)
        free(counts->items[i].name);
    free(counts->items);
}

void hf_status_view_free(struct hf_status_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < view->host_count; i++) {
        struct hf_status_host *host = &view->hosts[i];

        free(host->scheme);
        free(host->host);
        free(host->org_id);
        free(host->state);
        free(host->last_error);
        free(host->last_message);
        for (int64_t j = 0; j < host->flag_count; j++) {
            free(host->flags[j].name);
            free(host->flags[j].reason);
        }
        free(host->flags);
    }
    free(view->hosts);
    free(view->version);
    free_counts(&view->rejected_for);
    free_counts(&view->requests_by_outcome);
    free(view);
}

/* Without overflow, whatever the other side sends. */
static int64_t add(int64_t sum, int64_t value)
{
    return value <= 0 || sum > INT64_MAX - value ? sum : sum + value;
}

int64_t hf_status_view_requests(const struct hf_status_view *view)
{
    int64_t sum = 0;

    for (size_t i = 0; i < view->requests_by_outcome.count; i++)
        sum = add(sum, view->requests_by_outcome.items[i].value);
    if (view->requests_by_outcome.count > 0)
        return sum;
    for (size_t i = 0; i < view->host_count; i++)
        sum = add(sum, view->hosts[i].requests);
    return view->has_hosts ? sum : HF_ABSENT;
}

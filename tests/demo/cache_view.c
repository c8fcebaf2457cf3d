/* SPDX-License-Identifier: PostgreSQL */
#include "tests/demo/cache_view.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* All that the socket sends until it closes, NUL-terminated, for the caller to free. */
static char *read_all(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = 0, room = 1 << 16;
    ssize_t got = -1;
    char *text;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return NULL;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    text = malloc(room);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        send(fd, "json\n", 5, MSG_NOSIGNAL) == 5) {
        while (text != NULL && (got = read(fd, text + length, room - length - 1)) > 0) {
            length += (size_t)got;
            if (length == room - 1)
                text = realloc(text, room *= 2);
        }
    }
    close(fd);
    if (text == NULL || got != 0) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

static int64_t int_of(struct json_object *object, const char *name)
{
    return json_object_get_int64(json_object_object_get(object, name));
}

static void text_of(struct json_object *object, const char *name, char *text, size_t size)
{
    const char *value = json_object_get_string(json_object_object_get(object, name));

    snprintf(text, size, "%s", value == NULL ? "" : value);
}

static void fill_row(struct json_object *host, struct cache_row *row)
{
    text_of(host, "host", row->host, sizeof(row->host));
    text_of(host, "state", row->state, sizeof(row->state));
    text_of(host, "last_error", row->last_error, sizeof(row->last_error));
    row->references = int_of(host, "references");
    row->age_ms = int_of(host, "age_ms");
    row->requests = int_of(host, "requests");
    row->failures = int_of(host, "failures");
    json_object_object_foreach(json_object_object_get(host, "flags"), name, flag)
    {
        (void)name;
        row->enabled = json_object_get_boolean(json_object_object_get(flag, "enabled"));
        text_of(flag, "reason", row->reason, sizeof(row->reason));
        break;
    }
}

static int by_host(const void *one, const void *other)
{
    const struct cache_row *a = one, *b = other;

    return (int)(ntohl(inet_addr(a->host)) - ntohl(inet_addr(b->host)));
}

bool cache_view_read(const char *path, struct cache_view *view)
{
    char *text = read_all(path);
    struct json_object *status = text == NULL ? NULL : json_tokener_parse(text);
    struct json_object *hosts = json_object_object_get(status, "hosts");
    struct json_object *sharing = json_object_object_get(status, "sharing");

    memset(view, 0, sizeof(*view));
    if (json_object_is_type(hosts, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(hosts) && i < CACHE_MAX_ROWS; i++) {
            struct cache_row *row = &view->rows[view->count++];
            fill_row(json_object_array_get_idx(hosts, i), row);
            view->references += row->references;
        }
    }
    view->processes = int_of(sharing, "processes");
    view->refresher = int_of(sharing, "refresher");
    view->refresher_pid = int_of(sharing, "refresher_pid");
    view->take_overs = int_of(sharing, "take_overs");
    view->returned = int_of(sharing, "returned_references");
    qsort(view->rows, (size_t)view->count, sizeof(view->rows[0]), by_host);
    free(text);
    bool understood = hosts != NULL;
    json_object_put(status);
    return understood;
}

int cache_view_count_state(const struct cache_view *view, const char *state)
{
    int count = 0;

    for (int i = 0; i < view->count; i++)
        count += strcmp(view->rows[i].state, state) == 0;
    return count;
}

const struct cache_row *cache_view_find(const struct cache_view *view, const char *host)
{
    for (int i = 0; i < view->count; i++) {
        if (strcmp(view->rows[i].host, host) == 0)
            return &view->rows[i];
    }
    return NULL;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/flag_log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/support/wait_until.h"

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");

    if (!copy)
        abort();
    return copy;
}

static void *grow(void *array, size_t count, size_t size)
{
    void *grown = realloc(array, count * size);

    if (!grown)
        abort();
    return grown;
}

void hf_flag_log_add(struct hf_flag_log *log, struct hf_flag_request *request)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 64;
        log->requests = grow(log->requests, log->capacity, sizeof(*log->requests));
    }
    log->requests[log->count++] = request;
}

const struct hf_flag_request *hf_flag_log_get(const struct hf_flag_log *log, size_t i)
{
    return i < log->count - log->first ? log->requests[log->first + i] : NULL;
}

void hf_flag_log_fini(struct hf_flag_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        hf_flag_request_destroy(log->requests[i]);
    free(log->requests);
}

struct hf_flag_request *hf_flag_request_create(const char *path)
{
    struct hf_flag_request *request = calloc(1, sizeof(*request));

    if (!request)
        abort();
    request->path = copy_text(path);
    return request;
}

static enum MHD_Result add_header(
    void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct hf_flag_request *request = arg;
    size_t i = request->header_count++;

    (void)kind;
    request->header_names =
        grow(request->header_names, request->header_count, sizeof(*request->header_names));
    request->header_values =
        grow(request->header_values, request->header_count, sizeof(*request->header_values));
    request->header_names[i] = copy_text(name);
    request->header_values[i] = copy_text(value);
    return MHD_YES;
}

static char *client_address(struct MHD_Connection *connection)
{
    const struct sockaddr *addr =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    const void *bytes = addr->sa_family == AF_INET6
        ? (const void *)&((const struct sockaddr_in6 *)addr)->sin6_addr
        : (const void *)&((const struct sockaddr_in *)addr)->sin_addr;
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(addr->sa_family, bytes, text, sizeof(text));
    return copy_text(text);
}

void hf_flag_log_on_connection(void **context, enum MHD_ConnectionNotificationCode code)
{
    int64_t *accepted_ms = *context;

    if (code != MHD_CONNECTION_NOTIFY_STARTED) {
        free(accepted_ms);
        return;
    }
    accepted_ms = malloc(sizeof(*accepted_ms));
    if (!accepted_ms)
        abort();
    *accepted_ms = hf_wait_now_ms();
    *context = accepted_ms;
}

/* Once for each connection; then `otherwise`. */
static int64_t take_accepted_ms(struct MHD_Connection *connection, int64_t otherwise)
{
    int64_t *accepted_ms =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    int64_t began_ms = *accepted_ms ? *accepted_ms : otherwise;

    *accepted_ms = 0;
    return began_ms;
}

void hf_flag_request_fill(
    struct hf_flag_request *request, struct MHD_Connection *connection, const char *method)
{
    request->method = copy_text(method);
    request->client = client_address(connection);
    request->time_ms = hf_wait_now_ms();
    request->began_ms = take_accepted_ms(connection, request->time_ms);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, request);
}

void hf_flag_request_destroy(struct hf_flag_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        free((void *)request->header_names[i]);
        free((void *)request->header_values[i]);
    }
    free(request->header_names);
    free(request->header_values);
    free((void *)request->method);
    free((void *)request->path);
    free((void *)request->client);
    free(request);
}

const char *hf_flag_request_header(const struct hf_flag_request *request, const char *name)
{
    for (size_t i = 0; request && i < request->header_count; i++) {
        if (strcasecmp(request->header_names[i], name) == 0)
            return request->header_values[i];
    }
    return NULL;
}

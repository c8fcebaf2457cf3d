/* SPDX-License-Identifier: PostgreSQL
 *
 * The life of a request, all on the thread of its connection: on_uri (the request line is there:
 * make its record), on_request for the first time (the header is complete: pick the reply, log the
 * record, count it as in flight), on_request for the second time (answer; this may wait, without
 * the lock), on_completed (the answer is out, or the connection broke). Stopping makes stop_fd
 * readable, which ends every wait.
 */
#include "tests/support/flag_service.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

#include "tests/support/flag_document.h"
#include "tests/support/flag_log.h"
#include "tests/support/flag_reply.h"
#include "tests/support/flag_tls.h"
#include "tests/support/net.h"
#include "tests/support/wait_until.h"

#define CONNECTION_MEMORY_BYTES (256 * 1024) /* room for headers beyond 64 KiB */

struct hf_flag_service {
    struct MHD_Daemon *daemon;
    int listen_fd; /* the daemon's, once it runs */
    int stop_fd;
    uint16_t port;
    char host[HF_NET_NAME_SIZE], url[HF_NET_NAME_SIZE + 8];
    struct hf_flag_tls tls;

    pthread_mutex_t mutex; /* guards all below */
    struct hf_flag_document document;
    struct hf_flag_reply standing;
    struct hf_flag_reply *script; /* script_next to script_count - 1 are to come */
    size_t script_next, script_count;
    struct hf_flag_log log;
    size_t in_flight, max_in_flight;
    char *etag; /* NULL: none */
    bool etag_not_on_304;
    size_t not_modified;
};

/* One request under way. */
struct exchange {
    struct hf_flag_request *request; /* the log's, once started */
    struct hf_flag_reply reply;
    bool started;
};

static struct hf_flag_reply next_reply_locked(struct hf_flag_service *service)
{
    struct hf_flag_reply reply;

    if (service->script_next < service->script_count)
        reply = service->script[service->script_next++];
    else
        reply = hf_flag_reply_copy(&service->standing);
    if (!reply.body) {
        char *text = hf_flag_document_render(&service->document);

        hf_flag_reply_set_body(&reply, text, strlen(text));
        free(text);
    }
    return reply;
}

/* Makes the reply the answer to a conditional request, if it is one. */
static void apply_etag_locked(struct hf_flag_service *service,
    const struct hf_flag_request *request, struct hf_flag_reply *reply)
{
    const char *known = hf_flag_request_header(request, "If-None-Match");
    bool same = known && service->etag && strcmp(known, service->etag) == 0;

    if (!service->etag || (reply->status != 0 && reply->status != 200))
        return;
    if (same && reply->fault == HF_FAULT_NONE) {
        service->not_modified++;
        reply->status = 304;
        hf_flag_reply_set_body(reply, "", 0);
    }
    if (reply->status != 304 || !service->etag_not_on_304)
        hf_flag_reply_add_header(reply, "ETag", service->etag);
}

static void start_exchange(struct hf_flag_service *service, struct exchange *exchange,
    struct MHD_Connection *connection, const char *method)
{
    hf_flag_request_fill(exchange->request, connection, method);
    pthread_mutex_lock(&service->mutex);
    exchange->reply = next_reply_locked(service);
    apply_etag_locked(service, exchange->request, &exchange->reply);
    exchange->started = true;
    hf_flag_log_add(&service->log, exchange->request);
    if (++service->in_flight > service->max_in_flight)
        service->max_in_flight = service->in_flight;
    pthread_mutex_unlock(&service->mutex);
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    (void)arg;
    (void)connection;
    if (!exchange)
        abort();
    exchange->request = hf_flag_request_create(uri);
    return exchange;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_len, void **context)
{
    struct hf_flag_service *service = arg;
    struct exchange *exchange = *context;

    (void)url;
    (void)version;
    (void)upload;
    if (!exchange->started) {
        start_exchange(service, exchange, connection, method);
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    return hf_flag_reply_send(&exchange->reply, connection, service->stop_fd);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode how)
{
    struct hf_flag_service *service = arg;
    struct exchange *exchange = *context;

    (void)connection;
    (void)how;
    if (!exchange)
        return;
    if (exchange->started) {
        pthread_mutex_lock(&service->mutex);
        service->in_flight--;
        pthread_mutex_unlock(&service->mutex);
        hf_flag_reply_fini(&exchange->reply);
    } else {
        hf_flag_request_destroy(exchange->request);
    }
    free(exchange);
    *context = NULL;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_ConnectionNotificationCode code)
{
    struct hf_flag_service *service = arg;

    hf_flag_log_on_connection(context, code);
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        hf_flag_tls_on_connection(&service->tls, connection);
}

static bool start_daemon(struct hf_flag_service *service)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
    struct MHD_OptionItem tls[HF_FLAG_TLS_OPTIONS];

    if (service->tls.cert)
        flags |= MHD_USE_TLS;
    hf_flag_tls_options(&service->tls, tls);
    service->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, service,
        MHD_OPTION_LISTEN_SOCKET, service->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, service,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, service, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, service, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    return service->daemon != NULL;
}

static bool listen_and_name(
    struct hf_flag_service *service, const struct hf_flag_service_options *options)
{
    const char *address = options->address ? options->address : "127.0.0.1";

    service->listen_fd = hf_net_listen(address, options->port);
    service->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (service->listen_fd < 0 || service->stop_fd < 0) {
        fprintf(stderr, "flag service: cannot listen on %s: %s\n", address, strerror(errno));
        return false;
    }
    service->port = hf_net_port(service->listen_fd);
    hf_net_name(address, service->port, service->host);
    snprintf(service->url, sizeof(service->url), "%s://%s", options->cert_file ? "https" : "http",
        service->host);
    return true;
}

struct hf_flag_service *hf_flag_service_start(const struct hf_flag_service_options *options)
{
    static const struct hf_flag_service_options plain;
    struct hf_flag_service *service = calloc(1, sizeof(*service));

    if (!service)
        return NULL;
    service->listen_fd = service->stop_fd = -1;
    pthread_mutex_init(&service->mutex, NULL);
    hf_flag_document_set_ttl(&service->document, "900");
    if (!options)
        options = &plain;
    if (hf_flag_tls_load(&service->tls, options) && listen_and_name(service, options) &&
        start_daemon(service))
        return service;
    fprintf(stderr, "flag service: could not start\n");
    hf_flag_service_stop(service);
    return NULL;
}

void hf_flag_service_stop(struct hf_flag_service *service)
{
    if (!service)
        return;
    if (service->daemon) {
        eventfd_write(service->stop_fd, 1);
        MHD_stop_daemon(service->daemon);
    } else if (service->listen_fd >= 0) {
        close(service->listen_fd);
    }
    if (service->stop_fd >= 0)
        close(service->stop_fd);
    while (service->script_next < service->script_count)
        hf_flag_reply_fini(&service->script[service->script_next++]);
    free(service->script);
    hf_flag_reply_fini(&service->standing);
    free(service->etag);
    hf_flag_document_fini(&service->document);
    hf_flag_log_fini(&service->log);
    pthread_mutex_destroy(&service->mutex);
    hf_flag_tls_fini(&service->tls);
    free(service);
}

uint16_t hf_flag_service_port(const struct hf_flag_service *service)
{
    return service->port;
}

const char *hf_flag_service_host(const struct hf_flag_service *service)
{
    return service->host;
}

const char *hf_flag_service_url(const struct hf_flag_service *service)
{
    return service->url;
}

void hf_flag_service_set_flag_json(
    struct hf_flag_service *service, const char *name, const char *json)
{
    pthread_mutex_lock(&service->mutex);
    hf_flag_document_set(&service->document, name, json);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_flag(struct hf_flag_service *service, const char *name, bool on)
{
    hf_flag_service_set_flag_json(service, name, on ? "\"true\"" : "\"false\"");
}

void hf_flag_service_remove_flag(struct hf_flag_service *service, const char *name)
{
    pthread_mutex_lock(&service->mutex);
    hf_flag_document_remove(&service->document, name);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_ttl(struct hf_flag_service *service, const char *json)
{
    pthread_mutex_lock(&service->mutex);
    hf_flag_document_set_ttl(&service->document, json);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_reply(struct hf_flag_service *service, const struct hf_flag_reply *reply)
{
    static const struct hf_flag_reply plain;

    pthread_mutex_lock(&service->mutex);
    hf_flag_reply_fini(&service->standing);
    service->standing = hf_flag_reply_copy(reply ? reply : &plain);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_script(
    struct hf_flag_service *service, const struct hf_flag_reply *replies, size_t count)
{
    pthread_mutex_lock(&service->mutex);
    service->script =
        realloc(service->script, (service->script_count + count) * sizeof(*service->script));
    if (!service->script)
        abort();
    for (size_t i = 0; i < count; i++)
        service->script[service->script_count++] = hf_flag_reply_copy(&replies[i]);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_status(struct hf_flag_service *service, unsigned status)
{
    pthread_mutex_lock(&service->mutex);
    service->standing.status = status;
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_body(struct hf_flag_service *service, const char *text)
{
    pthread_mutex_lock(&service->mutex);
    hf_flag_reply_set_body(&service->standing, text, text ? strlen(text) : 0);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_headers(struct hf_flag_service *service, const char *headers)
{
    pthread_mutex_lock(&service->mutex);
    hf_flag_reply_set_headers(&service->standing, headers);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_delay(struct hf_flag_service *service, int64_t delay_ms)
{
    pthread_mutex_lock(&service->mutex);
    service->standing.delay_ms = delay_ms;
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_fault(struct hf_flag_service *service, enum hf_fault fault)
{
    pthread_mutex_lock(&service->mutex);
    service->standing.fault = fault;
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_redirect(struct hf_flag_service *service, const char *url)
{
    char header[1024];

    snprintf(header, sizeof(header), "Location: %s", url);
    pthread_mutex_lock(&service->mutex);
    service->standing.status = 303;
    hf_flag_reply_set_headers(&service->standing, header);
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_etag(struct hf_flag_service *service, const char *etag)
{
    char *copy = etag ? strdup(etag) : NULL;

    if (etag && !copy)
        abort();
    pthread_mutex_lock(&service->mutex);
    free(service->etag);
    service->etag = copy;
    pthread_mutex_unlock(&service->mutex);
}

void hf_flag_service_set_etag_on_304(struct hf_flag_service *service, bool on)
{
    pthread_mutex_lock(&service->mutex);
    service->etag_not_on_304 = !on;
    pthread_mutex_unlock(&service->mutex);
}

size_t hf_flag_service_not_modified(struct hf_flag_service *service)
{
    size_t count;

    pthread_mutex_lock(&service->mutex);
    count = service->not_modified;
    pthread_mutex_unlock(&service->mutex);
    return count;
}

size_t hf_flag_service_count(struct hf_flag_service *service)
{
    size_t count;

    pthread_mutex_lock(&service->mutex);
    count = service->log.count - service->log.first;
    pthread_mutex_unlock(&service->mutex);
    return count;
}

const struct hf_flag_request *hf_flag_service_request(struct hf_flag_service *service, size_t i)
{
    const struct hf_flag_request *request;

    pthread_mutex_lock(&service->mutex);
    request = hf_flag_log_get(&service->log, i);
    pthread_mutex_unlock(&service->mutex);
    return request;
}

void hf_flag_service_clear_log(struct hf_flag_service *service)
{
    pthread_mutex_lock(&service->mutex);
    service->log.first = service->log.count;
    pthread_mutex_unlock(&service->mutex);
}

bool hf_flag_service_wait_requests(
    struct hf_flag_service *service, size_t count, int64_t timeout_ms)
{
    return HF_WAIT_UNTIL(hf_flag_service_count(service) >= count, timeout_ms);
}

size_t hf_flag_service_in_flight(struct hf_flag_service *service)
{
    size_t count;

    pthread_mutex_lock(&service->mutex);
    count = service->in_flight;
    pthread_mutex_unlock(&service->mutex);
    return count;
}

size_t hf_flag_service_max_in_flight(struct hf_flag_service *service)
{
    size_t count;

    pthread_mutex_lock(&service->mutex);
    count = service->max_in_flight;
    pthread_mutex_unlock(&service->mutex);
    return count;
}

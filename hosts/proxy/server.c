/* SPDX-License-Identifier: PostgreSQL
 *
 * server.c: see server.h.
 */
#include "hosts/proxy/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts/proxy/flags.h"
#include "hosts/proxy/loop.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/pool.h"

enum { MAX_EARLY = 64 * 1024, KEEPALIVE_SECONDS = 60 };

/* The tcp handle's `data` belongs to whoever reads it. */
static struct hf_server *server_of(void *tcp)
{
    return (struct hf_server *)((char *)tcp - offsetof(struct hf_server, tcp));
}

/* One handle or request less; the last one after close frees the server. */
static void finish(struct hf_server *server)
{
    const struct hf_server_events *events = server->events;
    void *owner = server->owner;

    if (--server->pending > 0 || !server->is_closing)
        return;
    if (server->addresses)
        uv_freeaddrinfo(server->addresses);
    hf_config_release(server->config);
    free(server->early);
    free(server);
    if (events->closed)
        events->closed(owner);
}

static void on_timer_closed(uv_handle_t *timer)
{
    finish(timer->data);
}

static void on_tcp_closed(uv_handle_t *tcp)
{
    finish(server_of(tcp));
}

static void on_timeout(uv_timer_t *timer)
{
    struct hf_server *server = timer->data;
    char reason[80];

    if (server->failure == 0)
        snprintf(reason, sizeof(reason), "no answer within connect_timeout = %lldms",
            (long long)server->config->connect_timeout_ms);
    else
        snprintf(reason, sizeof(reason), "%s", uv_strerror(server->failure));
    server->events->lost(server->owner, server, reason);
}

/* Tells the owner from a callback of its own, also where hf_server_open is still running. */
static void fail(struct hf_server *server, int failure)
{
    server->failure = failure;
    uv_timer_start(&server->timeout, on_timeout, 0, 0);
}

static void opened(struct hf_server *server)
{
    uv_timer_stop(&server->timeout);
    server->is_open = true;
    server->opened_ns = uv_hrtime();
    uv_tcp_nodelay(&server->tcp, 1);
    uv_tcp_keepalive(&server->tcp, 1, KEEPALIVE_SECONDS);
    server->conn = hf_flags_connect(server->upstream);
    hf_pool_succeeded(server->pool);
    server->events->opened(server->owner, server);
}

static void attempt(struct hf_server *server, const struct sockaddr *address);

static void attempt_next(struct hf_server *server)
{
    const struct addrinfo *address = server->next_address;

    server->next_address = address->ai_next;
    attempt(server, address->ai_addr);
}

static void on_attempt_closed(uv_handle_t *tcp)
{
    struct hf_server *server = server_of(tcp);

    if (server->is_closing) {
        finish(server);
    } else {
        server->pending--;
        attempt_next(server);
    }
}

/* A name may have several addresses: the next one needs a fresh handle. */
static void attempt_failed(struct hf_server *server, int failure)
{
    if (!server->next_address) {
        fail(server, failure);
        return;
    }
    server->has_tcp = false;
    uv_close((uv_handle_t *)&server->tcp, on_attempt_closed);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct hf_server *server = request->data;

    if (server->is_closing)
        return;
    if (status == 0)
        opened(server);
    else
        attempt_failed(server, status);
}

static void attempt(struct hf_server *server, const struct sockaddr *address)
{
    int status = uv_tcp_init(&server->pool->loop->uv, &server->tcp);

    if (status < 0) {
        fail(server, status);
        return;
    }
    server->pending++;
    server->has_tcp = true;
    server->connecting.data = server;
    status = uv_tcp_connect(&server->connecting, &server->tcp, address, on_connected);
    if (status < 0)
        attempt_failed(server, status);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct hf_server *server = request->data;

    server->addresses = server->next_address = addresses;
    if (server->is_closing) {
        finish(server);
        return;
    }
    server->pending--;
    if (status < 0)
        fail(server, status);
    else
        attempt_next(server);
}

static void resolve(struct hf_server *server)
{
    const struct hf_address *to = &server->upstream->connect;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    int status;

    snprintf(port, sizeof(port), "%u", to->port);
    server->resolving.data = server;
    status = uv_getaddrinfo(
        &server->pool->loop->uv, &server->resolving, on_resolved, to->host, port, &hints);
    if (status < 0)
        fail(server, status);
    else
        server->pending++;
}

struct hf_server *hf_server_open(struct hf_pool *pool, struct hf_config *config,
    const struct hf_config_upstream *upstream, const struct hf_server_events *events, void *owner)
{
    struct hf_server *server = hf_memory_new(sizeof(*server));

    server->pool = pool;
    server->config = hf_config_acquire(config);
    server->upstream = upstream;
    server->start_ns = uv_hrtime();
    hf_server_set_owner(server, events, owner);
    hf_pool_joined(pool);

    uv_timer_init(&pool->loop->uv, &server->timeout);
    server->timeout.data = server;
    server->pending = 1;
    uv_timer_start(&server->timeout, on_timeout, (uint64_t)config->connect_timeout_ms, 0);
    if (upstream->connect.literal)
        attempt(server, (const struct sockaddr *)&upstream->connect.socket);
    else
        resolve(server);
    return server;
}

void hf_server_set_owner(
    struct hf_server *server, const struct hf_server_events *events, void *owner)
{
    server->events = events;
    server->owner = owner;
}

static void on_alloc(uv_handle_t *tcp, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    *buffer = uv_buf_init(server_of(tcp)->pool->loop->buffer, HF_LOOP_BUFFER_SIZE);
}

static void keep_early(struct hf_server *server, const char *bytes, size_t length)
{
    if (!server->early)
        server->early = hf_memory_new(MAX_EARLY);
    memcpy(server->early + server->early_length, bytes, length);
    server->early_length += length;
}

static void on_idle_read(uv_stream_t *tcp, ssize_t length, const uv_buf_t *buffer)
{
    struct hf_server *server = server_of(tcp);

    if (length == UV_EOF)
        server->events->lost(server->owner, server, "the server closed it");
    else if (length < 0)
        server->events->lost(server->owner, server, uv_strerror((int)length));
    else if (server->early_length + (size_t)length > MAX_EARLY)
        server->events->lost(server->owner, server, "the server sent over 64 kB to nobody");
    else if (length > 0)
        keep_early(server, buffer->base, (size_t)length);
}

void hf_server_watch(struct hf_server *server)
{
    uv_read_start((uv_stream_t *)&server->tcp, on_alloc, on_idle_read);
}

/* The end may have arrived after the loop's last look at the socket. */
bool hf_server_take(struct hf_server *server)
{
    char byte;
    uv_os_fd_t fd;

    uv_read_stop((uv_stream_t *)&server->tcp);
    if (uv_fileno((uv_handle_t *)&server->tcp, &fd) != 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 || errno == EAGAIN;
}

void hf_server_close(struct hf_server *server)
{
    struct hf_pool *pool = server->pool;

    server->is_closing = true;
    server->pool = NULL;
    hf_flags_disconnect(server->conn);
    server->conn = HF_NO_CONN;
    if (server->has_tcp)
        uv_close((uv_handle_t *)&server->tcp, on_tcp_closed);
    uv_close((uv_handle_t *)&server->timeout, on_timer_closed);
    uv_cancel((uv_req_t *)&server->resolving);
    hf_pool_left(pool);
}

double hf_server_connect_ms(const struct hf_server *server)
{
    return (double)(server->opened_ns - server->start_ns) / 1e6;
}

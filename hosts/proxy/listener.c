/* SPDX-License-Identifier: PostgreSQL
 *
 * listener.c: see listener.h. The socket is polled and accepted from by hand: libuv's own listener
 * would bind the client to the main thread's loop.
 */
#include "hosts/proxy/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hosts/proxy/log.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/ration.h"

enum { ACCEPTS_PER_TURN = 64, PAUSE_MS = 100 };

struct hf_listener {
    uv_poll_t poll;
    uv_timer_t pause; /* after accept failed for lack of descriptors */
    int fd;
    int open_handles; /* of poll and pause */
    struct hf_ration failures; /* to accept */
    char *text; /* the address as the configuration has it */
    char *upstream; /* its name */
    size_t position;
    hf_listener_client *client;
    void *ctx;
};

static int bind_and_listen(const struct hf_config_upstream *upstream, bool shared)
{
    const struct sockaddr *address = (const struct sockaddr *)&upstream->listen.socket;
    socklen_t length =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        bind(fd, address, length) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    on = errno;
    if (fd >= 0)
        close(fd);
    errno = on;
    return -1;
}

void hf_listener_log(int level, const struct hf_config_upstream *upstream, int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof(bound);
    bool v6 = upstream->listen.socket.ss_family == AF_INET6;

    getsockname(fd, (struct sockaddr *)&bound, &length);
    hf_log(level, "listening on %s%s%s:%u for upstream `%s` at %s", v6 ? "[" : "",
        upstream->listen.host, v6 ? "]" : "",
        ntohs(v6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                 : ((struct sockaddr_in *)&bound)->sin_port),
        upstream->name, upstream->connect_text);
}

struct hf_listener *hf_listener_open(
    const struct hf_config_upstream *upstream, bool shared, char *error, size_t error_size)
{
    struct hf_listener *listener;
    int fd = bind_and_listen(upstream, shared);

    if (fd < 0) {
        snprintf(error, error_size, "cannot listen on %s for upstream `%s`: %s",
            upstream->listen_text, upstream->name, strerror(errno));
        return NULL;
    }
    listener = hf_memory_new(sizeof(*listener));
    listener->fd = fd;
    listener->text = hf_memory_copy(upstream->listen_text);
    listener->upstream = hf_memory_copy(upstream->name);
    hf_listener_log(shared ? HF_LOG_DEBUG : HF_LOG_INFO, upstream, fd);
    return listener;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *pause)
{
    struct hf_listener *listener = pause->data;

    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* The client stays in the queue: asking for it at once would be a busy loop. */
static void pause_accepting(struct hf_listener *listener, int reason)
{
    char more[HF_RATION_SIZE];

    if (hf_ration_take(&listener->failures, HF_RATION_MS, more))
        hf_log(HF_LOG_WARNING,
            "cannot accept a client of upstream `%s`: %s; trying again every %d ms%s",
            listener->upstream, strerror(reason), PAUSE_MS, more);
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

/* 1: a client, or one that has left already; 0: there are none, or it cannot be done now. */
static int accept_one(struct hf_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        listener->client(listener->ctx, listener->position, fd);
        return 1;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_accepting(listener, errno);
        return 0;
    }
    return 1;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct hf_listener *listener = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
}

int hf_listener_start(
    struct hf_listener *listener, uv_loop_t *loop, hf_listener_client *client, void *ctx)
{
    int result;

    if (listener->open_handles > 0)
        return 0;
    result = uv_poll_init(loop, &listener->poll, listener->fd);
    listener->client = client;
    listener->ctx = ctx;
    listener->poll.data = listener->pause.data = listener;
    if (result != 0)
        return result;
    uv_timer_init(loop, &listener->pause);
    listener->open_handles = 2;
    return uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

bool hf_listener_fits(const struct hf_listener *listener, const struct hf_config_upstream *upstream)
{
    return strcmp(listener->text, upstream->listen_text) == 0 &&
        (upstream->listen.port != 0 || strcmp(listener->upstream, upstream->name) == 0);
}

void hf_listener_route(
    struct hf_listener *listener, const struct hf_config_upstream *upstream, size_t position)
{
    free(listener->upstream);
    listener->upstream = hf_memory_copy(upstream->name);
    listener->position = position;
}

static void destroy(struct hf_listener *listener)
{
    close(listener->fd);
    free(listener->text);
    free(listener->upstream);
    free(listener);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct hf_listener *listener = handle->data;

    if (--listener->open_handles == 0)
        destroy(listener);
}

void hf_listener_close(struct hf_listener *listener)
{
    if (!listener)
        return;
    if (listener->open_handles == 0) {
        destroy(listener);
        return;
    }
    on_readable(&listener->poll, 0, UV_READABLE);
    uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
    uv_close((uv_handle_t *)&listener->pause, on_handle_closed);
}

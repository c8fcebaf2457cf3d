/* SPDX-License-Identifier: PostgreSQL
 *
 * One thread waits with epoll for all listeners and connections. The mutex guards the list of each
 * listener's connections and their descriptors; the thread holds it while it handles an event, so
 * that others can close connections. A connection closed by somebody else stays in memory until the
 * thread has handled the events it already has (the list `graveyard`). Counts are atomic.
 */
#include "tests/support/echo_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/net.h"

#define BUFFER_BYTES 16384
#define EVENTS 128

struct listener;

/* What epoll points to: a listener (is_listener) or a connection. */
struct source {
    bool is_listener;
    int fd;
};

struct connection {
    struct source source; /* first; fd -1: closed */
    struct listener *listener;
    struct connection *next, **link; /* in the listener's list, or in the graveyard */
    char *pending; /* what the socket did not take, BUFFER_BYTES; NULL: never needed */
    size_t pending_start, pending_end;
};

struct listener {
    struct source source; /* first */
    char *address;
    struct connection *connections;
    atomic_size_t open, accepted;
    atomic_uint_fast64_t bytes;
};

struct hf_echo {
    struct listener *listeners;
    size_t count;
    uint16_t port;
    int epoll_fd, stop_fd;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    struct connection *graveyard;
};

static void watch(struct hf_echo *echo, struct source *source, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(echo->epoll_fd, operation, source->fd, &event) != 0)
        abort();
}

static void close_locked(struct hf_echo *echo, struct connection *connection)
{
    close(connection->source.fd);
    connection->source.fd = -1;
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->next = echo->graveyard;
    echo->graveyard = connection;
    atomic_fetch_sub(&connection->listener->open, 1);
}

static void bury_locked(struct hf_echo *echo)
{
    while (echo->graveyard) {
        struct connection *connection = echo->graveyard;

        echo->graveyard = connection->next;
        free(connection->pending);
        free(connection);
    }
}

static void accept_locked(struct hf_echo *echo, struct listener *listener)
{
    int fd;

    while ((fd = accept4(listener->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct connection *connection = calloc(1, sizeof(*connection));

        if (!connection)
            abort();
        connection->source.fd = fd;
        connection->listener = listener;
        connection->link = &listener->connections;
        connection->next = listener->connections;
        if (connection->next)
            connection->next->link = &connection->next;
        listener->connections = connection;
        atomic_fetch_add(&listener->accepted, 1);
        atomic_fetch_add(&listener->open, 1);
        watch(echo, &connection->source, EPOLLIN, EPOLL_CTL_ADD);
    }
}

/* How much of the bytes the socket took; -1: the connection is broken. */
static ssize_t send_some(struct connection *connection, const char *bytes, size_t len)
{
    ssize_t sent = send(connection->source.fd, bytes, len, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    atomic_fetch_add(&connection->listener->bytes, (uint64_t)sent);
    return sent;
}

/* Reads only while nothing is pending, so one buffer is enough. false: the connection has ended. */
static bool echo_input(struct hf_echo *echo, struct connection *connection)
{
    char buffer[BUFFER_BYTES];
    ssize_t got = recv(connection->source.fd, buffer, sizeof(buffer), 0);
    ssize_t sent;

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    sent = send_some(connection, buffer, (size_t)got);
    if (sent < 0)
        return false;
    if (sent == got)
        return true;
    if (!connection->pending && !(connection->pending = malloc(BUFFER_BYTES)))
        abort();
    connection->pending_start = 0;
    connection->pending_end = (size_t)(got - sent);
    memcpy(connection->pending, buffer + sent, connection->pending_end);
    watch(echo, &connection->source, EPOLLOUT, EPOLL_CTL_MOD);
    return true;
}

static bool echo_pending(struct hf_echo *echo, struct connection *connection)
{
    ssize_t sent = send_some(connection, connection->pending + connection->pending_start,
        connection->pending_end - connection->pending_start);

    if (sent < 0)
        return false;
    connection->pending_start += (size_t)sent;
    if (connection->pending_start == connection->pending_end)
        watch(echo, &connection->source, EPOLLIN, EPOLL_CTL_MOD);
    return true;
}

static void handle_locked(struct hf_echo *echo, struct source *source, uint32_t events)
{
    struct connection *connection = (struct connection *)source;
    bool good;

    if (source->is_listener) {
        accept_locked(echo, (struct listener *)source);
        return;
    }
    if (source->fd < 0)
        return;
    if (events & EPOLLOUT)
        good = echo_pending(echo, connection);
    else
        good = echo_input(echo, connection);
    if (!good)
        close_locked(echo, connection);
}

static void *run(void *arg)
{
    struct hf_echo *echo = arg;
    struct epoll_event events[EVENTS];
    bool stopping = false;

    while (!stopping) {
        int count = epoll_wait(echo->epoll_fd, events, EVENTS, -1);

        pthread_mutex_lock(&echo->mutex);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                handle_locked(echo, events[i].data.ptr, events[i].events);
            else
                stopping = true;
        }
        bury_locked(echo);
        pthread_mutex_unlock(&echo->mutex);
    }
    return NULL;
}

static bool listen_all(struct hf_echo *echo, const char *const *addresses, size_t count)
{
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = NULL};

    if (epoll_ctl(echo->epoll_fd, EPOLL_CTL_ADD, echo->stop_fd, &stop) != 0)
        return false;
    for (size_t i = 0; i < count; i++, echo->count++) {
        struct listener *listener = &echo->listeners[i];

        listener->source.is_listener = true;
        listener->source.fd = hf_net_listen(addresses[i], echo->port);
        if (listener->source.fd < 0) {
            fprintf(stderr, "echo server: cannot listen on %s port %u: %s\n", addresses[i],
                echo->port, strerror(errno));
            return false;
        }
        listener->address = strdup(addresses[i]);
        watch(echo, &listener->source, EPOLLIN, EPOLL_CTL_ADD);
    }
    return true;
}

struct hf_echo *hf_echo_start(const char *const *addresses, size_t count, uint16_t port)
{
    struct hf_echo *echo = calloc(1, sizeof(*echo));

    if (!echo)
        return NULL;
    hf_net_raise_descriptor_limit();
    pthread_mutex_init(&echo->mutex, NULL);
    echo->listeners = calloc(count, sizeof(*echo->listeners));
    echo->port = port ? port : hf_net_free_port(addresses, count);
    echo->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    echo->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (echo->listeners && echo->port && listen_all(echo, addresses, count))
        echo->running = pthread_create(&echo->thread, NULL, run, echo) == 0;
    if (echo->running)
        return echo;
    fprintf(stderr, "echo server: could not start\n");
    hf_echo_stop(echo);
    return NULL;
}

void hf_echo_stop(struct hf_echo *echo)
{
    if (!echo)
        return;
    if (echo->running) {
        eventfd_write(echo->stop_fd, 1);
        pthread_join(echo->thread, NULL);
    }
    hf_echo_close_connections(echo, NULL);
    bury_locked(echo);
    for (size_t i = 0; i < echo->count; i++) {
        close(echo->listeners[i].source.fd);
        free(echo->listeners[i].address);
    }
    close(echo->epoll_fd);
    close(echo->stop_fd);
    pthread_mutex_destroy(&echo->mutex);
    free(echo->listeners);
    free(echo);
}

uint16_t hf_echo_port(const struct hf_echo *echo)
{
    return echo->port;
}

static bool fits(const struct listener *listener, const char *address)
{
    return !address || strcmp(listener->address, address) == 0;
}

size_t hf_echo_open(struct hf_echo *echo, const char *address)
{
    size_t sum = 0;

    for (size_t i = 0; i < echo->count; i++)
        sum += fits(&echo->listeners[i], address) ? atomic_load(&echo->listeners[i].open) : 0;
    return sum;
}

size_t hf_echo_accepted(struct hf_echo *echo, const char *address)
{
    size_t sum = 0;

    for (size_t i = 0; i < echo->count; i++)
        sum += fits(&echo->listeners[i], address) ? atomic_load(&echo->listeners[i].accepted) : 0;
    return sum;
}

uint64_t hf_echo_bytes(struct hf_echo *echo, const char *address)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < echo->count; i++)
        sum += fits(&echo->listeners[i], address) ? atomic_load(&echo->listeners[i].bytes) : 0;
    return sum;
}

size_t hf_echo_close_connections(struct hf_echo *echo, const char *address)
{
    size_t closed = 0;

    pthread_mutex_lock(&echo->mutex);
    for (size_t i = 0; i < echo->count; i++) {
        struct listener *listener = &echo->listeners[i];

        while (fits(listener, address) && listener->connections) {
            hf_net_reset(listener->connections->source.fd);
            close_locked(echo, listener->connections);
            closed++;
        }
    }
    pthread_mutex_unlock(&echo->mutex);
    return closed;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * One thread waits with epoll for all connections. The mutex guards everything; the thread holds it
 * while it handles a batch of events. Connections stay where they are in one array, so an event for
 * one that was closed in between finds fd -1 and is dropped.
 *
 * No payload is kept: byte number i of a round is computed, for sending and for comparing.
 */
#include "tests/support/load_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/net.h"
#include "tests/support/wait_until.h"

#define CHUNK_BYTES 4096
#define EVENTS 128

enum state { CONNECTING, OPEN, GONE };

struct connection {
    enum state state;
    int fd; /* -1: closed */
    uint32_t seed;
    size_t sent, received; /* of this round */
};

struct hf_load {
    struct hf_load_target *targets; /* with copies of the addresses */
    size_t target_count, connection_count, payload_bytes;
    int epoll_fd, stop_fd;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* guards all below */
    struct connection *connections;
    size_t connecting;
    struct hf_load_counts counts; /* done is counted on demand */
};

static unsigned char payload_byte(const struct connection *connection, size_t i)
{
    uint32_t mixed = (connection->seed + (uint32_t)i) * 2654435761u;

    return (unsigned char)(mixed >> 24);
}

static void watch(struct hf_load *load, struct connection *connection, int operation)
{
    bool writes = connection->state == CONNECTING || connection->sent < load->payload_bytes;
    struct epoll_event event = {
        .events = EPOLLIN | (writes ? EPOLLOUT : 0u), .data.ptr = connection};

    if (epoll_ctl(load->epoll_fd, operation, connection->fd, &event) != 0)
        abort();
}

static void close_locked(struct hf_load *load, struct connection *connection, size_t *counter)
{
    if (connection->state == CONNECTING)
        load->connecting--;
    if (connection->state == OPEN)
        load->counts.open--;
    (*counter)++;
    close(connection->fd);
    connection->fd = -1;
    connection->state = GONE;
}

/* false: the connection is gone. */
static bool send_locked(struct hf_load *load, struct connection *connection)
{
    unsigned char chunk[CHUNK_BYTES];
    ssize_t sent = 1;

    while (sent > 0 && connection->sent < load->payload_bytes) {
        size_t left = load->payload_bytes - connection->sent;
        size_t len = left < CHUNK_BYTES ? left : CHUNK_BYTES;

        for (size_t i = 0; i < len; i++)
            chunk[i] = payload_byte(connection, connection->sent + i);
        sent = send(connection->fd, chunk, len, MSG_NOSIGNAL);
        if (sent > 0)
            connection->sent += (size_t)sent;
    }
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        close_locked(load, connection, &load->counts.lost);
        return false;
    }
    watch(load, connection, EPOLL_CTL_MOD);
    return true;
}

static void receive_locked(struct hf_load *load, struct connection *connection)
{
    unsigned char chunk[CHUNK_BYTES];
    ssize_t got;

    while ((got = recv(connection->fd, chunk, sizeof(chunk), 0)) > 0) {
        for (ssize_t i = 0; i < got; i++, connection->received++) {
            if (connection->received >= connection->sent ||
                chunk[i] != payload_byte(connection, connection->received)) {
                close_locked(load, connection, &load->counts.wrong);
                return;
            }
        }
        load->counts.verified_bytes += (uint64_t)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_locked(load, connection, &load->counts.lost);
}

static bool established_locked(struct hf_load *load, struct connection *connection)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        close_locked(load, connection, &load->counts.failed);
        return false;
    }
    connection->state = OPEN;
    load->connecting--;
    load->counts.open++;
    load->counts.connected++;
    return true;
}

static void handle_locked(struct hf_load *load, struct connection *connection, uint32_t events)
{
    if (connection->state == CONNECTING && !established_locked(load, connection))
        return;
    if (connection->state == GONE)
        return;
    if ((events & EPOLLOUT) && !send_locked(load, connection))
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive_locked(load, connection);
}

static void *run(void *arg)
{
    struct hf_load *load = arg;
    struct epoll_event events[EVENTS];
    bool stopping = false;

    while (!stopping) {
        int count = epoll_wait(load->epoll_fd, events, EVENTS, -1);

        pthread_mutex_lock(&load->mutex);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                handle_locked(load, events[i].data.ptr, events[i].events);
            else
                stopping = true;
        }
        pthread_mutex_unlock(&load->mutex);
    }
    return NULL;
}

static void open_connection(struct hf_load *load, size_t i)
{
    struct connection *connection = &load->connections[i];
    const struct hf_load_target *target = &load->targets[i % load->target_count];

    connection->seed = (uint32_t)i * 40503u + 1;
    connection->fd = hf_net_connect(target->address, target->port);
    if (connection->fd < 0) {
        connection->state = GONE;
        load->counts.failed++;
        return;
    }
    load->connecting++;
    watch(load, connection, EPOLL_CTL_ADD);
}

static bool copy_options(struct hf_load *load, const struct hf_load_options *options)
{
    load->targets = calloc(options->target_count, sizeof(*load->targets));
    load->connections = calloc(options->connections + 1, sizeof(*load->connections));
    if (!load->targets || !load->connections)
        return false;
    load->target_count = options->target_count;
    load->connection_count = options->connections;
    load->payload_bytes = options->payload_bytes;
    for (size_t i = 0; i < options->target_count; i++) {
        load->targets[i].port = options->targets[i].port;
        load->targets[i].address = strdup(options->targets[i].address);
    }
    return true;
}

struct hf_load *hf_load_start(const struct hf_load_options *options)
{
    struct hf_load *load = calloc(1, sizeof(*load));
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = NULL};

    if (!load)
        return NULL;
    hf_net_raise_descriptor_limit();
    pthread_mutex_init(&load->mutex, NULL);
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (copy_options(load, options) &&
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, load->stop_fd, &stop) == 0) {
        for (size_t i = 0; i < load->connection_count; i++)
            open_connection(load, i);
        load->running = pthread_create(&load->thread, NULL, run, load) == 0;
    }
    if (load->running)
        return load;
    fprintf(stderr, "load client: could not start: %s\n", strerror(errno));
    hf_load_stop(load);
    return NULL;
}

void hf_load_stop(struct hf_load *load)
{
    if (!load)
        return;
    if (load->running) {
        eventfd_write(load->stop_fd, 1);
        pthread_join(load->thread, NULL);
    }
    for (size_t i = 0; i < load->connection_count; i++) {
        if (load->connections[i].fd >= 0)
            close(load->connections[i].fd);
    }
    for (size_t i = 0; i < load->target_count; i++)
        free((void *)load->targets[i].address);
    close(load->epoll_fd);
    close(load->stop_fd);
    pthread_mutex_destroy(&load->mutex);
    free(load->connections);
    free(load->targets);
    free(load);
}

static bool is_done(const struct hf_load *load, const struct connection *connection)
{
    return connection->state == OPEN && connection->received == load->payload_bytes;
}

void hf_load_get_counts(struct hf_load *load, struct hf_load_counts *counts)
{
    pthread_mutex_lock(&load->mutex);
    *counts = load->counts;
    for (size_t i = 0; i < load->connection_count; i++)
        counts->done += is_done(load, &load->connections[i]);
    pthread_mutex_unlock(&load->mutex);
}

static bool round_complete(struct hf_load *load)
{
    struct hf_load_counts counts;
    size_t connecting;

    pthread_mutex_lock(&load->mutex);
    connecting = load->connecting;
    pthread_mutex_unlock(&load->mutex);
    hf_load_get_counts(load, &counts);
    return connecting == 0 && counts.done == counts.open;
}

bool hf_load_wait_round(struct hf_load *load, int64_t timeout_ms)
{
    return HF_WAIT_UNTIL(round_complete(load), timeout_ms);
}

size_t hf_load_send_round(struct hf_load *load)
{
    size_t started = 0;

    pthread_mutex_lock(&load->mutex);
    for (size_t i = 0; i < load->connection_count; i++) {
        struct connection *connection = &load->connections[i];

        if (!is_done(load, connection))
            continue;
        connection->sent = connection->received = 0;
        connection->seed += 7919;
        watch(load, connection, EPOLL_CTL_MOD);
        started++;
    }
    pthread_mutex_unlock(&load->mutex);
    return started;
}

size_t hf_load_close_first(struct hf_load *load, size_t count)
{
    size_t closed = 0;

    pthread_mutex_lock(&load->mutex);
    for (size_t i = 0; i < load->connection_count && closed < count; i++) {
        if (load->connections[i].state != OPEN)
            continue;
        close_locked(load, &load->connections[i], &load->counts.closed);
        closed++;
    }
    pthread_mutex_unlock(&load->mutex);
    return closed;
}

size_t hf_load_close_target(struct hf_load *load, size_t target)
{
    size_t closed = 0;

    pthread_mutex_lock(&load->mutex);
    for (size_t i = target; i < load->connection_count; i += load->target_count) {
        if (load->connections[i].state != OPEN)
            continue;
        close_locked(load, &load->connections[i], &load->counts.closed);
        closed++;
    }
    pthread_mutex_unlock(&load->mutex);
    return closed;
}

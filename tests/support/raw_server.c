/* SPDX-License-Identifier: PostgreSQL
 *
 * One thread accepts, one per connection serves. The accepting thread alone writes the table of
 * connections and count; a connection's own thread publishes its request by has_request. Stopping
 * makes stop_fd readable, which ends every wait.
 */
#include "tests/support/raw_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/net.h"
#include "tests/support/wait_until.h"

#define MAX_CONNECTIONS 1024
#define MAX_REQUEST_BYTES 8192
#define SEND_BOUND_MS 60000

struct connection {
    struct hf_raw_server *server;
    const struct hf_raw_reply *reply;
    pthread_t thread;
    int fd;
    atomic_bool has_request;
    char request[MAX_REQUEST_BYTES + 1];
};

struct hf_raw_server {
    const struct hf_raw_reply *replies;
    size_t reply_count;
    int listen_fd, stop_fd;
    uint16_t port;
    char host[HF_NET_NAME_SIZE];
    pthread_t thread;
    struct connection *connections[MAX_CONNECTIONS];
    atomic_size_t count, open;
};

/* Reads up to the first empty line; gives up when the client leaves or the server stops. */
static void read_request(struct connection *connection)
{
    size_t len = 0;
    ssize_t got;

    while (len < MAX_REQUEST_BYTES && !strstr(connection->request, "\r\n\r\n")) {
        if (hf_net_wait(connection->fd, POLLIN, connection->server->stop_fd, -1) < 0)
            return;
        got = recv(connection->fd, connection->request + len, MAX_REQUEST_BYTES - len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (got > 0)
            len += (size_t)got;
        connection->request[len] = '\0';
    }
    atomic_store(&connection->has_request, true);
}

/* Sends len bytes; false: the client is gone, or the server stops. */
static bool send_bytes(struct connection *connection, const char *bytes, size_t len)
{
    int stop_fd = connection->server->stop_fd;

    while (len > 0) {
        ssize_t sent = send(connection->fd, bytes, len, MSG_NOSIGNAL);

        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (hf_net_wait(connection->fd, POLLOUT, stop_fd, SEND_BOUND_MS) != 1) {
            return false;
        }
    }
    return true;
}

static void send_reply(struct connection *connection)
{
    const struct hf_raw_reply *reply = connection->reply;
    const char *bytes = reply->bytes;

    if (reply->interval_ms == 0) {
        send_bytes(connection, bytes, reply->len);
        return;
    }
    for (size_t i = 0; i < reply->len; i++) {
        if (hf_net_wait(
                connection->fd, POLLRDHUP, connection->server->stop_fd, reply->interval_ms) != 0 ||
            !send_bytes(connection, bytes + i, 1))
            return;
    }
}

static void *serve(void *arg)
{
    struct connection *connection = arg;
    const struct hf_raw_reply *reply = connection->reply;

    if (!reply->at_once)
        read_request(connection);
    if (reply->bytes)
        send_reply(connection);
    if (reply->end == HF_RAW_HOLD)
        hf_net_wait(connection->fd, POLLRDHUP, connection->server->stop_fd, -1);
    if (reply->end == HF_RAW_RESET)
        hf_net_reset(connection->fd);
    close(connection->fd);
    atomic_fetch_sub(&connection->server->open, 1);
    return NULL;
}

static void add_connection(struct hf_raw_server *server, int fd)
{
    size_t i = atomic_load(&server->count);
    struct connection *connection = i < MAX_CONNECTIONS ? calloc(1, sizeof(*connection)) : NULL;

    if (!connection) {
        close(fd);
        return;
    }
    connection->server = server;
    connection->reply = &server->replies[i < server->reply_count ? i : server->reply_count - 1];
    connection->fd = fd;
    server->connections[i] = connection;
    atomic_fetch_add(&server->open, 1);
    atomic_store(&server->count, i + 1); /* before a client can see any of its effects */
    if (pthread_create(&connection->thread, NULL, serve, connection) != 0)
        abort();
}

static void *accept_all(void *arg)
{
    struct hf_raw_server *server = arg;

    while (hf_net_wait(server->listen_fd, POLLIN, server->stop_fd, -1) >= 0) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
            add_connection(server, fd);
    }
    return NULL;
}

struct hf_raw_server *hf_raw_server_start(
    const char *address, uint16_t port, const struct hf_raw_reply *replies, size_t count)
{
    struct hf_raw_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    if (!address)
        address = "127.0.0.1";
    server->replies = replies;
    server->reply_count = count;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    server->listen_fd = hf_net_listen(address, port);
    if (server->listen_fd >= 0 && server->stop_fd >= 0) {
        server->port = hf_net_port(server->listen_fd);
        hf_net_name(address, server->port, server->host);
        if (pthread_create(&server->thread, NULL, accept_all, server) == 0)
            return server;
    }
    fprintf(stderr, "raw server: cannot listen on %s: %s\n", address, strerror(errno));
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    free(server);
    return NULL;
}

void hf_raw_server_stop(struct hf_raw_server *server)
{
    if (!server)
        return;
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < atomic_load(&server->count); i++) {
        pthread_join(server->connections[i]->thread, NULL);
        free(server->connections[i]);
    }
    close(server->listen_fd);
    close(server->stop_fd);
    free(server);
}

uint16_t hf_raw_server_port(const struct hf_raw_server *server)
{
    return server->port;
}

const char *hf_raw_server_host(const struct hf_raw_server *server)
{
    return server->host;
}

size_t hf_raw_server_count(struct hf_raw_server *server)
{
    return atomic_load(&server->count);
}

size_t hf_raw_server_open(struct hf_raw_server *server)
{
    return atomic_load(&server->open);
}

bool hf_raw_server_wait(struct hf_raw_server *server, size_t count, int64_t timeout_ms)
{
    return HF_WAIT_UNTIL(hf_raw_server_count(server) >= count, timeout_ms);
}

const char *hf_raw_server_request(struct hf_raw_server *server, size_t i)
{
    if (i >= atomic_load(&server->count) || !atomic_load(&server->connections[i]->has_request))
        return "";
    return server->connections[i]->request;
}

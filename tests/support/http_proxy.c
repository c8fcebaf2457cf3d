/* SPDX-License-Identifier: PostgreSQL
 *
 * One thread accepts; one per connection reads a header, answers it, and moves bytes until one side
 * ends. Stopping makes stop_fd readable, which ends every wait.
 */
#include "tests/support/http_proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/net.h"

enum { MAX_CONNECTIONS = 64, HEADER_SIZE = 8192 };

struct connection {
    struct hf_http_proxy *proxy;
    pthread_t thread;
    int client, target; /* -1: none */
    atomic_bool has_header;
    char header[HEADER_SIZE];
};

struct hf_http_proxy {
    const struct hf_http_proxy_options *options;
    int listen_fd, stop_fd;
    pthread_t thread;
    struct connection *connections[MAX_CONNECTIONS];
    atomic_size_t count;
};

/* Bytes read; 0 or less: the other side has ended, or the proxy stops. */
static ssize_t read_some(struct connection *connection, int fd, char *buffer, size_t size)
{
    ssize_t got;

    do {
        if (hf_net_wait(fd, POLLIN, connection->proxy->stop_fd, -1) < 0)
            return -1;
        got = recv(fd, buffer, size, 0);
    } while (got < 0 && (errno == EAGAIN || errno == EINTR));
    return got;
}

static bool send_all(struct connection *connection, int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if ((errno != EAGAIN && errno != EINTR) ||
            hf_net_wait(fd, POLLOUT, connection->proxy->stop_fd, -1) < 0) {
            return false;
        }
    }
    return true;
}

static bool read_header(struct connection *connection)
{
    size_t length = 0;
    ssize_t got = 1;

    while (got > 0 && length < HEADER_SIZE - 1 && !strstr(connection->header, "\r\n\r\n")) {
        got = read_some(
            connection, connection->client, connection->header + length, HEADER_SIZE - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    atomic_store(&connection->has_header, true);
    return strstr(connection->header, "\r\n\r\n") != NULL;
}

static bool is_authorized(struct connection *connection)
{
    const char *wanted = connection->proxy->options->credentials;
    char line[512];

    if (!wanted)
        return true;
    snprintf(line, sizeof(line), "\r\nProxy-Authorization: %s\r\n", wanted);
    return strcasestr(connection->header, line) != NULL;
}

static void refuse(struct connection *connection, const char *status)
{
    char answer[256];
    int length = snprintf(answer, sizeof(answer),
        "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n"
        "Proxy-Authenticate: Basic realm=\"test\"\r\n\r\n",
        status);

    send_all(connection, connection->client, answer, (size_t)length);
}

/* Moves what one side has sent to the other; false: it has ended. */
static bool move(struct connection *connection, int from, int to)
{
    char buffer[16384];
    ssize_t got = recv(from, buffer, sizeof(buffer), 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    return got > 0 && send_all(connection, to, buffer, (size_t)got);
}

static void move_both_ways(struct connection *connection)
{
    struct pollfd fds[] = {{.fd = connection->client, .events = POLLIN},
        {.fd = connection->target, .events = POLLIN},
        {.fd = connection->proxy->stop_fd, .events = POLLIN}};
    bool open = true;

    while (open && poll(fds, 3, -1) > 0 && !fds[2].revents) {
        if (fds[0].revents)
            open = move(connection, connection->client, connection->target);
        if (open && fds[1].revents)
            open = move(connection, connection->target, connection->client);
    }
}

/* The target gets a plain request with its absolute URL, which every server must take (RFC 9112,
 * 3.2.2). */
static bool begin(struct connection *connection)
{
    const char *more = connection->proxy->options->connect_headers;
    char answer[1024];

    if (strncmp(connection->header, "CONNECT ", 8) != 0)
        return send_all(
            connection, connection->target, connection->header, strlen(connection->header));
    snprintf(
        answer, sizeof(answer), "HTTP/1.1 200 Connection established\r\n%s\r\n", more ? more : "");
    return send_all(connection, connection->client, answer, strlen(answer));
}

static void *serve(void *arg)
{
    struct connection *connection = arg;
    const struct hf_http_proxy_options *options = connection->proxy->options;

    if (read_header(connection)) {
        if (!is_authorized(connection)) {
            refuse(connection, "407 Proxy Authentication Required");
        } else if (options->target_port == 0) {
            refuse(connection, "502 Bad Gateway");
        } else {
            connection->target = hf_net_connect("127.0.0.1", options->target_port);
            if (connection->target >= 0 &&
                hf_net_wait(connection->target, POLLOUT, connection->proxy->stop_fd, -1) > 0 &&
                begin(connection))
                move_both_ways(connection);
        }
    }
    if (connection->target >= 0)
        close(connection->target);
    close(connection->client);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct hf_http_proxy *proxy = arg;

    while (hf_net_wait(proxy->listen_fd, POLLIN, proxy->stop_fd, -1) >= 0) {
        size_t count = atomic_load(&proxy->count);
        int fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct connection *connection;

        if (fd < 0)
            continue;
        connection = count < MAX_CONNECTIONS ? calloc(1, sizeof(*connection)) : NULL;
        if (!connection)
            abort();
        connection->proxy = proxy;
        connection->client = fd;
        connection->target = -1;
        proxy->connections[count] = connection;
        atomic_store(&proxy->count, count + 1);
        if (pthread_create(&connection->thread, NULL, serve, connection) != 0)
            abort();
    }
    return NULL;
}

struct hf_http_proxy *hf_http_proxy_start(const struct hf_http_proxy_options *options)
{
    struct hf_http_proxy *proxy = calloc(1, sizeof(*proxy));

    if (!proxy)
        return NULL;
    proxy->options = options;
    proxy->stop_fd = eventfd(0, EFD_CLOEXEC);
    proxy->listen_fd = hf_net_listen("127.0.0.1", 0);
    if (proxy->stop_fd >= 0 && proxy->listen_fd >= 0 &&
        pthread_create(&proxy->thread, NULL, accept_all, proxy) == 0)
        return proxy;
    fprintf(stderr, "http proxy: cannot start: %s\n", strerror(errno));
    free(proxy);
    return NULL;
}

void hf_http_proxy_stop(struct hf_http_proxy *proxy)
{
    if (!proxy)
        return;
    eventfd_write(proxy->stop_fd, 1);
    pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < atomic_load(&proxy->count); i++) {
        pthread_join(proxy->connections[i]->thread, NULL);
        free(proxy->connections[i]);
    }
    close(proxy->listen_fd);
    close(proxy->stop_fd);
    free(proxy);
}

uint16_t hf_http_proxy_port(const struct hf_http_proxy *proxy)
{
    return hf_net_port(proxy->listen_fd);
}

size_t hf_http_proxy_count(struct hf_http_proxy *proxy)
{
    return atomic_load(&proxy->count);
}

const char *hf_http_proxy_request(struct hf_http_proxy *proxy, size_t i)
{
    if (i >= atomic_load(&proxy->count) || !atomic_load(&proxy->connections[i]->has_header))
        return "";
    return proxy->connections[i]->header;
}

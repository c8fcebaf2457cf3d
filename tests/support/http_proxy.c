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
    size_t length; /* of the header and of what came with it */
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
    while (connection->length < HEADER_SIZE - 1 && !strstr(connection->header, "\r\n\r\n")) {
        ssize_t got = read_some(connection, connection->client,
            connection->header + connection->length, HEADER_SIZE - 1 - connection->length);

        if (got <= 0)
            return false;
        connection->length += (size_t)got;
    }
    if (!strstr(connection->header, "\r\n\r\n"))
        return false;
    atomic_store(&connection->has_header, true);
    return true;
}

/* The value of a header of the request, up to the end of its line; NULL: not there. */
static const char *header_value(const char *header, const char *name)
{
    size_t length = strlen(name);

    for (const char *end = strstr(header, "\r\n"); end; end = strstr(end + 2, "\r\n")) {
        if (strncasecmp(end + 2, name, length) == 0 && end[2 + length] == ':')
            return end + 2 + length + 1 + strspn(end + 2 + length + 1, " ");
    }
    return NULL;
}

static bool is_authorized(struct connection *connection)
{
    const char *wanted = connection->proxy->options->credentials;
    const char *value = header_value(connection->header, "Proxy-Authorization");

    return !wanted ||
        (value && strcspn(value, "\r") == strlen(wanted) &&
            strncmp(value, wanted, strlen(wanted)) == 0);
}

static void refuse(struct connection *connection, const char *status, const char *header)
{
    char answer[256];
    int length = snprintf(answer, sizeof(answer),
        "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n", status, header);

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

/* Whether a line of a request is for the proxy alone (RFC 9110, 7.6.1 and 11.7.2). */
static bool is_for_proxy(const char *line)
{
    static const char *const names[] = {"Proxy-Authorization:", "Proxy-Connection:", "Connection:"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

/* Sends the target what was read from `from` on. */
static bool send_rest(struct connection *connection, const char *from)
{
    size_t length = connection->length - (size_t)(from - connection->header);

    return send_all(connection, connection->target, from, length);
}

/* Sends the target a plain request with its absolute URL, which every server must take (RFC 9112,
 * 3.2.2). The target closes after its answer, so that the next request is looked at again. */
static bool forward(struct connection *connection)
{
    static const char closing[] = "Connection: close\r\n";
    const char *line = connection->header, *end;

    while ((end = strstr(line, "\r\n")) != line) {
        if (!is_for_proxy(line) &&
            !send_all(connection, connection->target, line, (size_t)(end + 2 - line)))
            return false;
        line = end + 2;
    }
    return send_all(connection, connection->target, closing, strlen(closing)) &&
        send_rest(connection, line);
}

static bool is_connect(const char *header)
{
    return strncmp(header, "CONNECT ", 8) == 0;
}

static bool begin(struct connection *connection)
{
    const char *more = connection->proxy->options->connect_headers;
    char answer[1024];

    if (!is_connect(connection->header))
        return forward(connection);
    snprintf(
        answer, sizeof(answer), "HTTP/1.1 200 Connection established\r\n%s\r\n", more ? more : "");
    return send_all(connection, connection->client, answer, strlen(answer)) &&
        send_rest(connection, strstr(connection->header, "\r\n\r\n") + 4);
}

static bool connect_target(struct connection *connection)
{
    uint16_t port = connection->proxy->options->target_port;
    int error = 0;
    socklen_t size = sizeof(error);

    connection->target = port ? hf_net_connect("127.0.0.1", port) : -1;
    return connection->target >= 0 &&
        hf_net_wait(connection->target, POLLOUT, connection->proxy->stop_fd, -1) > 0 &&
        getsockopt(connection->target, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static void *serve(void *arg)
{
    struct connection *connection = arg;

    if (!read_header(connection))
        goto closing;
    if (!is_authorized(connection))
        refuse(connection, "407 Proxy Authentication Required",
            "Proxy-Authenticate: Basic realm=\"test\"\r\n");
    else if (!connect_target(connection))
        refuse(connection, "502 Bad Gateway", "");
    else if (begin(connection))
        move_both_ways(connection);
closing:
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
    if (proxy->listen_fd >= 0)
        close(proxy->listen_fd);
    if (proxy->stop_fd >= 0)
        close(proxy->stop_fd);
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

/* Requests of one kind whose header is complete. */
static size_t count_kind(struct hf_http_proxy *proxy, bool connects)
{
    size_t found = 0;

    for (size_t i = 0; i < hf_http_proxy_count(proxy); i++) {
        const char *header = hf_http_proxy_request(proxy, i);

        found += *header && is_connect(header) == connects;
    }
    return found;
}

size_t hf_http_proxy_connects(struct hf_http_proxy *proxy)
{
    return count_kind(proxy, true);
}

size_t hf_http_proxy_plain(struct hf_http_proxy *proxy)
{
    return count_kind(proxy, false);
}

char *hf_http_proxy_authority(struct hf_http_proxy *proxy)
{
    const char *header = "", *at;
    char *copy;

    for (size_t i = hf_http_proxy_count(proxy); i > 0 && !*header; i--)
        header = hf_http_proxy_request(proxy, i - 1);
    at = header + strcspn(header, " ");
    at += strspn(at, " ");
    if (*header && !is_connect(header) && strncmp(at, "http://", 7) == 0)
        at += 7;
    copy = strndup(at, strcspn(at, "/?# \r"));
    if (!copy)
        abort();
    return copy;
}

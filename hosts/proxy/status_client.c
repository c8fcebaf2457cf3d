/* SPDX-License-Identifier: PostgreSQL
 *
 * status_client.c: see status_client.h.
 */
#include "hosts/proxy/status_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hosts/proxy/config.h"
#include "hosts/proxy/memory.h"

enum { FIRST_SIZE = 64 * 1024 };

static void print_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "hostflags-host: %s\n", sentence);
}

/* The path in the file, or NULL. */
static char *path_of(const char *file)
{
    struct hf_config *config = hf_config_read(file, print_problem, NULL);
    char *path = NULL;

    if (config && config->status_socket)
        path = hf_memory_copy(config->status_socket);
    else if (config)
        fprintf(stderr,
            "hostflags-host: status_socket is not set in %s; add `status_socket = PATH` to its "
            "section [proxy] and restart the proxy\n",
            file);
    hf_config_release(config);
    return path;
}

char *hf_status_client_path(const char *config, const char *socket)
{
    const size_t max_length = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

    if (!config == !socket) {
        fprintf(stderr,
            "hostflags-host: expected %s --config FILE or --socket PATH (--help says more)\n",
            config ? "only one of" : "either");
        return NULL;
    }
    if (config)
        return path_of(config);
    if (*socket && strlen(socket) <= max_length)
        return hf_memory_copy(socket);
    fprintf(stderr,
        "hostflags-host: --socket `%s`: expected the path of a Unix socket, at most %zu bytes\n",
        socket, max_length);
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void explain_timeout(const char *path, int64_t timeout_ms, char *error, size_t error_size)
{
    snprintf(error, error_size,
        "%s: no answer within %g s: the proxy is stopped or very busy; look at its log and at its "
        "CPU time, and try again",
        path, (double)timeout_ms / 1000);
}

/* What an errno of connect means to an operator. */
static void explain_connect(const char *path, int number, char *error, size_t error_size)
{
    struct stat facts;

    if (number == ECONNREFUSED && stat(path, &facts) == 0 && !S_ISSOCK(facts.st_mode))
        number = ENOTSOCK;
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        snprintf(error, error_size,
            "%s: there is no such socket; start the proxy with `status_socket` set to this path, "
            "or name the path that it has",
            path);
        break;
    case ECONNREFUSED:
        snprintf(error, error_size,
            "%s: nobody answers on this socket: the proxy that made it has ended; start it", path);
        break;
    case EACCES:
    case EPERM:
        snprintf(error, error_size,
            "%s: no permission: the socket is for the proxy's user and group; call this as one of "
            "them or as root",
            path);
        break;
    case ENOTSOCK:
        snprintf(error, error_size,
            "%s: this is no socket; expected the path that the proxy has as `status_socket`", path);
        break;
    default:
        snprintf(error, error_size, "%s: cannot connect: %s; is this the proxy's `status_socket`?",
            path, strerror(number));
    }
}

/* A connection, or -1 with a sentence. A full backlog waits for its turn. */
static int connect_to(const char *path, int64_t timeout_ms, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), number;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    number = errno;
    if (fd >= 0)
        close(fd);
    if (number == EAGAIN)
        explain_timeout(path, timeout_ms, error, error_size);
    else
        explain_connect(path, number, error, error_size);
    return -1;
}

/* Reads until the other side has closed. false: the time has passed. A connection that breaks ends
 * the text as well: whoever reads the text sees whether it is whole. */
static bool read_all(int fd, int64_t end_ms, char **text, size_t *length)
{
    size_t size = FIRST_SIZE;

    *text = malloc(size);
    *length = 0;
    for (;;) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int64_t left_ms = end_ms - now_ms();
        ssize_t got;

        if (left_ms <= 0)
            return false;
        if (*text && size - *length < 2)
            *text = realloc(*text, size *= 2);
        if (!*text)
            abort();
        if (poll(&readable, 1, (int)left_ms) <= 0)
            continue;
        got = read(fd, *text + *length, size - 1 - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        *length += (size_t)got;
    }
}

char *hf_status_client_ask(
    const char *path, const char *request, int64_t timeout_ms, char *error, size_t error_size)
{
    int64_t end_ms = now_ms() + timeout_ms;
    int fd = connect_to(path, timeout_ms, error, error_size);
    size_t length;
    char line[32], *text;

    if (fd < 0)
        return NULL;
    /* A proxy that has closed already says so by the end of its answer. */
    snprintf(line, sizeof(line), "%s\n", request);
    (void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
    if (!read_all(fd, end_ms, &text, &length))
        explain_timeout(path, timeout_ms, error, error_size);
    else if (length == 0)
        snprintf(error, error_size,
            "%s: the proxy closed the connection without an answer: it serves 16 clients at a "
            "time; try again",
            path);
    else {
        close(fd);
        text[length] = '\0';
        return text;
    }
    close(fd);
    free(text);
    return NULL;
}

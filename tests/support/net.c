/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/wait_until.h"

#define BACKLOG 4096
#define PORT_TRIES 50

socklen_t hf_net_address(const char *literal, uint16_t port, struct sockaddr_storage *addr)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;

    memset(addr, 0, sizeof(*addr));
    if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof(*v6);
    }
    errno = EINVAL;
    return 0;
}

static int close_with_errno(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

int hf_net_listen(const char *literal, uint16_t port)
{
    struct sockaddr_storage addr;
    socklen_t len = hf_net_address(literal, port, &addr);
    int fd = len ? socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    const int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, BACKLOG) != 0)
        return close_with_errno(fd);
    return fd;
}

uint16_t hf_net_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

int hf_net_connect(const char *literal, uint16_t port)
{
    struct sockaddr_storage addr;
    socklen_t len = hf_net_address(literal, port, &addr);
    int fd = len ? socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    const int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&addr, len) != 0 && errno != EINPROGRESS)
        return close_with_errno(fd);
    return fd;
}

void hf_net_name(const char *literal, uint16_t port, char name[HF_NET_NAME_SIZE])
{
    snprintf(name, HF_NET_NAME_SIZE, strchr(literal, ':') ? "[%s]:%u" : "%s:%u", literal, port);
}

/* Dissolving the association sends the reset at once; SO_LINGER alone would send it at close, after
 * whatever a library sends in an orderly shutdown before. */
void hf_net_reset(int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    connect(fd, &nowhere, sizeof(nowhere));
}

int hf_net_wait(int fd, short events, int stop_fd, int64_t timeout_ms)
{
    struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    int64_t end_ms = hf_wait_now_ms() + timeout_ms;
    int64_t left_ms;
    int ready;

    do {
        left_ms = end_ms - hf_wait_now_ms();
        if (left_ms < 0)
            left_ms = 0;
        ready = poll(fds, 2, timeout_ms < 0 ? -1 : (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0 || fds[0].revents)
        return -1;
    return ready > 0;
}

static bool port_is_free(const char *const *literals, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        int fd = hf_net_listen(literals[i], port);

        if (fd < 0)
            return false;
        close(fd);
    }
    return true;
}

uint16_t hf_net_free_port(const char *const *literals, size_t count)
{
    for (int i = 0; count > 0 && i < PORT_TRIES; i++) {
        int fd = hf_net_listen(literals[0], 0);
        uint16_t port = fd < 0 ? 0 : hf_net_port(fd);

        if (fd >= 0)
            close(fd);
        if (port != 0 && port_is_free(literals, count, port))
            return port;
    }
    return 0;
}

size_t hf_net_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? (size_t)limit.rlim_cur : 0;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/status_peer.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/net.h"

struct hf_status_peer {
    struct sockaddr_un address;
    int listen_fd, stop_fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    char *answer;
    char request[256];
};

static void read_request(struct hf_status_peer *peer, int fd)
{
    char line[sizeof(peer->request)] = "";
    size_t length = 0;

    while (length < sizeof(line) - 1 && !strchr(line, '\n')) {
        ssize_t got;

        if (hf_net_wait(fd, POLLIN, peer->stop_fd, -1) < 0)
            return;
        got = read(fd, line + length, sizeof(line) - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        line[length] = '\0';
    }
    pthread_mutex_lock(&peer->mutex);
    memcpy(peer->request, line, sizeof(line));
    pthread_mutex_unlock(&peer->mutex);
}

static char *copy_answer(struct hf_status_peer *peer)
{
    char *answer;

    pthread_mutex_lock(&peer->mutex);
    answer = peer->answer ? strdup(peer->answer) : NULL;
    pthread_mutex_unlock(&peer->mutex);
    return answer;
}

static void serve(struct hf_status_peer *peer, int fd)
{
    char *answer, *rest;

    read_request(peer, fd);
    answer = rest = copy_answer(peer);
    while (rest && *rest && hf_net_wait(fd, POLLOUT, peer->stop_fd, -1) > 0) {
        ssize_t put = send(fd, rest, strlen(rest), MSG_NOSIGNAL);

        if (put <= 0)
            break;
        rest += put;
    }
    if (!answer)
        hf_net_wait(fd, POLLRDHUP, peer->stop_fd, -1);
    free(answer);
    close(fd);
}

static void *run(void *arg)
{
    struct hf_status_peer *peer = arg;

    while (hf_net_wait(peer->listen_fd, POLLIN, peer->stop_fd, -1) > 0) {
        int fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            serve(peer, fd);
    }
    return NULL;
}

struct hf_status_peer *hf_status_peer_start(const char *path, const char *answer)
{
    struct hf_status_peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->address.sun_family = AF_UNIX;
    snprintf(peer->address.sun_path, sizeof(peer->address.sun_path), "%s", path);
    pthread_mutex_init(&peer->mutex, NULL);
    peer->answer = answer ? strdup(answer) : NULL;
    peer->stop_fd = eventfd(0, EFD_CLOEXEC);
    peer->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(peer->listen_fd, (struct sockaddr *)&peer->address, sizeof(peer->address)) == 0 &&
        listen(peer->listen_fd, 16) == 0 && pthread_create(&peer->thread, NULL, run, peer) == 0)
        return peer;
    perror(path);
    close(peer->listen_fd);
    close(peer->stop_fd);
    free(peer->answer);
    free(peer);
    return NULL;
}

void hf_status_peer_set_answer(struct hf_status_peer *peer, const char *answer)
{
    pthread_mutex_lock(&peer->mutex);
    free(peer->answer);
    peer->answer = answer ? strdup(answer) : NULL;
    pthread_mutex_unlock(&peer->mutex);
}

char *hf_status_peer_request(struct hf_status_peer *peer)
{
    char *request;

    pthread_mutex_lock(&peer->mutex);
    request = strdup(peer->request);
    pthread_mutex_unlock(&peer->mutex);
    return request;
}

void hf_status_peer_stop(struct hf_status_peer *peer)
{
    if (!peer)
        return;
    if (eventfd_write(peer->stop_fd, 1) != 0)
        abort();
    pthread_join(peer->thread, NULL);
    close(peer->listen_fd);
    close(peer->stop_fd);
    unlink(peer->address.sun_path);
    pthread_mutex_destroy(&peer->mutex);
    free(peer->answer);
    free(peer);
}

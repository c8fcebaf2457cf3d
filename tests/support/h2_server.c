/* SPDX-License-Identifier: PostgreSQL
 *
 * Frames of RFC 9113, 4.1: length (24 bits), type, flags, stream (32 bits), payload.
 */
#include "tests/support/h2_server.h"

#include <errno.h>
#include <gnutls/gnutls.h>
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

enum { HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, FRAME = 9, PREFACE = 24 };
enum { BOUND_MS = 10000 };

struct hf_h2_server {
    int listen_fd, stop_fd;
    uint32_t error_code;
    gnutls_certificate_credentials_t credentials;
    pthread_t thread;
    atomic_size_t connections, requests;
};

/* One connection. */
struct peer {
    struct hf_h2_server *server;
    gnutls_session_t session;
    int fd;
};

/* False: the other side has ended, or the server stops. */
static bool wait_for(struct peer *peer, int result)
{
    return (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED) &&
        hf_net_wait(peer->fd, POLLIN, peer->server->stop_fd, BOUND_MS) > 0;
}

static bool shake_hands(struct peer *peer)
{
    int result;

    do
        result = gnutls_handshake(peer->session);
    while (result < 0 && wait_for(peer, result));
    return result == 0;
}

static bool read_all(struct peer *peer, unsigned char *buffer, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = gnutls_record_recv(peer->session, buffer + length, size - length);

        if (got > 0)
            length += (size_t)got;
        else if (got == 0 || !wait_for(peer, (int)got))
            return false;
    }
    return true;
}

/* Frames are short: they fit the socket's buffer. */
static void send_frame(struct peer *peer, int type, uint32_t stream, uint32_t payload, int bytes)
{
    unsigned char frame[FRAME + 4] = {0, 0, (unsigned char)bytes, (unsigned char)type, 0};

    for (int i = 0; i < 4; i++) {
        frame[5 + i] = (unsigned char)(stream >> (24 - 8 * i));
        frame[FRAME + i] = (unsigned char)(payload >> (24 - 8 * i));
    }
    gnutls_record_send(peer->session, frame, (size_t)(FRAME + bytes));
}

/* Whether there was a frame; a request is counted and refused. */
static bool serve_frame(struct peer *peer)
{
    unsigned char head[FRAME], payload[65536];
    size_t length;

    if (!read_all(peer, head, sizeof(head)))
        return false;
    length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (length > sizeof(payload) || !read_all(peer, payload, length))
        return false;
    if (head[3] == HEADERS) {
        uint32_t stream =
            (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];

        atomic_fetch_add(&peer->server->requests, 1);
        if (peer->server->error_code != HF_H2_SILENCE)
            send_frame(peer, RST_STREAM, stream, peer->server->error_code, 4);
    }
    return true;
}

static void serve(struct peer *peer)
{
    gnutls_datum_t chosen = {NULL, 0};
    unsigned char preface[PREFACE];

    if (!shake_hands(peer))
        return;
    if (gnutls_alpn_get_selected_protocol(peer->session, &chosen) != 0) {
        if (read_all(peer, preface, 1)) /* a client that has fallen back to HTTP/1.1 */
            atomic_fetch_add(&peer->server->requests, 1);
        return;
    }
    if (!read_all(peer, preface, sizeof(preface)))
        return;
    send_frame(peer, SETTINGS, 0, 0, 0);
    while (serve_frame(peer))
        ;
}

static void serve_connection(struct hf_h2_server *server, int fd)
{
    static const gnutls_datum_t protocol = {(unsigned char *)"h2", 2};
    struct peer peer = {.server = server, .fd = fd};

    if (gnutls_init(&peer.session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0)
        abort();
    gnutls_set_default_priority(peer.session);
    gnutls_credentials_set(peer.session, GNUTLS_CRD_CERTIFICATE, server->credentials);
    gnutls_alpn_set_protocols(peer.session, &protocol, 1, 0);
    gnutls_transport_set_int(peer.session, fd);
    serve(&peer);
    gnutls_deinit(peer.session);
    close(fd);
}

static void *accept_all(void *arg)
{
    struct hf_h2_server *server = arg;

    while (hf_net_wait(server->listen_fd, POLLIN, server->stop_fd, -1) >= 0) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            atomic_fetch_add(&server->connections, 1);
            serve_connection(server, fd);
        }
    }
    return NULL;
}

struct hf_h2_server *hf_h2_server_start(
    const char *cert_file, const char *key_file, uint32_t error_code)
{
    struct hf_h2_server *server = calloc(1, sizeof(*server));

    if (!server || gnutls_certificate_allocate_credentials(&server->credentials) != 0)
        abort();
    server->error_code = error_code;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    server->listen_fd = hf_net_listen("127.0.0.1", 0);
    if (server->stop_fd >= 0 && server->listen_fd >= 0 &&
        gnutls_certificate_set_x509_key_file(
            server->credentials, cert_file, key_file, GNUTLS_X509_FMT_PEM) == 0 &&
        pthread_create(&server->thread, NULL, accept_all, server) == 0)
        return server;
    fprintf(stderr, "h2 server: cannot start: %s\n", strerror(errno));
    gnutls_certificate_free_credentials(server->credentials);
    free(server);
    return NULL;
}

void hf_h2_server_stop(struct hf_h2_server *server)
{
    if (!server)
        return;
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    gnutls_certificate_free_credentials(server->credentials);
    close(server->listen_fd);
    close(server->stop_fd);
    free(server);
}

uint16_t hf_h2_server_port(const struct hf_h2_server *server)
{
    return hf_net_port(server->listen_fd);
}

size_t hf_h2_server_connections(struct hf_h2_server *server)
{
    return atomic_load(&server->connections);
}

size_t hf_h2_server_requests(struct hf_h2_server *server)
{
    return atomic_load(&server->requests);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * claims.c: see claims.h.
 */
#include "hosts/proxy/claims.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "hosts/proxy/listener.h"
#include "hosts/proxy/memory.h"

struct claim {
    int fd;
    in_port_t port; /* network byte order */
    char *text; /* the address as the configuration has it */
    char *upstream; /* the name of the one that it was claimed for */
    bool is_logged;
    struct claim *prev, *next;
};

static struct claim *claims;

/* With port 0 only its own upstream fits. */
static bool fits(const struct claim *claim, const struct hf_config_upstream *upstream)
{
    return strcmp(claim->text, upstream->listen_text) == 0 &&
        (upstream->listen.port != 0 || strcmp(claim->upstream, upstream->name) == 0);
}

static struct claim *find(const struct hf_config_upstream *upstream)
{
    struct claim *claim = claims;

    while (claim && !fits(claim, upstream))
        claim = claim->next;
    return claim;
}

static void drop(struct claim *claim)
{
    DL_DELETE(claims, claim);
    close(claim->fd);
    free(claim->text);
    free(claim->upstream);
    free(claim);
}

static bool set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) == 0;
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

/* SO_REUSEADDR lets what is left of earlier connections be, as for any server, and lets a socket
 * that does not listen be, too: so the proof is listening. It is given up again when another claim
 * could not be had any more. A free port that the kernel chose needs no proof. */
static bool claim_address(int fd, const struct sockaddr_storage *address, bool any_port)
{
    socklen_t length =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (!set(fd, SO_REUSEADDR, !any_port) || bind(fd, (const void *)address, length) != 0)
        return false;
    if (any_port)
        return set(fd, SO_REUSEPORT, 1);
    return listen(fd, 0) == 0 && set(fd, SO_REUSEADDR, 0) && set(fd, SO_REUSEPORT, 1) &&
        shutdown(fd, SHUT_RD) == 0;
}

static struct claim *claim(const struct hf_config_upstream *upstream)
{
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof(bound);
    struct claim *new;
    int fd = socket(upstream->listen.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failure;

    if (fd < 0 || !claim_address(fd, &upstream->listen.socket, upstream->listen.port == 0)) {
        failure = errno;
        if (fd >= 0)
            close(fd);
        errno = failure;
        return NULL;
    }
    getsockname(fd, (struct sockaddr *)&bound, &length);
    new = hf_memory_new(sizeof(*new));
    new->fd = fd;
    new->port = *port_of(&bound);
    new->text = hf_memory_copy(upstream->listen_text);
    new->upstream = hf_memory_copy(upstream->name);
    return new;
}

/* Drops the first claim, and all until the one that was first before. */
static void drop_until(const struct claim *first)
{
    while (claims != first)
        drop(claims);
}

int hf_claims_add(struct hf_config *config, char *error, size_t error_size)
{
    const struct claim *before = claims;

    for (size_t i = 0; i < config->upstream_count; i++) {
        struct hf_config_upstream *upstream = &config->upstreams[i];
        struct claim *held = find(upstream);

        if (!held) {
            held = claim(upstream);
            if (!held) {
                snprintf(error, error_size, "cannot listen on %s for upstream `%s`: %s",
                    upstream->listen_text, upstream->name, strerror(errno));
                drop_until(before);
                return HF_E_SYSTEM;
            }
            DL_PREPEND(claims, held);
        }
        *port_of(&upstream->listen.socket) = held->port;
    }
    return HF_OK;
}

const struct hf_config_upstream *hf_claims_find_unknown_port(const struct hf_config *config)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].listen.port == 0 && !find(&config->upstreams[i]))
            return &config->upstreams[i];
    return NULL;
}

void hf_claims_keep(const struct hf_config *config)
{
    struct claim *held, *next;

    for (held = claims; held; held = next) {
        bool stays = false;

        next = held->next;
        for (size_t i = 0; config && i < config->upstream_count; i++)
            stays = stays || fits(held, &config->upstreams[i]);
        if (!stays)
            drop(held);
    }
}

void hf_claims_log(const struct hf_config *config)
{
    for (size_t i = 0; i < config->upstream_count; i++) {
        struct claim *held = find(&config->upstreams[i]);

        if (!held->is_logged)
            hf_listener_log(HF_LOG_INFO, &config->upstreams[i], held->fd);
        held->is_logged = true;
    }
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A query is a header of 12 bytes and one question: the labels of a name, each after its length, a
 * zero, the type and the class (RFC 1035, 4.1). The answer is made in place: the same bytes with
 * other flags, and for an address one record more.
 */
#include "tests/support/dns_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/name_server.h"
#include "tests/support/net.h"

#define HEADER 12
#define AFTER_NAME 4 /* type and class */
#define TYPE_A 1
#define NAME_SIZE 64
#define ANY_QUERY 512

enum { NO_ERROR = 0, SERVER_FAILURE = 2, NAME_ERROR = 3 };

struct entry {
    char name[NAME_SIZE];
    enum hf_dns_answer answer;
    size_t asked;
};

struct hf_dns_server {
    int fd, stop_fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    struct entry entries[HF_DNS_MAX_NAMES];
    size_t count;
};

struct query {
    uint8_t bytes[ANY_QUERY];
    size_t question_end;
    char name[NAME_SIZE];
    unsigned type;
};

/* False: not a question that this server understands. */
static bool read_name(struct query *query, size_t len)
{
    size_t at = HEADER, out = 0;

    while (at < len && query->bytes[at] != 0) {
        size_t label = query->bytes[at++];
        if (label > 63 || at + label > len || out + label + 2 > NAME_SIZE)
            return false;
        memcpy(query->name + out, query->bytes + at, label);
        out += label;
        at += label;
        query->name[out++] = '.';
    }
    query->name[out > 0 ? out - 1 : 0] = '\0';
    query->question_end = at + 1 + AFTER_NAME;
    if (query->question_end > len)
        return false;
    query->type = query->bytes[at + 1] << 8 | query->bytes[at + 2];
    return true;
}

static struct entry *find_locked(struct hf_dns_server *server, const char *name)
{
    for (size_t i = 0; i < server->count; i++) {
        if (strcmp(server->entries[i].name, name) == 0)
            return &server->entries[i];
    }
    return NULL;
}

static enum hf_dns_answer look_up(struct hf_dns_server *server, const struct query *query)
{
    enum hf_dns_answer answer = HF_DNS_UNKNOWN;
    struct entry *entry;

    pthread_mutex_lock(&server->mutex);
    entry = find_locked(server, query->name);
    if (entry) {
        entry->asked += query->type == TYPE_A;
        answer = entry->answer;
    }
    pthread_mutex_unlock(&server->mutex);
    return answer;
}

static unsigned code_of(enum hf_dns_answer answer)
{
    switch (answer) {
    case HF_DNS_UNKNOWN:
        return NAME_ERROR;
    case HF_DNS_FAILURE:
        return SERVER_FAILURE;
    case HF_DNS_HERE:
    case HF_DNS_SILENCE:
        break;
    }
    return NO_ERROR;
}

/* Its length. What follows the question (EDNS) is left out. */
static size_t make_answer(struct query *query, enum hf_dns_answer answer)
{
    /* The name of the question, A, IN, no time to live, four bytes: 127.0.0.1. */
    static const uint8_t record[] = {0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1};
    bool has_address = answer == HF_DNS_HERE && query->type == TYPE_A;

    query->bytes[2] = 0x84 | (query->bytes[2] & 1); /* an answer, with authority */
    query->bytes[3] = (uint8_t)(0x80 | code_of(answer));
    memset(query->bytes + 6, 0, 6);
    query->bytes[7] = has_address;
    if (!has_address)
        return query->question_end;
    memcpy(query->bytes + query->question_end, record, sizeof(record));
    return query->question_end + sizeof(record);
}

static void answer_one(struct hf_dns_server *server)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    struct query query;
    enum hf_dns_answer answer;
    ssize_t len = recvfrom(server->fd, query.bytes, sizeof(query.bytes) / 2, MSG_DONTWAIT,
        (struct sockaddr *)&from, &from_len);

    if (len < HEADER || !read_name(&query, (size_t)len))
        return;
    answer = look_up(server, &query);
    if (answer != HF_DNS_SILENCE)
        (void)sendto(server->fd, query.bytes, make_answer(&query, answer), 0,
            (struct sockaddr *)&from, from_len);
}

static void *serve(void *arg)
{
    struct hf_dns_server *server = arg;

    while (hf_net_wait(server->fd, POLLIN, server->stop_fd, -1) >= 0)
        answer_one(server);
    return NULL;
}

static int bind_port(void)
{
    struct sockaddr_storage addr;
    socklen_t len = hf_net_address(HF_NAME_SERVER, 53, &addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) != 0) {
        error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

struct hf_dns_server *hf_dns_server_start(void)
{
    struct hf_dns_server *server;
    int fd = bind_port();

    if (fd < 0)
        return NULL;
    server = calloc(1, sizeof(*server));
    if (!server)
        abort();
    server->fd = fd;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&server->mutex, NULL);
    if (server->stop_fd < 0 || pthread_create(&server->thread, NULL, serve, server) != 0)
        abort();
    return server;
}

void hf_dns_server_stop(struct hf_dns_server *server)
{
    if (!server)
        return;
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    pthread_mutex_destroy(&server->mutex);
    close(server->fd);
    close(server->stop_fd);
    free(server);
}

void hf_dns_server_set(struct hf_dns_server *server, const char *name, enum hf_dns_answer answer)
{
    struct entry *entry;

    pthread_mutex_lock(&server->mutex);
    entry = find_locked(server, name);
    if (!entry) {
        if (server->count == HF_DNS_MAX_NAMES || strlen(name) >= NAME_SIZE)
            abort();
        entry = &server->entries[server->count++];
        snprintf(entry->name, sizeof(entry->name), "%s", name);
    }
    entry->answer = answer;
    pthread_mutex_unlock(&server->mutex);
}

size_t hf_dns_server_count(struct hf_dns_server *server, const char *name)
{
    struct entry *entry;
    size_t count;

    pthread_mutex_lock(&server->mutex);
    entry = find_locked(server, name);
    count = entry ? entry->asked : 0;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/flag_reply.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/gzip_bomb.h"
#include "tests/support/net.h"

/* A body that is produced piece by piece, on the connection's thread. */
struct piecemeal {
    uint8_t *bytes;
    size_t stop_at; /* the connection breaks there */
    int64_t interval_ms;
    int fd, stop_fd;
};

static void *copy_bytes(const void *bytes, size_t len)
{
    void *copy = malloc(len + 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, len);
    return copy;
}

void hf_flag_reply_set_headers(struct hf_flag_reply *reply, const char *headers)
{
    char *copy = headers ? copy_bytes(headers, strlen(headers) + 1) : NULL;

    free((void *)reply->headers);
    reply->headers = copy;
}

void hf_flag_reply_add_header(struct hf_flag_reply *reply, const char *name, const char *value)
{
    char *lines;

    if (asprintf(&lines, "%s: %s\n%s", name, value, reply->headers ? reply->headers : "") < 0)
        abort();
    free((void *)reply->headers);
    reply->headers = lines;
}

void hf_flag_reply_set_body(struct hf_flag_reply *reply, const void *body, size_t len)
{
    void *copy = body ? copy_bytes(body, len) : NULL;

    free((void *)reply->body);
    reply->body = copy;
    reply->body_len = body ? len : 0;
}

struct hf_flag_reply hf_flag_reply_copy(const struct hf_flag_reply *reply)
{
    struct hf_flag_reply copy = *reply;

    copy.headers = NULL;
    copy.body = NULL;
    hf_flag_reply_set_headers(&copy, reply->headers);
    hf_flag_reply_set_body(&copy, reply->body, reply->body_len);
    return copy;
}

void hf_flag_reply_fini(struct hf_flag_reply *reply)
{
    hf_flag_reply_set_headers(reply, NULL);
    hf_flag_reply_set_body(reply, NULL, 0);
}

/* libmicrohttpd asks for the next bytes of the body. */
static ssize_t read_piece(void *arg, uint64_t position, char *buffer, size_t max)
{
    struct piecemeal *piecemeal = arg;
    size_t left = piecemeal->stop_at - (size_t)position;

    if (left == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (piecemeal->interval_ms > 0) {
        if (hf_net_wait(piecemeal->fd, POLLRDHUP, piecemeal->stop_fd, piecemeal->interval_ms))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        max = 1;
    }
    if (max > left)
        max = left;
    memcpy(buffer, piecemeal->bytes + position, max);
    return (ssize_t)max;
}

static void free_piecemeal(void *arg)
{
    struct piecemeal *piecemeal = arg;

    free(piecemeal->bytes);
    free(piecemeal);
}

static struct MHD_Response *piecemeal_response(
    const struct hf_flag_reply *reply, int fd, int stop_fd)
{
    bool drip = reply->fault == HF_FAULT_DRIP;
    struct piecemeal *piecemeal = malloc(sizeof(*piecemeal));
    struct MHD_Response *response;

    if (!piecemeal)
        abort();
    piecemeal->bytes = copy_bytes(reply->body, reply->body_len);
    piecemeal->stop_at = drip ? reply->body_len : reply->body_len / 2;
    piecemeal->interval_ms = drip ? reply->interval_ms : 0;
    piecemeal->fd = fd;
    piecemeal->stop_fd = stop_fd;
    response = MHD_create_response_from_callback(
        reply->body_len, drip ? 1 : 1024, read_piece, piecemeal, free_piecemeal);
    if (!response)
        free_piecemeal(piecemeal);
    return response;
}

static struct MHD_Response *bomb_response(unsigned mib)
{
    size_t len = 0;
    uint8_t *bomb = hf_gzip_bomb_create(mib, &len);
    struct MHD_Response *response;

    if (!bomb)
        return NULL;
    response = MHD_create_response_from_buffer(len, bomb, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(bomb);
    else
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    return response;
}

static struct MHD_Response *make_response(const struct hf_flag_reply *reply, int fd, int stop_fd)
{
    switch (reply->fault) {
    case HF_FAULT_DRIP:
    case HF_FAULT_TRUNCATE:
        return piecemeal_response(reply, fd, stop_fd);
    case HF_FAULT_BOMB:
        return bomb_response(reply->bomb_mib);
    case HF_FAULT_NONE:
        return MHD_create_response_from_buffer(
            reply->body_len, (void *)reply->body, MHD_RESPMEM_MUST_COPY);
    case HF_FAULT_CLOSE:
    case HF_FAULT_RESET:
    case HF_FAULT_SILENCE:
        break;
    }
    return NULL;
}

static void add_header(struct MHD_Response *response, char *line)
{
    char *value = strchr(line, ':');

    if (value) {
        *value++ = '\0';
        value += strspn(value, " ");
    }
    if (!value || MHD_add_response_header(response, line, value) != MHD_YES)
        fprintf(stderr, "flag service: cannot send the header \"%s\"\n", line);
}

static void add_headers(struct MHD_Response *response, const char *headers, bool with_type)
{
    char *copy = strdup(headers ? headers : "");
    char *rest = copy, *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        if (*line)
            add_header(response, line);
    }
    if (with_type && !MHD_get_response_header(response, "Content-Type"))
        MHD_add_response_header(response, "Content-Type", "application/json");
    free(copy);
}

enum MHD_Result hf_flag_reply_send(
    const struct hf_flag_reply *reply, struct MHD_Connection *connection, int stop_fd)
{
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    struct MHD_Response *response;
    enum MHD_Result result;

    if (reply->delay_ms > 0 && hf_net_wait(fd, POLLRDHUP, stop_fd, reply->delay_ms) != 0)
        return MHD_NO;
    if (reply->fault == HF_FAULT_SILENCE)
        hf_net_wait(fd, POLLRDHUP, stop_fd, -1);
    if (reply->fault == HF_FAULT_RESET)
        hf_net_reset(fd);
    response = make_response(reply, fd, stop_fd);
    if (!response)
        return MHD_NO;
    add_headers(response, reply->headers, reply->status != 304);
    result = MHD_queue_response(connection, reply->status ? reply->status : 200, response);
    MHD_destroy_response(response);
    return result;
}

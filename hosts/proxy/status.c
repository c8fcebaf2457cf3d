/* SPDX-License-Identifier: PostgreSQL
 *
 * status.c: see status.h.
 */
#include "hosts/proxy/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "hosts/proxy/flags.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/ration.h"

enum { BACKLOG = 16, MAX_ANSWERS = 16, ANSWER_MS = 5000, REFUSALS_MS = 60000 };
enum { LINE_SIZE = 64, NO_OTHERS_MASK = 0117 /* leaves a mode of 0660 */ };

static const char not_understood[] =
    "unknown request; expected a line that says json or prometheus (an empty one: json)\n";

/* A client: first its request is read, then it is answered. */
struct answer {
    uv_pipe_t pipe;
    uv_write_t request;
    char line[LINE_SIZE]; /* what the client has sent so far */
    size_t line_length;
    char *text; /* NULL: not answered */
    uint64_t end_ms; /* of the loop's clock: when the time to ask and to read is over */
    struct answer *prev, *next;
};

static uv_pipe_t server;
static int bound_fd; /* of server, once it is served */
static char *bound_path; /* NULL: there is no socket */
static bool is_served;
static struct answer *answers; /* a list of those that are not complete, the oldest first */
static int open_answers; /* of these, not being closed; at most MAX_ANSWERS */
static uv_timer_t overdue; /* active while there are answers: when the oldest is to be read */
static struct hf_ration failures, refusals;

static void on_closed(uv_handle_t *pipe)
{
    struct answer *answer = pipe->data;

    DL_DELETE(answers, answer);
    free(answer->text);
    free(answer);
}

static void end(struct answer *answer)
{
    if (uv_is_closing((uv_handle_t *)&answer->pipe))
        return;
    uv_close((uv_handle_t *)&answer->pipe, on_closed);
    open_answers--;
}

static void on_written(uv_write_t *request, int status)
{
    struct answer *answer = request->data;

    (void)status; /* whoever asked has left */
    end(answer);
}

/* All have the same time, so the oldest is the first to be over. */
static void on_overdue(uv_timer_t *timer)
{
    uint64_t now_ms = uv_now(timer->loop);
    struct answer *answer = answers;

    for (; answer && answer->end_ms <= now_ms; answer = answer->next)
        end(answer);
    if (answer)
        uv_timer_start(timer, on_overdue, answer->end_ms - now_ms, 0);
}

static void fail(struct answer *answer, int status)
{
    char more[HF_RATION_SIZE];

    if (hf_ration_take(&failures, HF_RATION_MS, more))
        hf_log(
            HF_LOG_WARNING, "the status socket could not answer: %s%s", uv_strerror(status), more);
    end(answer);
}

/* Sends the status, or the sentence where format is negative. */
static int send_answer(struct answer *answer, int32_t format)
{
    uv_buf_t buffers[2];

    answer->text = format < 0 ? strdup(not_understood) : hf_flags_status(format);
    if (!answer->text)
        return UV_ENOMEM;
    buffers[0] = uv_buf_init(answer->text, (unsigned)strlen(answer->text));
    buffers[1] = uv_buf_init((char *)"\n", 1);
    return uv_write(&answer->request, (uv_stream_t *)&answer->pipe, buffers,
        format == HF_STATUS_JSON ? 2 : 1, on_written);
}

/* What the line asks for, HF_STATUS_; -1: nothing that we know. */
static int32_t format_of(const struct answer *answer)
{
    static const struct {
        const char *word;
        int32_t format;
    } formats[] = {
        {"", HF_STATUS_JSON}, {"json", HF_STATUS_JSON}, {"prometheus", HF_STATUS_PROMETHEUS}};
    size_t length = answer->line_length;

    if (length > 0 && answer->line[length - 1] == '\r')
        length--;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (length == strlen(formats[i].word) && memcmp(answer->line, formats[i].word, length) == 0)
            return formats[i].format;
    return -1;
}

/* Room for what is still missing of a line that is not too long. */
static void on_room(uv_handle_t *pipe, size_t suggested, uv_buf_t *buffer)
{
    struct answer *answer = pipe->data;

    (void)suggested;
    *buffer = uv_buf_init(
        answer->line + answer->line_length, (unsigned)(LINE_SIZE - answer->line_length));
}

/* A request is complete with its newline, with the end of input, or when it is too long for one. */
static void on_request(uv_stream_t *pipe, ssize_t got, const uv_buf_t *buffer)
{
    struct answer *answer = pipe->data;
    char *newline = got > 0 ? memchr(buffer->base, '\n', (size_t)got) : NULL;
    int status;

    if (got < 0 && got != UV_EOF) {
        end(answer);
        return;
    }
    if (newline)
        answer->line_length = (size_t)(newline - answer->line);
    else if (got > 0)
        answer->line_length += (size_t)got;
    if (!newline && got != UV_EOF && answer->line_length < LINE_SIZE)
        return;
    uv_read_stop(pipe);
    status = send_answer(answer, format_of(answer));
    if (status != 0)
        fail(answer, status);
}

static struct answer *begin(uv_loop_t *loop)
{
    struct answer *answer = hf_memory_new(sizeof(*answer));

    DL_APPEND(answers, answer);
    open_answers++;
    uv_pipe_init(loop, &answer->pipe, 0);
    answer->pipe.data = answer->request.data = answer;
    answer->end_ms = uv_now(loop) + ANSWER_MS;
    if (!uv_is_active((uv_handle_t *)&overdue))
        uv_timer_start(&overdue, on_overdue, ANSWER_MS, 0);
    return answer;
}

static void refuse(struct answer *answer)
{
    char more[HF_RATION_SIZE];

    if (hf_ration_take(&refusals, REFUSALS_MS, more))
        hf_log(HF_LOG_WARNING,
            "the status socket refuses a client: %d others have not asked or read yet%s",
            MAX_ANSWERS, more);
    end(answer);
}

static void on_connection(uv_stream_t *listening, int status)
{
    struct answer *answer = begin(listening->loop);

    if (status == 0)
        status = uv_accept(listening, (uv_stream_t *)&answer->pipe);
    if (status == 0 && open_answers > MAX_ANSWERS) {
        refuse(answer);
        return;
    }
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&answer->pipe, on_room, on_request);
    if (status != 0)
        fail(answer, status);
}

/* Whether a process answers on the socket at that path. */
static bool is_answered(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    refused = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return !refused;
}

static int make_room(const char *path, char *error, size_t error_size)
{
    struct stat facts;

    if (lstat(path, &facts) != 0)
        return HF_OK; /* if it is not that there is nothing, binding will say so */
    if (!S_ISSOCK(facts.st_mode)) {
        snprintf(error, error_size,
            "status_socket = %s exists and is no socket; expected a path that is free", path);
        return HF_E_SYSTEM;
    }
    if (is_answered(path)) {
        snprintf(error, error_size,
            "status_socket = %s is in use by a running process; expected a path that is free",
            path);
        return HF_E_SYSTEM;
    }
    unlink(path);
    return HF_OK;
}

/* The socket gets its mode as it is created: no client can be earlier than a chmod. There is no
 * other thread yet that the mask could matter to. */
static int bind_for_group(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask = umask(NO_OTHERS_MASK);
    int result;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    result = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    return result;
}

int hf_status_bind(const char *path, char *error, size_t error_size)
{
    int fd;

    if (!path)
        return HF_OK;
    if (make_room(path, error, error_size) != HF_OK)
        return HF_E_SYSTEM;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind_for_group(fd, path) == 0) {
        bound_fd = fd;
        bound_path = hf_memory_copy(path);
        if (listen(fd, BACKLOG) == 0)
            return HF_OK;
    }
    snprintf(error, error_size, "cannot listen on status_socket = %s: %s", path, strerror(errno));
    if (bound_path)
        hf_status_close();
    else if (fd >= 0)
        close(fd);
    return HF_E_SYSTEM;
}

int hf_status_serve(uv_loop_t *loop, char *error, size_t error_size)
{
    int status;

    if (!bound_path)
        return HF_OK;
    uv_pipe_init(loop, &server, 0);
    uv_timer_init(loop, &overdue);
    status = uv_pipe_open(&server, bound_fd);
    is_served = true;
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server, BACKLOG, on_connection);
    if (status == 0)
        return HF_OK;
    snprintf(
        error, error_size, "cannot serve status_socket = %s: %s", bound_path, uv_strerror(status));
    return HF_E_SYSTEM;
}

void hf_status_leave(void)
{
    struct answer *answer;

    if (!bound_path)
        return;
    free(bound_path);
    bound_path = NULL;
    if (!is_served) {
        close(bound_fd);
        return;
    }
    is_served = false;
    uv_close((uv_handle_t *)&server, NULL);
    uv_close((uv_handle_t *)&overdue, NULL);
    for (answer = answers; answer; answer = answer->next)
        end(answer);
}

void hf_status_close(void)
{
    hf_status_unlink();
    hf_status_leave();
}

void hf_status_unlink(void)
{
    if (bound_path)
        unlink(bound_path);
}

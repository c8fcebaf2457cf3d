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

struct answer {
    uv_pipe_t pipe;
    uv_write_t request;
    char *text; /* NULL: not answered */
    uint64_t end_ms; /* of the loop's clock: when the time to read it is over */
    struct answer *prev, *next;
};

static uv_pipe_t server;
static bool is_open;
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

static int send_answer(struct answer *answer)
{
    uv_buf_t buffers[2];

    answer->text = hf_flags_status();
    if (!answer->text)
        return UV_ENOMEM;
    buffers[0] = uv_buf_init(answer->text, (unsigned)strlen(answer->text));
    buffers[1] = uv_buf_init((char *)"\n", 1);
    return uv_write(&answer->request, (uv_stream_t *)&answer->pipe, buffers, 2, on_written);
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
            "the status socket refuses a client: %d others have not read their answers yet%s",
            MAX_ANSWERS, more);
    end(answer);
}

static void on_connection(uv_stream_t *listening, int status)
{
    struct answer *answer = begin(listening->loop);
    char more[HF_RATION_SIZE];

    if (status == 0)
        status = uv_accept(listening, (uv_stream_t *)&answer->pipe);
    if (status == 0 && open_answers > MAX_ANSWERS) {
        refuse(answer);
        return;
    }
    if (status == 0)
        status = send_answer(answer);
    if (status == 0)
        return;
    if (hf_ration_take(&failures, HF_RATION_MS, more))
        hf_log(
            HF_LOG_WARNING, "the status socket could not answer: %s%s", uv_strerror(status), more);
    end(answer);
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

int hf_status_open(uv_loop_t *loop, const char *path, char *error, size_t error_size)
{
    int status;

    if (make_room(path, error, error_size) != HF_OK)
        return HF_E_SYSTEM;
    uv_pipe_init(loop, &server, 0);
    uv_timer_init(loop, &overdue);
    is_open = true;
    status = uv_pipe_bind(&server, path);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server, BACKLOG, on_connection);
    if (status == 0)
        return HF_OK;
    snprintf(
        error, error_size, "cannot listen on status_socket = %s: %s", path, uv_strerror(status));
    hf_status_close();
    return HF_E_SYSTEM;
}

void hf_status_close(void)
{
    struct answer *answer;

    if (!is_open)
        return;
    is_open = false;
    uv_close((uv_handle_t *)&server, NULL);
    uv_close((uv_handle_t *)&overdue, NULL);
    for (answer = answers; answer; answer = answer->next)
        end(answer);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * telemetry.c: see telemetry.h. One mutex guards everything in `queue`; the descriptor is written
 * to without it, by the writer thread alone. Before each write the thread waits until the
 * descriptor takes at least one line without blocking (a pipe is writable when 4096 bytes are free,
 * and lines are shorter), so that it can always be stopped.
 */
#include "hosts/proxy/telemetry.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host_api.h"
#include "hosts/proxy/log.h"

enum { MAX_LINES = 4096, POLL_MS = 100, STOP_MS = 2000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    char *lines[MAX_LINES]; /* a ring */
    size_t first, count;
    uint64_t dropped; /* since the last time it was logged */
    int next_fd; /* to write to from now on; -1: none */
    bool running, stopping;
    struct timespec stop_time;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .next_fd = -1};

/* A descriptor of our own in every case, for the writer thread to close. */
int hf_telemetry_open(const char *destination, char *error, size_t error_size)
{
    int fd;

    if (strcmp(destination, "-") == 0)
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else if (strcmp(destination, "stderr") == 0)
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        fd = open(
            destination, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd < 0)
        snprintf(error, error_size,
            "cannot write telemetry to `%s`: %s; expected a file, - for stdout, or stderr",
            destination, strerror(errno));
    return fd < 0 ? HF_E_SYSTEM : fd;
}

/* Takes the first line and the descriptor to write it to; NULL: there are none, and it is time to
 * stop. */
static char *take_line(int *fd, uint64_t *dropped)
{
    char *line = NULL;

    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && !queue.stopping)
        pthread_cond_wait(&queue.changed, &queue.lock);
    if (queue.count > 0) {
        line = queue.lines[queue.first];
        queue.first = (queue.first + 1) % MAX_LINES;
        queue.count--;
    }
    if (queue.next_fd >= 0) {
        if (*fd >= 0)
            close(*fd);
        *fd = queue.next_fd;
        queue.next_fd = -1;
    }
    *dropped = queue.dropped;
    queue.dropped = 0;
    pthread_mutex_unlock(&queue.lock);
    return line;
}

/* Whether STOP_MS have passed since stop was called. */
static bool out_of_time(void)
{
    struct timespec now;
    int64_t since_ms;
    bool stopping;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&queue.lock);
    stopping = queue.stopping;
    since_ms = (now.tv_sec - queue.stop_time.tv_sec) * 1000 +
        (now.tv_nsec - queue.stop_time.tv_nsec) / 1000000;
    pthread_mutex_unlock(&queue.lock);
    return stopping && since_ms > STOP_MS;
}

static bool wait_writable(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    while (poll(&writable, 1, POLL_MS) <= 0)
        if (out_of_time())
            return false;
    return true;
}

static void write_line(int fd, const char *line)
{
    static time_t last_failure; /* of the writer thread alone */
    size_t length = strlen(line), done = 0;

    while (done < length && wait_writable(fd)) {
        ssize_t wrote = write(fd, line + done, length - done);

        if (wrote >= 0) {
            done += (size_t)wrote;
        } else if (errno != EINTR && errno != EAGAIN) {
            if (time(NULL) - last_failure >= 60) {
                last_failure = time(NULL);
                hf_log(HF_LOG_WARNING,
                    "cannot write telemetry: %s; lines are lost, and this is logged once a minute",
                    strerror(errno));
            }
            return;
        }
    }
}

static void *run(void *arg)
{
    uint64_t dropped;
    char *line;
    int fd = -1;

    (void)arg;
    while ((line = take_line(&fd, &dropped))) {
        if (dropped > 0)
            hf_log(HF_LOG_WARNING,
                "%llu telemetry lines were dropped: %d were waiting for a reader that is too slow",
                (unsigned long long)dropped, MAX_LINES);
        if (!out_of_time())
            write_line(fd, line);
        free(line);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(void)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&queue.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int hf_telemetry_start(int fd, char *error, size_t error_size)
{
    int result;

    hf_telemetry_use(fd);
    result = start_thread();
    if (result != 0) {
        snprintf(error, error_size, "cannot start the telemetry thread: %s", strerror(result));
        close(fd);
        return HF_E_SYSTEM;
    }
    queue.running = true;
    return HF_OK;
}

void hf_telemetry_use(int fd)
{
    pthread_mutex_lock(&queue.lock);
    if (queue.next_fd >= 0)
        close(queue.next_fd);
    queue.next_fd = fd;
    pthread_mutex_unlock(&queue.lock);
}

/* JSON has no byte strings: what is no UTF-8 in a name of the configuration file becomes '?'. */
static struct json_object *json_text(const char *text)
{
    char clean[300];
    size_t length = 0;

    for (; *text && length < sizeof(clean) - 1; text++)
        clean[length++] = (unsigned char)*text < 0x80 ? *text : '?';
    return json_object_new_string_len(clean, (int)length);
}

static struct json_object *json_ms(double ms)
{
    char text[40];

    snprintf(text, sizeof(text), "%.3f", ms);
    return json_object_new_double_s(ms, text);
}

static char *format_line(const struct hf_telemetry_line *line)
{
    struct json_object *object = json_object_new_object();
    char when[40], *text = NULL;
    const char *json;

    hf_log_time(when, sizeof(when), 'T', "Z");
    json_object_object_add(object, "time", json_object_new_string(when));
    json_object_object_add(object, "upstream", json_text(line->upstream));
    json_object_object_add(object, "host", json_text(line->host));
    json_object_object_add(object, "bytes_in", json_object_new_uint64(line->bytes_in));
    json_object_object_add(object, "bytes_out", json_object_new_uint64(line->bytes_out));
    json_object_object_add(object, "duration_ms", json_ms(line->duration_ms));
    json_object_object_add(object, "upstream_connect_ms", json_ms(line->upstream_connect_ms));
    json = json_object_to_json_string_ext(
        object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!json || asprintf(&text, "%s\n", json) < 0)
        text = NULL;
    json_object_put(object);
    return text;
}

void hf_telemetry_write(const struct hf_telemetry_line *line)
{
    char *text = format_line(line);

    if (!text)
        return;
    pthread_mutex_lock(&queue.lock);
    if (queue.count < MAX_LINES) {
        queue.lines[(queue.first + queue.count++) % MAX_LINES] = text;
        text = NULL;
        pthread_cond_signal(&queue.changed);
    } else {
        queue.dropped++;
    }
    pthread_mutex_unlock(&queue.lock);
    free(text);
}

void hf_telemetry_stop(void)
{
    if (!queue.running)
        return;
    pthread_mutex_lock(&queue.lock);
    queue.stopping = true;
    clock_gettime(CLOCK_MONOTONIC, &queue.stop_time);
    pthread_cond_signal(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    pthread_join(queue.thread, NULL);
    queue.running = false;
}

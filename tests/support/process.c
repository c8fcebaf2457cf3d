/* SPDX-License-Identifier: PostgreSQL
 *
 * Between fork and exec the child calls only async-signal-safe functions: the parent has threads.
 * A failure there comes back through a pipe that a successful exec closes.
 */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/wait_until.h"

#define STREAMS 2
#define LAST_OUTPUT_MS 2000 /* for the rest of the output after the end */

extern char **environ;

struct buffer {
    char *text; /* NUL-terminated; NULL: nothing yet */
    size_t len;
};

struct hf_process {
    pid_t pid;
    bool reaped;
    int wait_status;
    int fds[STREAMS]; /* the reader's; -1: none */
    pthread_t reader;
    atomic_bool reader_done;
    pthread_mutex_t mutex; /* guards buffers */
    struct buffer buffers[STREAMS];
};

static void append(struct hf_process *process, int stream, const char *bytes, size_t len)
{
    struct buffer *buffer = &process->buffers[stream];

    pthread_mutex_lock(&process->mutex);
    buffer->text = realloc(buffer->text, buffer->len + len + 1);
    if (!buffer->text)
        abort();
    memcpy(buffer->text + buffer->len, bytes, len);
    buffer->len += len;
    buffer->text[buffer->len] = '\0';
    pthread_mutex_unlock(&process->mutex);
}

static void *read_output(void *arg)
{
    struct hf_process *process = arg;
    struct pollfd fds[STREAMS];
    int open = 0;

    for (int i = 0; i < STREAMS; i++) {
        fds[i] = (struct pollfd){.fd = process->fds[i], .events = POLLIN};
        open += fds[i].fd >= 0;
    }
    while (open > 0 && (poll(fds, STREAMS, -1) >= 0 || errno == EINTR)) {
        for (int i = 0; i < STREAMS; i++) {
            char bytes[4096];
            ssize_t got;

            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            got = read(fds[i].fd, bytes, sizeof(bytes));
            if (got > 0) {
                append(process, i, bytes, (size_t)got);
            } else if (got == 0 || errno != EINTR) {
                fds[i].fd = -1;
                open--;
            }
        }
    }
    atomic_store(&process->reader_done, true);
    return NULL;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Ours with extra in front: getenv finds the first. */
static char **merge_environment(const char *const *extra)
{
    size_t ours = 0, theirs = 0, count = 0;
    char **merged;

    while (environ[ours])
        ours++;
    while (extra && extra[theirs])
        theirs++;
    merged = calloc(ours + theirs + 1, sizeof(*merged));
    for (size_t i = 0; merged && i < theirs; i++)
        merged[count++] = (char *)extra[i];
    for (size_t i = 0; merged && i < ours; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool replaced = false;

        for (size_t k = 0; k < theirs; k++)
            replaced = replaced || strncmp(environ[i], extra[k], name) == 0;
        if (!replaced)
            merged[count++] = environ[i];
    }
    return merged;
}

/* The child; never returns. out and err are -1 or the descriptors to become its output. */
static void become(const char *const *argv, char **env, int out, int err, int report, pid_t parent)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || nothing < 0 ||
        dup2(nothing, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(err, STDERR_FILENO) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        goto failed;
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    environ = env;
    execvp(argv[0], (char *const *)argv);
failed:
    if (write(report, &errno, sizeof(errno)) < 0)
        _exit(126);
    _exit(127);
}

/* Starts the child; 0, or the errno of what failed. */
static int spawn(
    struct hf_process *process, const struct hf_process_options *options, int out, int err)
{
    int report[2] = {-1, -1}, error = 0;
    pid_t parent = getpid();
    char **env = merge_environment(options->env);

    if (!env || pipe2(report, O_CLOEXEC) != 0) {
        free(env);
        return errno;
    }
    process->pid = fork();
    if (process->pid == 0)
        become(options->argv, env, out, err, report[1], parent);
    if (process->pid < 0)
        error = errno;
    close(report[1]);
    while (process->pid > 0 && read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
        continue;
    close(report[0]);
    free(env);
    if (error != 0 && process->pid > 0)
        waitpid(process->pid, NULL, 0);
    return error;
}

static void free_process(struct hf_process *process)
{
    for (int i = 0; i < STREAMS; i++) {
        close_if_open(process->fds[i]);
        free(process->buffers[i].text);
    }
    pthread_mutex_destroy(&process->mutex);
    free(process);
}

static int start_child(struct hf_process *process, const struct hf_process_options *options)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, error;

    if (pipe2(out, O_CLOEXEC) != 0 || (!options->merge && pipe2(err, O_CLOEXEC) != 0))
        error = errno;
    else
        error = spawn(process, options, out[1], options->merge ? out[1] : err[1]);
    process->fds[HF_STDOUT] = out[0];
    process->fds[HF_STDERR] = err[0];
    close_if_open(out[1]);
    close_if_open(err[1]);
    return error;
}

struct hf_process *hf_process_start(const struct hf_process_options *options)
{
    struct hf_process *process = calloc(1, sizeof(*process));
    int error;

    if (!process)
        return NULL;
    pthread_mutex_init(&process->mutex, NULL);
    error = start_child(process, options);
    if (error == 0 && pthread_create(&process->reader, NULL, read_output, process) != 0)
        abort();
    if (error == 0)
        return process;
    fprintf(stderr, "cannot start %s: %s\n", options->argv[0], strerror(error));
    free_process(process);
    return NULL;
}

static bool try_reap(struct hf_process *process)
{
    if (!process->reaped && waitpid(process->pid, &process->wait_status, WNOHANG) == process->pid)
        process->reaped = true;
    return process->reaped;
}

/* The reader ends with the last writer of the pipes; a grandchild may keep them open. */
static void await_output(struct hf_process *process)
{
    int64_t end_ms = hf_wait_now_ms() + hf_wait_slow_ms(LAST_OUTPUT_MS);

    while (!atomic_load(&process->reader_done) && hf_wait_nap(end_ms))
        continue;
}

bool hf_process_wait_exit(struct hf_process *process, int64_t timeout_ms, int *wait_status)
{
    if (!HF_WAIT_UNTIL(try_reap(process), timeout_ms))
        return false;
    await_output(process);
    if (wait_status)
        *wait_status = process->wait_status;
    return true;
}

void hf_process_destroy(struct hf_process *process)
{
    if (!process)
        return;
    if (!try_reap(process)) {
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, &process->wait_status, 0) < 0 && errno == EINTR)
            continue;
    }
    await_output(process);
    if (!atomic_load(&process->reader_done))
        pthread_cancel(process->reader); /* it waits in poll or read */
    pthread_join(process->reader, NULL);
    free_process(process);
}

pid_t hf_process_pid(const struct hf_process *process)
{
    return process->pid;
}

int hf_process_signal(struct hf_process *process, int signal)
{
    return try_reap(process) ? -1 : kill(process->pid, signal);
}

char *hf_process_output(struct hf_process *process, enum hf_stream stream)
{
    char *copy;

    pthread_mutex_lock(&process->mutex);
    copy = strdup(process->buffers[stream].text ? process->buffers[stream].text : "");
    pthread_mutex_unlock(&process->mutex);
    if (!copy)
        abort();
    return copy;
}

size_t hf_process_count(struct hf_process *process, enum hf_stream stream, const char *text)
{
    char *output = hf_process_output(process, stream);
    size_t count = 0;

    for (const char *found = output; (found = strstr(found, text)); found += strlen(text))
        count++;
    free(output);
    return count;
}

static bool has_output(struct hf_process *process, const char *text)
{
    return hf_process_count(process, HF_STDOUT, text) > 0 ||
        hf_process_count(process, HF_STDERR, text) > 0;
}

static void print_output(struct hf_process *process, const char *text)
{
    char *out = hf_process_output(process, HF_STDOUT);
    char *err = hf_process_output(process, HF_STDERR);

    fprintf(stderr, "process %d did not write \"%s\"; it wrote:\n%s%s", (int)process->pid, text,
        out, err);
    free(out);
    free(err);
}

bool hf_process_wait_output(struct hf_process *process, const char *text, int64_t timeout_ms)
{
    int64_t end_ms = hf_wait_now_ms() + hf_wait_slow_ms(timeout_ms);
    bool found, over;

    do {
        over = atomic_load(&process->reader_done);
        found = has_output(process, text);
    } while (!found && !over && hf_wait_nap(end_ms));
    if (!found)
        print_output(process, text);
    return found;
}

int hf_process_run(const char *const *argv, int64_t timeout_ms, char **output)
{
    const struct hf_process_options options = {.argv = argv, .merge = true};
    struct hf_process *process = hf_process_start(&options);
    int wait_status = 0, result = -1;

    if (output)
        *output = NULL;
    if (!process)
        return -1;
    if (hf_process_wait_exit(process, timeout_ms, &wait_status))
        result = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    if (output)
        *output = hf_process_output(process, HF_STDOUT);
    hf_process_destroy(process);
    return result;
}

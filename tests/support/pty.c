/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/support/wait_until.h"

struct hf_pty {
    int fd; /* the side of the terminal's user, non-blocking */
    pid_t pid; /* 0: reaped */
    int wait_status;
    char *output; /* NUL-terminated */
    size_t length;
    char *picture;
};

extern char **environ;

/* The child; never returns. Nothing here allocates: the parent may have threads. */
static void become(const char *const *argv, const char *const *env, pid_t parent)
{
    static char *merged[1024];
    size_t count = 0;
    sigset_t none;

    for (; env && *env && count < 1000; env++)
        merged[count++] = (char *)*env;
    for (char **ours = environ; *ours && count < 1000; ours++)
        merged[count++] = *ours;
    environ = merged;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        execvp(argv[0], (char *const *)argv);
    _exit(127);
}

struct hf_pty *hf_pty_start(
    const char *const *argv, const char *const *env, unsigned short columns, unsigned short lines)
{
    struct winsize size = {.ws_col = columns, .ws_row = lines};
    struct hf_pty *pty = calloc(1, sizeof(*pty));
    pid_t parent = getpid();

    pty->output = calloc(1, 1);
    pty->picture = calloc(1, 1);
    pty->pid = forkpty(&pty->fd, NULL, NULL, &size);
    if (pty->pid == 0)
        become(argv, env, parent);
    if (pty->pid > 0) {
        fcntl(pty->fd, F_SETFL, fcntl(pty->fd, F_GETFL) | O_NONBLOCK);
        fcntl(pty->fd, F_SETFD, FD_CLOEXEC);
        return pty;
    }
    perror("forkpty");
    free(pty->output);
    free(pty->picture);
    free(pty);
    return NULL;
}

void hf_pty_destroy(struct hf_pty *pty)
{
    if (!pty)
        return;
    if (pty->pid > 0) {
        kill(pty->pid, SIGKILL);
        while (waitpid(pty->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    close(pty->fd);
    free(pty->output);
    free(pty->picture);
    free(pty);
}

pid_t hf_pty_pid(const struct hf_pty *pty)
{
    return pty->pid;
}

const char *hf_pty_output(struct hf_pty *pty)
{
    char bytes[4096];
    ssize_t got;

    while ((got = read(pty->fd, bytes, sizeof(bytes))) > 0) {
        pty->output = realloc(pty->output, pty->length + (size_t)got + 1);
        if (!pty->output)
            abort();
        memcpy(pty->output + pty->length, bytes, (size_t)got);
        pty->length += (size_t)got;
        pty->output[pty->length] = '\0';
    }
    return pty->output;
}

const char *hf_pty_picture(struct hf_pty *pty)
{
    const char *begin = NULL, *end = NULL, *home = NULL;
    char *to;

    for (const char *at = hf_pty_output(pty); *at; at++) {
        if (strncmp(at, "\033[H", 3) == 0)
            home = at + 3;
        if (home && strncmp(at, "\033[J", 3) == 0) {
            begin = home;
            end = at;
        }
    }
    if (!begin)
        return "";
    free(pty->picture);
    to = pty->picture = calloc(1, (size_t)(end - begin) + 1);
    for (; begin < end; begin++) {
        if (strncmp(begin, "\033[K", 3) == 0)
            begin += 2;
        else if (*begin != '\r')
            *to++ = *begin;
    }
    return pty->picture;
}

void hf_pty_type(struct hf_pty *pty, const char *keys)
{
    if (write(pty->fd, keys, strlen(keys)) != (ssize_t)strlen(keys))
        perror("pty");
}

void hf_pty_resize(struct hf_pty *pty, unsigned short columns, unsigned short lines)
{
    struct winsize size = {.ws_col = columns, .ws_row = lines};

    if (ioctl(pty->fd, TIOCSWINSZ, &size) != 0)
        perror("pty");
}

bool hf_pty_is_plain(struct hf_pty *pty)
{
    struct termios now;

    return tcgetattr(pty->fd, &now) == 0 && (now.c_lflag & ICANON) && (now.c_lflag & ECHO);
}

bool hf_pty_has_stopped(struct hf_pty *pty)
{
    siginfo_t info = {0};

    hf_pty_output(pty);
    return pty->pid > 0 && waitid(P_PID, (id_t)pty->pid, &info, WSTOPPED | WNOHANG) == 0 &&
        info.si_pid == pty->pid;
}

static bool has_ended(struct hf_pty *pty)
{
    hf_pty_output(pty);
    if (pty->pid > 0 && waitpid(pty->pid, &pty->wait_status, WNOHANG) == pty->pid)
        pty->pid = 0;
    return pty->pid == 0;
}

int hf_pty_wait_exit(struct hf_pty *pty, int64_t timeout_ms)
{
    if (!HF_WAIT_UNTIL(has_ended(pty), timeout_ms))
        return -1;
    hf_pty_output(pty);
    return WIFSIGNALED(pty->wait_status) ? 128 + WTERMSIG(pty->wait_status)
                                         : WEXITSTATUS(pty->wait_status);
}

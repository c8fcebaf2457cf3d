/* SPDX-License-Identifier: PostgreSQL
 *
 * terminal.c: see terminal.h.
 */
#include "hosts/proxy/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host_api.h"

static struct {
    int signals; /* a descriptor */
    bool has_keys; /* stdin is a terminal, and not at its end */
    struct termios before; /* of stdin */
} terminal;

bool hf_terminal_is_there(void)
{
    return isatty(STDOUT_FILENO);
}

bool hf_terminal_has_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");

    return hf_terminal_is_there() && (!no_colour || !*no_colour);
}

struct hf_terminal_size hf_terminal_size(void)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    return (struct hf_terminal_size){
        .columns = known && size.ws_col > 0 ? size.ws_col : 80,
        .lines = known && size.ws_row > 0 ? size.ws_row : 24,
    };
}

/* false: the terminal is gone. */
static bool put(const char *text)
{
    size_t length = strlen(text);

    while (length > 0) {
        ssize_t put = write(STDOUT_FILENO, text, length);

        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            text += put;
            length -= (size_t)put;
        }
    }
    return true;
}

static void enter(void)
{
    struct termios keys = terminal.before;

    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    if (terminal.has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    (void)!put("\033[?25l\033[H\033[2J"); /* no cursor, home, clear; drawing notices a failure */
}

int hf_terminal_open(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGWINCH};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    terminal.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (terminal.signals < 0) {
        fprintf(stderr, "hostflags-host: no descriptor for signals: %s\n", strerror(errno));
        return HF_E_SYSTEM;
    }
    terminal.has_keys = tcgetattr(STDIN_FILENO, &terminal.before) == 0;
    enter();
    return HF_OK;
}

static void leave(void)
{
    (void)!put("\033[?25h");
    if (terminal.has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

void hf_terminal_close(void)
{
    leave();
    close(terminal.signals);
}

bool hf_terminal_draw(const char *text)
{
    char *picture = NULL;
    size_t size;
    FILE *out = open_memstream(&picture, &size);
    int lines = hf_terminal_size().lines;
    bool is_there;

    fputs("\033[H", out);
    for (; *text && lines > 1; text++) {
        fputs(*text == '\n' ? "\033[K\r\n" : (char[2]){*text, '\0'}, out);
        lines -= *text == '\n';
    }
    fputs("\033[J", out);
    fclose(out);
    is_there = put(picture);
    free(picture);
    return is_there;
}

/* What a signal means. false: to end. */
static bool take_signal(bool *early)
{
    struct signalfd_siginfo signal;

    if (read(terminal.signals, &signal, sizeof(signal)) != sizeof(signal))
        return true;
    switch (signal.ssi_signo) {
    case SIGTSTP:
        leave();
        raise(SIGSTOP);
        enter();
        *early = true;
        return true;
    case SIGWINCH:
        *early = true;
        return true;
    default:
        return false;
    }
}

/* false: the key q. */
static bool take_keys(void)
{
    char keys[64];
    ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));

    if (got <= 0)
        terminal.has_keys = false;
    return got <= 0 || (!memchr(keys, 'q', (size_t)got) && !memchr(keys, 'Q', (size_t)got));
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool hf_terminal_wait(int64_t time_ms)
{
    int64_t end_ms = now_ms() + time_ms, left_ms = time_ms;
    bool early = false;

    for (; left_ms > 0 && !early; left_ms = end_ms - now_ms()) {
        struct pollfd sources[] = {
            {.fd = terminal.signals, .events = POLLIN},
            {.fd = terminal.has_keys ? STDIN_FILENO : -1, .events = POLLIN},
        };

        if (poll(sources, 2, (int)left_ms) <= 0)
            continue;
        if (sources[0].revents && !take_signal(&early))
            return false;
        if (sources[1].revents && !take_keys())
            return false;
    }
    return true;
}

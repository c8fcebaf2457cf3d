/* SPDX-License-Identifier: PostgreSQL
 *
 * command_top.c: see command_top.h. A picture is a first line, and the table or the reason why
 * there is none.
 */
#include "hosts/proxy/command_top.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hosts/proxy/options.h"
#include "hosts/proxy/status_client.h"
#include "hosts/proxy/status_table.h"
#include "hosts/proxy/status_view.h"
#include "hosts/proxy/terminal.h"

enum { PERIOD_MS = 1000, TIMEOUT_MS = 2000, LINE_SIZE = 1024 };

static const char help[] =
    "Shows what `hostflags-host status` shows, drawn again each second, until q or Ctrl-C.\n"
    "\n"
    "Usage: hostflags-host top (--config FILE | --socket PATH)\n"
    "\n"
    "  -c, --config FILE   the proxy's configuration file: its status_socket is asked\n"
    "  -s, --socket PATH   the socket itself\n"
    "  -h, --help          this text\n"
    "\n"
    "Hosts that need attention come first, and in colour unless NO_COLOR is set.\n"
    "Exit status: 0; 3 when stdout is no terminal or the socket is not named.\n";

/* What the requests per second are computed from. */
struct sample {
    int64_t requests; /* HF_ABSENT: none yet */
    double time_s;
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Since the latest sample, which is replaced. A sum that has become smaller is that of another
 * proxy. */
static void rate(char *text, size_t size, struct sample *sample, const struct hf_status_view *view)
{
    struct sample now = {view ? hf_status_view_requests(view) : HF_ABSENT, now_s()};

    if (now.requests == HF_ABSENT || sample->requests == HF_ABSENT ||
        now.requests < sample->requests || now.time_s <= sample->time_s)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%.1f",
            (double)(now.requests - sample->requests) / (now.time_s - sample->time_s));
    *sample = now;
}

static void put_line(FILE *out, const char *text, int width)
{
    char line[LINE_SIZE];

    snprintf(line, sizeof(line), "%s", text);
    hf_status_view_clean(line, "");
    fprintf(out, "%.*s\n", width, line);
}

static void put_first_line(FILE *out, const char *path, const struct hf_status_view *view,
    struct sample *sample, int width)
{
    char text[LINE_SIZE], per_second[32], clock[16] = "";
    time_t now = time(NULL);
    struct tm parts;

    if (localtime_r(&now, &parts))
        strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
    rate(per_second, sizeof(per_second), sample, view);
    if (view)
        snprintf(text, sizeof(text), "%s  %s  hostflags %.32s  enabled %s  requests/s %s", clock,
            path, *view->version ? view->version : "-", view->disabled ? "off" : "on", per_second);
    else
        snprintf(text, sizeof(text), "%s  %s", clock, path);
    put_line(out, text, width);
}

/* The sentence, broken at blanks into lines of the width. */
static void put_sentence(FILE *out, const char *text, int width, int lines)
{
    for (; *text && lines > 0; lines--) {
        int length = (int)strlen(text), end;

        if (length > width) {
            for (end = width; end > 0 && text[end] != ' '; end--)
                continue;
            length = end > 0 ? end : width;
        }
        fprintf(out, "%.*s\n", length, text);
        text += length;
        text += strspn(text, " ");
    }
}

static void put_absence(FILE *out, char *error, struct hf_terminal_size size)
{
    hf_status_view_clean(error, "");
    put_sentence(out, error, size.columns, size.lines - 3);
    if (size.lines > 4)
        put_line(out, "Asking again each second; q ends.", size.columns);
}

static void put_table(FILE *out, const struct hf_status_view *view, struct hf_terminal_size size)
{
    const struct hf_table_style style = {
        .width = size.columns,
        .lines = size.lines > 3 ? size.lines - 2 : 1, /* ours, and the one of the cursor */
        .colour = hf_terminal_has_colour(),
    };
    char *table = hf_status_table(view, &style);

    fputs(table, out);
    free(table);
}

/* Asks and draws. false: the terminal is gone. */
static bool draw(const char *path, struct sample *sample)
{
    char error[HF_STATUS_ERROR_SIZE], *picture = NULL;
    char *answer = hf_status_client_ask(path, "json", TIMEOUT_MS, error, sizeof(error));
    struct hf_status_view *view = answer ? hf_status_view_read(answer) : NULL;
    struct hf_terminal_size size = hf_terminal_size();
    size_t length;
    FILE *out = open_memstream(&picture, &length);
    bool is_there;

    if (answer && !view)
        snprintf(error, sizeof(error),
            "%s: the answer is no JSON object; is this the proxy's `status_socket`?", path);
    put_first_line(out, path, view, sample, size.columns);
    if (view)
        put_table(out, view, size);
    else
        put_absence(out, error, size);
    fclose(out);
    is_there = hf_terminal_draw(picture);
    free(picture);
    free(answer);
    hf_status_view_free(view);
    return is_there;
}

static int run(const char *path)
{
    struct sample sample = {.requests = HF_ABSENT};

    if (hf_terminal_open() != HF_OK)
        return HF_STATUS_FAILED;
    while (draw(path, &sample) && hf_terminal_wait(PERIOD_MS))
        continue;
    hf_terminal_close();
    return 0;
}

int hf_top_command(char **argv)
{
    const char *config = NULL, *socket = NULL;
    bool show_help = false;
    const struct hf_option options[] = {
        {"--config", "-c", .value = &config, .what = "configuration file"},
        {"--socket", "-s", .value = &socket, .what = "socket"},
        {"--help", "-h", .flag = &show_help},
        {.name = NULL},
    };
    char *path;
    int status;

    if (hf_options_read(options, argv) != HF_OK)
        return HF_STATUS_FAILED;
    if (show_help)
        return fputs(help, stdout) < 0 ? HF_STATUS_FAILED : 0;
    if (!hf_terminal_is_there()) {
        fputs("hostflags-host: top needs a terminal on stdout; `hostflags-host status` writes the "
              "same table anywhere\n",
            stderr);
        return HF_STATUS_FAILED;
    }
    path = hf_status_client_path(config, socket);
    if (!path)
        return HF_STATUS_FAILED;
    status = run(path);
    free(path);
    return status;
}

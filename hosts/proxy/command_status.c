/* SPDX-License-Identifier: PostgreSQL
 *
 * command_status.c: see command_status.h.
 */
#include "hosts/proxy/command_status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosts/proxy/options.h"
#include "hosts/proxy/status_client.h"
#include "hosts/proxy/status_table.h"
#include "hosts/proxy/status_view.h"
#include "hosts/proxy/terminal.h"

enum { TIMEOUT_MS = 5000 };

static const char help[] =
    "Shows what the plugin of a running proxy knows about its hosts, the worst first.\n"
    "\n"
    "Usage: hostflags-host status (--config FILE | --socket PATH) [--json | --prometheus]\n"
    "\n"
    "  -c, --config FILE   the proxy's configuration file: its status_socket is asked\n"
    "  -s, --socket PATH   the socket itself\n"
    "      --json          the answer as JSON instead of a table\n"
    "      --prometheus    the answer in the form that Prometheus scrapes\n"
    "  -h, --help          this text\n"
    "\n"
    "  REFS        connections that hold the host\n"
    "  STATE       fresh; stale: past its TTL, the last values stay; expired: past max_stale,\n"
    "              defaults; unknown: never had an answer, defaults\n"
    "  AGE, TTL    of the values; NEXT: time to the next request, or due\n"
    "  REQ         requests; 304: answered \"not modified\"; FAIL: failed\n"
    "  ON          flags that are on, of all\n"
    "  LAST ERROR  of the latest request, with its HTTP status; below it what went wrong\n"
    "\n"
    "Exit status: 0; 3 when there is nothing to show, with the reason on stderr.\n";

struct request {
    const char *config, *socket;
    bool json, prometheus, help;
};

/* Exit status 0, or 3 when stdout does not take the text. */
static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    if (errno != EPIPE) /* whoever has read enough needs no message */
        fprintf(stderr, "hostflags-host: cannot write to stdout: %s\n", strerror(errno));
    return HF_STATUS_FAILED;
}

/* As it came; but a terminal is sent nothing that it could take for a command. */
static int print_answer(char *answer)
{
    size_t length = strlen(answer);
    int status;

    if (hf_terminal_is_there())
        hf_status_view_clean(answer, "\n\t");
    status = print(answer);
    return status == 0 && (length == 0 || answer[length - 1] != '\n') ? print("\n") : status;
}

static int print_table(const char *path, const char *answer)
{
    struct hf_status_view *view = hf_status_view_read(answer);
    struct hf_table_style style = {
        .width = hf_terminal_is_there() ? hf_terminal_size().columns : 0,
        .colour = hf_terminal_has_colour(),
    };
    char *table;
    int status;

    if (!view) {
        fprintf(stderr,
            "hostflags-host: %s: the answer is no JSON object; is this the proxy's "
            "`status_socket`? Look at it with --json\n",
            path);
        return HF_STATUS_FAILED;
    }
    table = hf_status_table(view, &style);
    status = print(table);
    free(table);
    hf_status_view_free(view);
    return status;
}

static int show(const struct request *request, const char *path)
{
    char error[HF_STATUS_ERROR_SIZE];
    char *answer = hf_status_client_ask(
        path, request->prometheus ? "prometheus" : "json", TIMEOUT_MS, error, sizeof(error));
    int status;

    if (!answer) {
        fprintf(stderr, "hostflags-host: %s\n", error);
        return HF_STATUS_FAILED;
    }
    if (request->json || request->prometheus)
        status = print_answer(answer);
    else
        status = print_table(path, answer);
    free(answer);
    return status;
}

int hf_status_command(char **argv)
{
    struct request request = {0};
    const struct hf_option options[] = {
        {"--config", "-c", .value = &request.config, .what = "configuration file"},
        {"--socket", "-s", .value = &request.socket, .what = "socket"},
        {.name = "--json", .flag = &request.json},
        {.name = "--prometheus", .flag = &request.prometheus},
        {"--help", "-h", .flag = &request.help},
        {.name = NULL},
    };
    char *path;
    int status;

    if (hf_options_read(options, argv) != HF_OK)
        return HF_STATUS_FAILED;
    if (request.help)
        return print(help);
    if (request.json && request.prometheus) {
        fputs("hostflags-host: expected only one of --json and --prometheus\n", stderr);
        return HF_STATUS_FAILED;
    }
    path = hf_status_client_path(request.config, request.socket);
    if (!path)
        return HF_STATUS_FAILED;
    status = show(&request, path);
    free(path);
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * hostflags-host: a small TCP pooling proxy that loads the hostflags plugin.
 *
 * This is a reference, not a rival of PgBouncer. It exists so that authors of real proxies can see,
 * and copy, where a pooler calls the plugin, and so that the project's tests and demo push real
 * bytes. It knows no database protocol: it moves bytes, and so it never gives an upstream
 * connection to a second client. What it keeps in its pool are connections that nobody has used
 * yet.
 *
 * To copy from it, read in this order:
 *
 *     flags.c      every call into the plugin, with ../loader.[ch]
 *     server.c     where a connection takes its reference and gives it back
 *     session.c    where the flag is read, at the end of a client's session
 *     proxy.c      init, reload and fini in the life of the program
 *     loop.h       which thread owns what
 *     master.h     several processes, with workers.[ch] and claims.[ch]
 *     pool.c relay.c listener.c telemetry.c status.c ration.c    the rest of the proxy
 *     config.c config_keys.c ini.c value.c nearest.c    its configuration file
 *
 * Beside the proxy the program has commands for its operator. status and top talk to a running
 * proxy; check is a proxy of one connection itself:
 *
 *     command_status.c command_top.c command_check.c    one file for each
 *     advice.c    what to do about a failed request; for check
 *     status_client.c    asks the socket that status.c serves
 *     status_view.c status_table.c    from its JSON to a table
 *     options.c terminal.c    command lines; a screen to draw on
 *
 * This file: the table of commands, the proxy's own command line, and what is around the running
 * proxy.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hosts/proxy/command_check.h"
#include "hosts/proxy/command_status.h"
#include "hosts/proxy/command_top.h"
#include "hosts/proxy/config.h"
#include "hosts/proxy/flags.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/master.h"
#include "hosts/proxy/options.h"
#include "hosts/proxy/proxy.h"

enum { ERROR_SIZE = 1024 };

static const char help[] =
    "hostflags-host is a small TCP pooling proxy: a reference for loading the hostflags plugin.\n"
    "\n"
    "Usage: hostflags-host [--check-config] --config FILE\n"
    "       hostflags-host status|top (--config FILE | --socket PATH)\n"
    "       hostflags-host check UPSTREAM [--flag NAME] --config FILE\n"
    "\n"
    "  status              shows what the plugin of a running proxy knows; status --help\n"
    "  top                 the same, drawn again each second; top --help\n"
    "  check               asks one flag service once and says what is wrong; check --help\n"
    "\n"
    "  -c, --config FILE   the configuration file (also without --config)\n"
    "      --check-config  read the file, start and end the plugin, say what is wrong\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "The file (INI; durations have units: ms, s, min, h):\n"
    "\n"
    "  [proxy]\n"
    "  processes = 1             ; 1 to 64; above 1: a master and so many workers\n"
    "  threads = 4               ; loop threads of each process, 1 to 64\n"
    "  log_level = info          ; error, warning, info, debug; the log goes to stderr\n"
    "  telemetry = -             ; where telemetry lines go: a file, - (stdout), stderr\n"
    "  telemetry_flag = NAME     ; the flag that switches them; default: the plugin's first\n"
    "  status_socket = PATH      ; a Unix socket for `status` and `top`, for this user and group\n"
    "                            ; only; default: none\n"
    "  connect_timeout = 10s     ; for an upstream connection\n"
    "  half_close_timeout = 1min ; how long a half-closed session may be silent\n"
    "  drain_timeout = 30s       ; how long sessions may go on after SIGTERM\n"
    "\n"
    "  [upstream:warehouse]      ; one or more\n"
    "  listen = 127.0.0.1:6432   ; where clients connect; port 0: a free one\n"
    "  connect = db.example.com:5432\n"
    "  host = dbc-1234.example.com ; whose flags apply; default: the host of connect\n"
    "  org_id = 1234567890       ; default: none\n"
    "  pool_size = 8             ; upstream connections kept open in advance; default: 0\n"
    "  telemetry_flag = NAME     ; default: that of [proxy]\n"
    "\n"
    "  [plugin:hostflags]        ; none: no telemetry\n"
    "  library = ./hostflags.so\n"
    "  flags = a, b              ; this and all other keys are the plugin's settings\n"
    "\n"
    "Signals: SIGHUP reads the file again; SIGTERM and SIGINT end the program when its sessions\n"
    "have ended, a second one at once.\n";

struct options {
    const char *config; /* NULL: none given */
    bool check, show_help, show_version;
};

static int read_options(struct options *options, char **argv)
{
    const struct hf_option table[] = {
        {"--config", "-c", .value = &options->config, .what = "configuration file", .bare = true},
        {.name = "--check-config", .flag = &options->check},
        {"--help", "-h", .flag = &options->show_help},
        {"--version", "-V", .flag = &options->show_version},
        {.name = NULL},
    };
    int result = hf_options_read(table, argv);

    if (result == HF_OK && !options->config && !options->show_help && !options->show_version) {
        fputs("hostflags-host: no configuration file; expected --config FILE (--help says more)\n",
            stderr);
        return HF_E_INVALID;
    }
    return result;
}

static void print_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "hostflags-host: %s\n", sentence);
}

static void log_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    hf_log(HF_LOG_ERROR, "%s", sentence);
}

/* Several processes are worth a word where each has a cache of its own. */
static void warn_of_processes(const struct hf_config *config)
{
    if (config->processes > 1 && config->plugin.name && !hf_config_shares(config))
        hf_log(HF_LOG_WARNING,
            "processes = %lld and no `share = on` in section [plugin:%s]: each process asks the "
            "flag services for itself, so each is asked %lld times, and the status socket shows "
            "nothing of it; set `share = on` there",
            (long long)config->processes, config->plugin.name, (long long)config->processes);
}

/* Starts the plugin that the file names. false: impossible, as `report` was told. */
static bool start_plugin(struct hf_config *config, hf_config_report *report)
{
    char error[ERROR_SIZE] = "", sentence[ERROR_SIZE + 256];

    if (hf_flags_load(config, error, sizeof(error)) == HF_OK) {
        if (hf_flags_resolve(config, error, sizeof(error)) == HF_OK) {
            warn_of_processes(config);
            return true;
        }
        hf_flags_unload();
    }
    snprintf(sentence, sizeof(sentence), "%.200s: %s", config->path, error);
    report(NULL, sentence);
    return false;
}

static int check(const char *path)
{
    struct hf_config *config = hf_config_read(path, print_problem, NULL);
    bool good;

    hf_log_set_level(HF_LOG_WARNING);
    good = config && start_plugin(config, print_problem);
    if (good) {
        hf_flags_unload();
        printf("%s: ok\n", path);
    }
    hf_config_release(config);
    return good ? 0 : 1;
}

/* Thousands of connections are two descriptors each. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const char *path)
{
    struct hf_config *config = hf_config_read(path, log_problem, NULL);
    int status;

    if (!config)
        return 1;
    hf_log_set_level((int)config->log_level);
    if (!start_plugin(config, log_problem)) {
        hf_config_release(config);
        return 1;
    }
    raise_descriptor_limit();
    status = config->processes > 1 ? hf_master_run(config) : hf_proxy_run(config, NULL);
    hf_flags_unload();
    hf_log(HF_LOG_INFO, "ended with status %d", status);
    return status;
}

/* The first descriptors to be opened get these numbers: without this a program that was started
 * with one of them closed would write its log to a socket or a pipe of its own. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* What the first word may be instead of an option: what else the program does. */
static const struct {
    const char *word;
    int (*run)(char **argv); /* the words after it, NULL-terminated; the exit status */
} commands[] = {
    {"status", hf_status_command},
    {"top", hf_top_command},
    {"check", hf_check_command},
};

int main(int argc, char **argv)
{
    struct options options = {0};

    signal(SIGPIPE, SIG_IGN); /* also whoever reads the log may leave */
    open_standard_descriptors();
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].word) == 0)
            return commands[i].run(argv + 2);
    if (read_options(&options, argc > 0 ? argv + 1 : argv) != HF_OK)
        return 1;
    if (options.show_help)
        return fputs(help, stdout) < 0;
    if (options.show_version)
        return printf("hostflags-host %s\n", HF_VERSION) < 0;
    return options.check ? check(options.config) : run(options.config);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * command_check.c: see command_check.h. The plugin does the asking, as in a running proxy: one
 * connection makes the one request, and the plugin's own status says how it ended. It is ended
 * before it could ask again.
 */
#include "hosts/proxy/command_check.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hosts/proxy/advice.h"
#include "hosts/proxy/config.h"
#include "hosts/proxy/flags.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/nearest.h"
#include "hosts/proxy/options.h"
#include "hosts/proxy/status_view.h"
#include "hosts/proxy/value.h"

enum { ON = 0, OFF = 1, UNKNOWN = 2, FAILED = 3 };
enum { ERROR_SIZE = 1024, POLL_MS = 10 };
enum { REQUEST_MS = 300000, MARGIN_MS = 5000 }; /* request_timeout is at most 5min */

static const char help[] =
    "Asks the flag service of one upstream once, with the settings of FILE, and says what came of "
    "it.\n"
    "\n"
    "Usage: hostflags-host check UPSTREAM [--flag NAME] [--org-id N] --config FILE\n"
    "\n"
    "  UPSTREAM            the NAME of a section [upstream:NAME], or a host as the plugin knows "
    "it:\n"
    "                      db.example.com, db.example.com:8443, https://db.example.com\n"
    "  -c, --config FILE   the proxy's configuration file\n"
    "  -f, --flag NAME     the flag for the exit status; default: telemetry_flag of the upstream "
    "or\n"
    "                      of [proxy], or the plugin's first flag\n"
    "      --org-id N      instead of the upstream's org_id\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 the flag is on, 1 it is off, 2 unknown (the service did not send it, or "
    "nothing\n"
    "is asked), 3 an error: the reason is on stderr, or in the line \"problem\".\n";

struct request {
    const char *upstream, *config, *flag, *org_id;
    bool help;
};

/* What was chosen for it from the configuration. Strings are borrowed. */
struct choice {
    struct hf_config_upstream upstream;
    const char *flag; /* NULL: the plugin's first */
    const struct hf_setting *service; /* NULL: not set */
    const char *nearest; /* the upstream is no section: one that has a similar name, or NULL */
    int64_t longest_ms; /* until the request must have ended */
};

static void print_problem(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "hostflags-host: %s\n", sentence);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what is asked ---- */

static struct hf_setting *find_setting(const struct hf_config_plugin *plugin, const char *key)
{
    for (size_t i = 0; i < plugin->setting_count; i++)
        if (strcmp(plugin->settings[i].key, key) == 0)
            return &plugin->settings[i];
    return NULL;
}

/* The first connection is to make the request, whatever the file says. */
static void ask_at_once(struct hf_config_plugin *plugin)
{
    struct hf_setting *setting = find_setting(plugin, "prefetch");

    if (setting) {
        free((char *)setting->value);
    } else {
        plugin->settings =
            hf_memory_grow(plugin->settings, plugin->setting_count, sizeof(*setting));
        setting = &plugin->settings[plugin->setting_count++];
        setting->key = hf_memory_copy("prefetch");
    }
    setting->value = hf_memory_copy("on");
}

static int64_t longest_ms(const struct hf_config_plugin *plugin)
{
    const struct hf_setting *setting = find_setting(plugin, "request_timeout");
    int64_t timeout_ms;

    if (!setting || hf_value_duration(setting->value, 0, REQUEST_MS, &timeout_ms) != HF_OK)
        timeout_ms = REQUEST_MS;
    return timeout_ms + MARGIN_MS;
}

static const char *nearest_section(const struct hf_config *config, const char *name)
{
    const char *nearest = NULL;

    for (size_t i = 0; i < config->upstream_count; i++) {
        const char *const two[] = {config->upstreams[i].name, nearest, NULL};

        nearest = hf_nearest_word(name, two);
    }
    return nearest;
}

/* The upstream of the command line, and the flag that decides. */
static struct choice choose(const struct hf_config *config, const struct request *request)
{
    const struct hf_config_upstream *found = hf_config_find(config, request->upstream);
    struct choice choice = {
        .upstream = {.host = found ? found->host : (char *)request->upstream,
            .org_id = found ? found->org_id : NULL},
        .flag = request->flag,
        .service = find_setting(&config->plugin, "service"),
        .nearest = found ? NULL : nearest_section(config, request->upstream),
        .longest_ms = longest_ms(&config->plugin),
    };

    if (request->org_id)
        choice.upstream.org_id = (char *)request->org_id;
    if (!choice.flag && found)
        choice.flag = found->telemetry_flag;
    if (!choice.flag)
        choice.flag = config->telemetry_flag;
    return choice;
}

/* ---- waiting for the end ---- */

/* NULL: the plugin cannot say. */
static struct hf_status_view *look(void)
{
    char *text = hf_flags_status(HF_STATUS_JSON);
    struct hf_status_view *view = text ? hf_status_view_read(text) : NULL;

    free(text);
    return view;
}

static bool has_ended(const struct hf_status_host *host)
{
    return strcmp(host->state, "unknown") != 0 || strcmp(host->last_error, "ok") != 0;
}

/* Neither over nor not planned at all: it took too long, which the plugin should not let happen. */
static bool is_endless(const struct hf_status_host *host)
{
    return !has_ended(host) && host->next_refresh_ms >= 0;
}

/* Looks until the request has ended, or there is none, or it lasts too long. *took_ms: how long it
 * looked. */
static struct hf_status_view *wait_for_end(int64_t longest_ms, int64_t *took_ms)
{
    static const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    int64_t start_ms = now_ms();
    struct hf_status_view *view = look();

    while (view && view->host_count > 0 && !has_ended(&view->hosts[0]) &&
        view->hosts[0].next_refresh_ms >= 0 && now_ms() - start_ms < longest_ms) {
        nanosleep(&pause, NULL);
        hf_status_view_free(view);
        view = look();
    }
    *took_ms = now_ms() - start_ms;
    return view;
}

/* ---- what came of it ---- */

static void print_answer(const struct hf_status_host *host, int64_t took_ms)
{
    if (is_endless(host)) {
        printf("answer   none after %" PRId64 " ms, and the request has not ended\n", took_ms);
        return;
    }
    if (!has_ended(host)) {
        puts("answer   none: nothing is asked (`enabled` is off, or `overrides` names every flag)");
        return;
    }
    if (host->http_status > 0)
        printf("answer   HTTP %" PRId64 " after %" PRId64 " ms", host->http_status, took_ms);
    else
        printf("answer   none after %" PRId64 " ms", took_ms);
    if (host->ttl_ms >= 0)
        printf(", fresh for %" PRId64 ".%03d s", host->ttl_ms / 1000, (int)(host->ttl_ms % 1000));
    putchar('\n');
    if (*host->last_message)
        printf("problem  %s: %s\n", host->last_error, host->last_message);
}

/* flag: the one that decides, or NULL. */
static void print_advice(
    const struct hf_status_host *host, const struct hf_status_flag *flag, const char *nearest)
{
    const char *advice = hf_advice(host->last_error, host->http_status);

    if (nearest && strcmp(host->last_error, "dns") == 0)
        printf("try      %s; did you mean the section [upstream:%s]?\n", advice, nearest);
    else if (advice)
        printf("try      %s\n", advice);
    else if (has_ended(host) && strcmp(host->last_error, "ok") == 0 && flag &&
        strcmp(flag->reason, "default") == 0)
        printf(
            "try      it did not send `%s`: is that spelt as the service spells it?\n", flag->name);
}

static void print_flags(const struct hf_status_host *host)
{
    int width = (int)strlen("FLAG");

    for (int64_t i = 0; i < host->flag_count; i++)
        if ((int)strlen(host->flags[i].name) > width)
            width = (int)strlen(host->flags[i].name);
    printf("\n%-*s  VALUE  REASON\n", width, "FLAG");
    for (int64_t i = 0; i < host->flag_count; i++)
        printf("%-*s  %-5s  %s\n", width, host->flags[i].name,
            host->flags[i].enabled ? "on" : "off", host->flags[i].reason);
}

/* name NULL: the first one. NULL: there is none. */
static const struct hf_status_flag *find_flag(const struct hf_status_host *host, const char *name)
{
    for (int64_t i = 0; i < host->flag_count; i++)
        if (!name || strcmp(host->flags[i].name, name) == 0)
            return &host->flags[i];
    return NULL;
}

static int status_of(const struct hf_status_host *host, const struct hf_status_flag *flag)
{
    if (!flag)
        return UNKNOWN;
    if (strcmp(flag->reason, "override") == 0)
        return flag->enabled ? ON : OFF;
    if (is_endless(host) || (has_ended(host) && strcmp(host->last_error, "ok") != 0))
        return FAILED;
    if (strcmp(flag->reason, "static") != 0)
        return UNKNOWN;
    return flag->enabled ? ON : OFF;
}

static void print_asked(const struct hf_status_host *host)
{
    bool brackets = strchr(host->host, ':') != NULL;

    printf("asked    %s://%s%s%s:%" PRId64 "%s%s\n", host->scheme, brackets ? "[" : "", host->host,
        brackets ? "]" : "", host->port, *host->org_id ? ", org id " : "", host->org_id);
}

/* Where it is asked, if that is another place. */
static void print_service(const struct choice *choice)
{
    if (choice->service && *choice->service->value)
        printf("service  %s\n", choice->service->value);
}

static int print_no_status(void)
{
    fputs("hostflags-host: the plugin has no status that could be read; expected one of its "
          "optional functions, `status`\n",
        stderr);
    return FAILED;
}

static int print_end(
    const struct hf_status_host *host, const struct choice *choice, int64_t took_ms)
{
    const struct hf_status_flag *flag = find_flag(host, choice->flag);

    print_answer(host, took_ms);
    print_advice(host, flag, choice->nearest);
    print_flags(host);
    return fflush(stdout) == 0 ? status_of(host, flag) : FAILED;
}

static int report(const struct choice *choice)
{
    struct hf_status_view *view = look();
    int64_t took_ms;
    int status;

    if (view && view->host_count == 1) {
        print_asked(&view->hosts[0]);
        print_service(choice);
        fflush(stdout); /* it may take a while until there is more */
        hf_status_view_free(view);
        view = wait_for_end(choice->longest_ms, &took_ms);
    }
    if (view && view->host_count == 1)
        status = print_end(&view->hosts[0], choice, took_ms);
    else
        status = print_no_status();
    hf_status_view_free(view);
    return status;
}

/* ---- the command ---- */

static int print_unknown_flag(const struct hf_config *config, const char *flag)
{
    const struct hf_setting *known = find_setting(&config->plugin, "flags");

    fprintf(stderr, "hostflags-host: the plugin knows no flag `%s`; expected %s%s\n", flag,
        known ? "one of: " : "the plugin's own, as `flags` is not set", known ? known->value : "");
    return FAILED;
}

static int print_refused(const struct choice *choice)
{
    const char *host = choice->upstream.host, *shown = hf_value_shown(host);

    fprintf(stderr, "hostflags-host: the plugin takes no connection to `%s%s`, as it says above; ",
        shown == host ? "" : "...", shown);
    if (choice->nearest)
        fprintf(stderr, "did you mean the section [upstream:%s]?\n", choice->nearest);
    else
        fputs("expected the NAME of a section [upstream:NAME] or a host\n", stderr);
    return FAILED;
}

/* Whether the plugin can say how a request ended. */
static bool can_say(void)
{
    struct hf_status_view *view = look();
    bool has_hosts = view && view->has_hosts;

    hf_status_view_free(view);
    return has_hosts;
}

static int ask(struct hf_config *config, const struct request *request)
{
    struct choice choice = choose(config, request);
    hf_conn conn;
    int status;

    if (!can_say())
        return print_no_status();
    if (choice.flag && !hf_flags_knows(choice.flag))
        return print_unknown_flag(config, choice.flag);
    hf_log_set_level_elsewhere(HF_LOG_ERROR); /* a failure is reported below, and better */
    conn = hf_flags_connect(&choice.upstream);
    if (conn == HF_NO_CONN)
        return print_refused(&choice);
    status = report(&choice);
    hf_flags_disconnect(conn);
    return status;
}

static int check(const struct request *request)
{
    struct hf_config *config = hf_config_read(request->config, print_problem, NULL);
    char error[ERROR_SIZE] = "";
    int status = FAILED;

    if (!config)
        return FAILED;
    hf_log_set_level(HF_LOG_WARNING);
    ask_at_once(&config->plugin);
    if (!config->plugin.name) {
        fprintf(stderr,
            "hostflags-host: %s has no section [plugin:NAME]; expected one with the plugin's "
            "`library` and settings\n",
            config->path);
    } else if (hf_flags_load(config, error, sizeof(error)) != HF_OK) {
        fprintf(stderr, "hostflags-host: %s: %s\n", config->path, error);
    } else {
        status = ask(config, request);
        hf_flags_unload();
    }
    hf_config_release(config);
    return status;
}

int hf_check_command(char **argv)
{
    struct request request = {0};
    const struct hf_option options[] = {
        {"UPSTREAM", .value = &request.upstream, .what = "upstream", .bare = true},
        {"--config", "-c", .value = &request.config, .what = "configuration file"},
        {"--flag", "-f", .value = &request.flag, .what = "flag"},
        {.name = "--org-id", .value = &request.org_id, .what = "number for the org id"},
        {"--help", "-h", .flag = &request.help},
        {.name = NULL},
    };

    if (hf_options_read(options, argv) != HF_OK)
        return FAILED;
    if (request.help)
        return fputs(help, stdout) < 0 ? FAILED : 0;
    if (!request.upstream || !request.config) {
        fprintf(stderr,
            "hostflags-host: no %s; expected check UPSTREAM --config FILE (--help says "
            "more)\n",
            request.upstream ? "configuration file" : "upstream");
        return FAILED;
    }
    return check(&request);
}

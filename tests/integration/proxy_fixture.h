/* SPDX-License-Identifier: PostgreSQL
 *
 * proxy_fixture.h: what the tests of the proxy share: a running hostflags-host in a temporary
 * directory, with listeners on free ports, and the counts of its plugin, read from its status
 * socket.
 *
 *     struct proxy proxy;
 * if (!proxy_start(&proxy, "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\n", port))
 *         return;
 *     … proxy_port(&proxy, "a") … proxy_references(&proxy, "127.0.0.1") …
 *     proxy_stop(&proxy);
 *
 * The sections [proxy] (2 threads, the status socket, telemetry to a file) and [plugin:counting]
 * come from here. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_PROXY_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_PROXY_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/build_path.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#define FIXTURE __attribute__((unused)) static

enum { BOUND_MS = 20000 };

struct proxy {
    char *directory;
    char *config, *socket, *telemetry, *on; /* paths; the flags are on while the file `on` exists */
    const char *plugin; /* the plugin section; "": none; NULL: the counting one */
    const char *options; /* more lines for [proxy]; NULL: none */
    int threads;
    struct hf_process *process;
};

FIXTURE void proxy_prepare(struct proxy *proxy)
{
    *proxy = (struct proxy){.directory = hf_tmpdir_create(), .threads = 2};
    proxy->config = hf_tmpdir_path(proxy->directory, "proxy.ini");
    proxy->socket = hf_tmpdir_path(proxy->directory, "status");
    proxy->telemetry = hf_tmpdir_path(proxy->directory, "telemetry");
    proxy->on = hf_tmpdir_path(proxy->directory, "on");
}

__attribute__((format(printf, 2, 0))) FIXTURE void proxy_write_config_v(
    struct proxy *proxy, const char *format, va_list arguments)
{
    char upstreams[4096], text[8192], plugin[1024];

    vsnprintf(upstreams, sizeof(upstreams), format, arguments);
    snprintf(plugin, sizeof(plugin),
        "[plugin:counting]\nlibrary = %s\nflags = a, b\non_while = %s\n",
        hf_build_path("tests/contract/plugin_counting.so"), proxy->on);
    snprintf(text, sizeof(text),
        "[proxy]\nthreads = %d\nstatus_socket = %s\ntelemetry = %s\n%s%s%s", proxy->threads,
        proxy->socket, proxy->telemetry, proxy->options ? proxy->options : "",
        proxy->plugin ? proxy->plugin : plugin, upstreams);
    free(hf_tmpdir_write(proxy->directory, "proxy.ini", text));
}

__attribute__((format(printf, 2, 3))) FIXTURE void proxy_write_config(
    struct proxy *proxy, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    proxy_write_config_v(proxy, format, arguments);
    va_end(arguments);
}

/* Starts the program on the file that is there. */
FIXTURE void proxy_launch(struct proxy *proxy)
{
    const char *argv[] = {hf_build_path("hostflags-host"), "--config", proxy->config, NULL};

    proxy->process = hf_process_start(&(struct hf_process_options){.argv = argv});
}

FIXTURE bool proxy_run(struct proxy *proxy)
{
    proxy_launch(proxy);
    return CHECK(proxy->process && hf_process_wait_output(proxy->process, "is running", BOUND_MS));
}

/* Ends what proxy_prepare and proxy_run made. */
FIXTURE void proxy_free(struct proxy *proxy)
{
    hf_process_destroy(proxy->process);
    free(proxy->config);
    free(proxy->socket);
    free(proxy->telemetry);
    free(proxy->on);
    hf_tmpdir_remove(proxy->directory);
}

__attribute__((format(printf, 2, 3))) FIXTURE bool proxy_start(
    struct proxy *proxy, const char *format, ...)
{
    va_list arguments;

    proxy_prepare(proxy);
    va_start(arguments, format);
    proxy_write_config_v(proxy, format, arguments);
    va_end(arguments);
    if (proxy_run(proxy))
        return true;
    proxy_free(proxy);
    return false;
}

/* Waits for the end of a program that was told to end: status 0, every reference given back. */
FIXTURE void proxy_check_end(struct proxy *proxy)
{
    int status = -1;
    char *log;

    CHECK(hf_process_wait_exit(proxy->process, BOUND_MS, &status));
    log = hf_process_output(proxy->process, HF_STDERR);
    if (!CHECK_INT_EQ(status, 0))
        fprintf(stderr, "the program's log:\n%s", log);
    if (!proxy->plugin) {
        CHECK_STR_CONTAINS(log, "counting plugin ended: connections=0 ");
        CHECK_STR_CONTAINS(log, " misuses=0\n");
    }
    free(log);
}

FIXTURE void proxy_stop(struct proxy *proxy)
{
    hf_process_signal(proxy->process, SIGTERM);
    proxy_check_end(proxy);
    proxy_free(proxy);
}

/* The port of an upstream whose configuration says port 0; its latest, after reloads. */
FIXTURE uint16_t proxy_port(struct proxy *proxy, const char *upstream)
{
    char *log = hf_process_output(proxy->process, HF_STDERR), end[128];
    unsigned port = 0;
    char *at = log;

    snprintf(end, sizeof(end), " for upstream `%s` ", upstream);
    while ((at = strstr(at, "listening on 127.0.0.1:"))) {
        char *line_end = strchr(at, '\n'), *found = strstr(at, end);

        at += strlen("listening on 127.0.0.1:");
        if (found && line_end && found < line_end)
            port = (unsigned)strtoul(at, NULL, 10);
    }
    free(log);
    return (uint16_t)port;
}

/* A connection to the status socket that has sent a request; -1: impossible. */
FIXTURE int proxy_ask(struct proxy *proxy, const char *request)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy->socket);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        send(fd, request, strlen(request), MSG_NOSIGNAL); /* it may be closed: reading tells */
        return fd;
    }
    close(fd);
    return -1;
}

/* All that the socket answers to a request, for the caller to free; NULL: nothing. */
FIXTURE char *proxy_answer(struct proxy *proxy, const char *request)
{
    size_t length = 0, size = 65536;
    char *text = calloc(1, size);
    int fd = proxy_ask(proxy, request);
    ssize_t got;

    while (fd >= 0 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    if (fd >= 0)
        close(fd);
    if (length > 0)
        return text;
    free(text);
    return NULL;
}

/* The status as JSON, for the caller to free; NULL: nobody answers. */
FIXTURE char *proxy_status(struct proxy *proxy)
{
    return proxy_answer(proxy, "json\n");
}

FIXTURE int64_t json_int(struct json_object *object, const char *member)
{
    struct json_object *value;

    return json_object_object_get_ex(object, member, &value) ? json_object_get_int64(value) : -1;
}

/* A member of the status; -1: there is none. */
FIXTURE int64_t proxy_count(struct proxy *proxy, const char *member)
{
    char *text = proxy_status(proxy);
    struct json_object *status = text ? json_tokener_parse(text) : NULL;
    int64_t count = json_int(status, member);

    json_object_put(status);
    free(text);
    return count;
}

/* The references to one host; -1: it is not among the plugin's hosts. */
FIXTURE int64_t proxy_references(struct proxy *proxy, const char *host)
{
    char *text = proxy_status(proxy);
    struct json_object *status = text ? json_tokener_parse(text) : NULL, *hosts, *entry, *name;
    int64_t references = -1;

    if (json_object_object_get_ex(status, "hosts", &hosts)) {
        for (size_t i = 0; i < json_object_array_length(hosts); i++) {
            entry = json_object_array_get_idx(hosts, i);
            if (json_object_object_get_ex(entry, "host", &name) &&
                strcmp(json_object_get_string(name), host) == 0)
                references = json_int(entry, "references");
        }
    }
    json_object_put(status);
    free(text);
    return references;
}

FIXTURE bool proxy_logged(struct proxy *proxy, const char *text)
{
    return hf_process_count(proxy->process, HF_STDERR, text) > 0;
}

/* SIGHUP; waits until the log says how it went (`outcome`) once more than before. */
FIXTURE bool proxy_reload(struct proxy *proxy, const char *outcome)
{
    size_t before = hf_process_count(proxy->process, HF_STDERR, outcome);

    hf_process_signal(proxy->process, SIGHUP);
    return CHECK(
        HF_WAIT_UNTIL(hf_process_count(proxy->process, HF_STDERR, outcome) > before, BOUND_MS));
}

#define RELOADED "the new configuration is running"
#define NOT_RELOADED "the new configuration was not applied: the running one stays"

/* The number of complete telemetry lines that contain the text. */
FIXTURE size_t proxy_telemetry(struct proxy *proxy, const char *part)
{
    struct stat facts;
    bool has_text = stat(proxy->telemetry, &facts) == 0 && facts.st_size > 0;
    char *text = has_text ? hf_tmpdir_read(proxy->telemetry) : NULL, *rest = text, *line;
    size_t count = 0;

    while ((line = strsep(&rest, "\n")) && rest)
        if (strstr(line, part))
            count++;
    free(text);
    return count;
}

/* Switches the counting plugin's flags. */
FIXTURE void proxy_set_flags(struct proxy *proxy, bool on)
{
    if (on)
        free(hf_tmpdir_write(proxy->directory, "on", ""));
    else
        unlink(proxy->on);
}

/* A blocking connection to a port of 127.0.0.1, whose reads end after BOUND_MS; -1: impossible. */
FIXTURE int connect_to(uint16_t port)
{
    int64_t bound_ms = hf_wait_slow_ms(BOUND_MS);
    struct timeval bound = {.tv_sec = bound_ms / 1000};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The next connection of a non-blocking listener, made blocking with the same bounds; -1: none. */
FIXTURE int accept_from(int listener)
{
    int64_t bound_ms = hf_wait_slow_ms(BOUND_MS);
    struct timeval bound = {.tv_sec = bound_ms / 1000};
    struct pollfd readable = {.fd = listener, .events = POLLIN};
    int fd = -1;

    if (poll(&readable, 1, (int)bound_ms) == 1)
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
    return fd;
}

/* Reads exactly that text. */
FIXTURE bool read_text(int fd, const char *text)
{
    char got[256] = "";
    size_t length = 0, wanted = strlen(text);

    while (length < wanted) {
        ssize_t more = read(fd, got + length, wanted - length);

        if (more <= 0)
            return false;
        length += (size_t)more;
    }
    return memcmp(got, text, wanted) == 0;
}

FIXTURE bool write_text(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Whether the other side ends the connection now, in either way. */
FIXTURE bool read_end(int fd)
{
    char byte;
    ssize_t got = read(fd, &byte, 1);

    return got == 0 || (got < 0 && errno == ECONNRESET);
}

/* Starts a proxy that cannot run, and checks that it ends with status 1 and says why. */
FIXTURE void check_no_start(struct proxy *proxy, const char *reason)
{
    int status = 0;

    proxy_launch(proxy);
    CHECK(hf_process_wait_exit(proxy->process, BOUND_MS, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    CHECK(proxy_logged(proxy, reason));
    hf_process_destroy(proxy->process);
    proxy->process = NULL;
}

#endif

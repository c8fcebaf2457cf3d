/* SPDX-License-Identifier: PostgreSQL
 *
 * cache_fixture.h: what the tests of the cache share: the plugin as a host program sees it, a real
 * flag service, and a service that holds its answers back until a test lets them go.
 *
 *     start_service();
 *     start_cache("linger = %s\n", "0");
 *     conn = connect_service();
 *     CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
 *     …
 *     stop_all();
 *
 * Flag a is number A, on at the service; flag b is number B, off at the service. That something
 * does *not* happen is tied to something that happens later: worker_has_moved_on(), pacer_passes().
 * Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_CACHE_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_CACHE_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/net.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define FIXTURE __attribute__((unused)) static
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { BOUND_MS = 30000 };
enum { ANSWER_MS = 1000 }; /* a service so slow that its answer is not there at once */
enum { A, B };

FIXTURE const struct hf_plugin *plugin;
FIXTURE struct hf_flag_service *service;

/* ---- the cache and its service ---- */

/* The service sends ttl_seconds = 900 until told otherwise. */
FIXTURE void start_service(void)
{
    service = hf_flag_service_start(NULL);
    if (!service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
}

/* The settings `flags` and `allow_http` come from here; further lines from the test. */
__attribute__((format(printf, 1, 2))) FIXTURE void start_cache(const char *format, ...)
{
    va_list args;
    char *lines;

    va_start(args, format);
    if (vasprintf(&lines, format, args) < 0)
        abort();
    va_end(args);
    hf_test_log_clear();
    if (!CHECK_INT_EQ(
            hf_test_init(plugin, "flags = a, b\nallow_http = loopback\n%s", lines), HF_OK))
        fprintf(stderr, "init: %s\n", hf_test_error());
    free(lines);
}

FIXTURE void stop_all(void)
{
    plugin->fini();
    hf_flag_service_stop(service);
    service = NULL;
}

FIXTURE hf_conn connect_service(void)
{
    return hf_test_connect(plugin, hf_flag_service_url(service));
}

FIXTURE size_t requests(void)
{
    return hf_flag_service_count(service);
}

/* When the service was asked for the i-th time, from 0; 0: it was not. */
FIXTURE int64_t asked_ms(size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(service, i);

    return request ? request->time_ms : 0;
}

/* A member of the service's own entry. */
FIXTURE int64_t member(const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", hf_flag_service_port(service), name);
}

FIXTURE bool has_entry(void)
{
    return hf_test_status_has(plugin, "127.0.0.1", hf_flag_service_port(service));
}

/* ---- what a connection knows ---- */

FIXTURE bool is_known(hf_conn conn)
{
    return hf_test_explain(plugin, conn, A).state == HF_STATE_FRESH;
}

FIXTURE bool has_failed(hf_conn conn)
{
    return hf_test_explain(plugin, conn, A).last_error != HF_FETCH_OK;
}

FIXTURE bool is_answered(hf_conn conn)
{
    return is_known(conn) || has_failed(conn);
}

FIXTURE bool is_stale(hf_conn conn)
{
    return hf_test_explain(plugin, conn, A).state == HF_STATE_STALE;
}

/* From the service's latest confirmation to the next request, as planned. */
FIXTURE int64_t refresh_after_ms(hf_conn conn)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, A);

    return answer.age_ms + answer.next_refresh_ms;
}

/* ---- events to measure the worker by ---- */

/* Asks a host of its own and waits for the answer: all that was due before has been asked by then.
 * Not for tests with the setting `service`. */
FIXTURE bool worker_has_moved_on(void)
{
    struct hf_flag_service *other = hf_flag_service_start(NULL);
    hf_conn conn;
    bool known;

    hf_flag_service_set_flag(other, "a", true);
    conn = hf_test_connect(plugin, hf_flag_service_url(other));
    known = HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS);
    plugin->on_disconnect(conn);
    hf_flag_service_stop(other);
    return known;
}

/* A host of its own that is refreshed in the rhythm of the setting `ttl`, again and again. */
struct pacer {
    struct hf_flag_service *service;
    hf_conn conn;
};

FIXTURE struct pacer pacer_start(void)
{
    struct pacer pacer = {.service = hf_flag_service_start(NULL)};

    hf_flag_service_set_flag(pacer.service, "a", true);
    hf_flag_service_set_ttl(pacer.service, NULL);
    pacer.conn = hf_test_connect(plugin, hf_flag_service_url(pacer.service));
    return pacer;
}

/* So many further refreshes of the pacer. */
FIXTURE bool pacer_passes(struct pacer *pacer, size_t more)
{
    size_t goal = hf_flag_service_count(pacer->service) + more;

    return hf_flag_service_wait_requests(pacer->service, goal, BOUND_MS);
}

FIXTURE void pacer_stop(struct pacer *pacer)
{
    plugin->on_disconnect(pacer->conn);
    hf_flag_service_stop(pacer->service);
}

/* ---- answers that wait until they are let go ---- */

struct gate {
    int listen_fd;
    char url[HF_NET_NAME_SIZE + 8];
};

FIXTURE struct gate gate_open(void)
{
    struct gate gate = {.listen_fd = hf_net_listen("127.0.0.1", 0)};

    if (gate.listen_fd < 0)
        abort();
    snprintf(gate.url, sizeof(gate.url), "http://127.0.0.1:%u", hf_net_port(gate.listen_fd));
    return gate;
}

FIXTURE uint16_t gate_port(const struct gate *gate)
{
    return hf_net_port(gate->listen_fd);
}

/* The next request's connection, its header read; -1: there is none yet. */
FIXTURE int gate_try(struct gate *gate)
{
    char request[4096] = "";
    size_t len = 0;
    ssize_t got;
    int fd = accept4(gate->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    while (fd >= 0 && len < sizeof(request) - 1 && !strstr(request, "\r\n\r\n")) {
        got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    return fd;
}

FIXTURE int gate_take(struct gate *gate)
{
    int fd = -1;

    CHECK(HF_WAIT_UNTIL((fd = gate_try(gate)) >= 0, BOUND_MS));
    return fd;
}

/* Lets an answer go: 200 with that body. Returns once the client has hung up. */
FIXTURE void gate_answer(int fd, const char *body)
{
    char answer[1024], rest[256];
    int len = snprintf(answer, sizeof(answer),
        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body),
        body);

    CHECK_INT_EQ(send(fd, answer, (size_t)len, MSG_NOSIGNAL), len);
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
}

FIXTURE void gate_close(struct gate *gate)
{
    close(gate->listen_fd);
}

/* ---- the program ---- */

FIXTURE int run_tests(
    const char *name, const struct hf_test *tests, size_t count, int argc, char **argv)
{
    plugin = hf_test_host_load(NULL);
    return plugin ? hf_suite_run(name, tests, count, argc, argv) : 1;
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * children.h: processes that share a cache. They are forked after init, while this process has no
 * other thread, and then do what they are told, one thing at a time:
 *
 *     start_sharing("linger = %s\n", "0");     init with share = on, children, then the service
 *     tell(0, CONNECT, 100);                   100 connections to the service
 *     CHECK_INT_EQ(tell(1, READ, 0), 1);
 *     kill_child(0);
 *     end_sharing();
 *
 * This process is one of those that share, as long as it connects; it can look at the status in any
 * case. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_CHILDREN_H
#define HOSTFLAGS_TESTS_INTEGRATION_CHILDREN_H

#include <json-c/json.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/integration/cache_fixture.h"

enum { CHILDREN = 4, HANDLES = 4096 };
#if defined(__SANITIZE_THREAD__)
#define NO_LATE_FORKS true
#else
#define NO_LATE_FORKS false
#endif

enum { WITHIN_MS = 2000 }; /* what C91 and C92 allow */

enum order_kind {
    CONNECT, /* count more connections to url; how many the child has */
    DISCONNECT, /* gives back all; how many connections there are in the whole cache */
    RELEASE, /* calls on_disconnect for the handle in `handle`, which it may not own */
    READ, /* flag `count` on the newest connection; without one on `handle` */
    CONNECTIONS, /* in the whole cache, as the child sees it */
    OWN, /* its number as an owner */
    RELOAD, /* with what stands in `url` as one more line */
    FINI,
    INIT, /* anew, by itself */
    EXIT
};

struct order {
    enum order_kind kind;
    int count;
    hf_conn handle;
    char url[128];
};

FIXTURE struct child {
    pid_t pid; /* 0: it is gone */
    int fd;
} children[CHILDREN];

FIXTURE char settings_text[1024];

/* A member of the status' object "sharing". */
FIXTURE int64_t sharing(const char *name)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_object *status = json_tokener_parse(text), *object, *value;
    int64_t result = HF_TEST_NO_VALUE;

    if (json_object_object_get_ex(status, "sharing", &object) &&
        json_object_object_get_ex(object, name, &value))
        result = json_object_get_int64(value);
    json_object_put(status);
    free(text);
    return result;
}

/* ---- in a child ---- */

FIXTURE hf_conn handles[HANDLES];
FIXTURE int handle_count;

FIXTURE int64_t connect_more(const struct order *order)
{
    for (int i = 0; i < order->count && handle_count < HANDLES; i++) {
        hf_conn conn = hf_test_connect(plugin, order->url);
        if (conn != HF_NO_CONN)
            handles[handle_count++] = conn;
    }
    return handle_count;
}

FIXTURE int64_t obey(const struct order *order)
{
    switch (order->kind) {
    case CONNECT:
        return connect_more(order);
    case DISCONNECT:
        while (handle_count > 0)
            plugin->on_disconnect(handles[--handle_count]);
        return hf_test_status_total(plugin, "connections");
    case RELEASE:
        plugin->on_disconnect(order->handle);
        return 0;
    case READ:
        return plugin->is_enabled(
            handle_count > 0 ? handles[handle_count - 1] : order->handle, (uint32_t)order->count);
    case CONNECTIONS:
        return hf_test_status_total(plugin, "connections");
    case OWN:
        return sharing("own");
    case RELOAD:
        return hf_test_reload(plugin, "%s%s", settings_text, order->url);
    case FINI:
        plugin->fini();
        return 0;
    case INIT:
        return hf_test_init(plugin, "%s", settings_text);
    case EXIT:
        exit(0);
    }
    return -1;
}

FIXTURE void serve_orders(int fd)
{
    struct order order;
    int64_t reply;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (recv(fd, &order, sizeof(order), 0) == sizeof(order)) {
        reply = obey(&order);
        if (send(fd, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply))
            break;
    }
    _exit(0);
}

/* ---- in the parent ---- */

FIXTURE void start_child(int number)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    fflush(NULL);
    children[number] = (struct child){fork(), pair[0]};
    if (children[number].pid < 0)
        abort();
    if (children[number].pid == 0) {
        handle_count = 0;
        close(pair[0]);
        serve_orders(pair[1]);
    }
    close(pair[1]);
}

FIXTURE void order(int number, struct order order)
{
    if (!CHECK_INT_EQ(
            send(children[number].fd, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order)))
        fprintf(stderr, "child %d does not listen\n", number);
}

FIXTURE int64_t reply_of(int number)
{
    int64_t reply = -1;

    CHECK_INT_EQ(recv(children[number].fd, &reply, sizeof(reply), 0), sizeof(reply));
    return reply;
}

FIXTURE int64_t tell_about(
    int number, enum order_kind kind, int count, hf_conn handle, const char *url)
{
    struct order what = {kind, count, handle, ""};

    snprintf(what.url, sizeof(what.url), "%s", url);
    order(number, what);
    return reply_of(number);
}

FIXTURE int64_t tell(int number, enum order_kind kind, int count)
{
    return tell_about(number, kind, count, HF_NO_CONN, hf_flag_service_url(service));
}

FIXTURE void bury_child(int number)
{
    int status;

    waitpid(children[number].pid, &status, 0);
    close(children[number].fd);
    children[number] = (struct child){0, -1};
}

FIXTURE void kill_child(int number)
{
    kill(children[number].pid, SIGKILL);
    bury_child(number);
}

/* The child that refreshes at present; waits until there is one. */
FIXTURE int refreshing_child(void)
{
    int found = -1;

    CHECK(HF_WAIT_UNTIL(sharing("refresher_pid") > 0, BOUND_MS));
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i].pid == sharing("refresher_pid"))
            found = i;
    }
    CHECK(found >= 0);
    return found < 0 ? 0 : found;
}

__attribute__((format(printf, 1, 2))) FIXTURE void start_sharing(const char *format, ...)
{
    va_list args;
    int length = snprintf(
        settings_text, sizeof(settings_text), "flags = a, b\nallow_http = loopback\nshare = on\n");

    va_start(args, format);
    vsnprintf(settings_text + length, sizeof(settings_text) - (size_t)length, format, args);
    va_end(args);
    hf_test_log_clear();
    if (!CHECK_INT_EQ(hf_test_init(plugin, "%s", settings_text), HF_OK))
        fprintf(stderr, "init: %s\n", hf_test_error());
    for (int i = 0; i < CHILDREN; i++)
        start_child(i);
    start_service();
}

FIXTURE void end_sharing(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i].pid != 0)
            kill_child(i);
    }
    stop_all();
}

#endif

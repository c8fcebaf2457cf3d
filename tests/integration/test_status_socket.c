/* SPDX-License-Identifier: PostgreSQL
 *
 * test_status_socket.c: what the proxy's status socket answers, to whom, and for how long.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/fds.h"

#define UPSTREAM "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1\n"

/* The answer to a request is a JSON object with that member. */
static void check_json(struct proxy *proxy, const char *request, const char *member)
{
    char *text = proxy_answer(proxy, request);
    struct json_object *status = text ? json_tokener_parse(text) : NULL, *value;

    if (CHECK(json_object_is_type(status, json_type_object)))
        CHECK(json_object_object_get_ex(status, member, &value));
    json_object_put(status);
    free(text);
}

static void check_answer(struct proxy *proxy, const char *request, const char *expected)
{
    char *text = proxy_answer(proxy, request);

    CHECK_STR_EQ(text, expected);
    free(text);
}

static void check_not_understood(struct proxy *proxy, const char *request)
{
    char *text = proxy_answer(proxy, request);

    if (CHECK(text != NULL)) {
        CHECK_STR_CONTAINS(text, "unknown request");
        CHECK_STR_CONTAINS(text, "json");
        CHECK_STR_CONTAINS(text, "prometheus");
        CHECK(strchr(text, '\n') == text + strlen(text) - 1); /* one line */
    }
    free(text);
}

static void test_requests(void)
{
    struct proxy proxy;

    if (!proxy_start(&proxy, UPSTREAM))
        return;
    check_json(&proxy, "json\n", "connects");
    check_json(&proxy, "json\r\n", "connects");
    check_json(&proxy, "\n", "connects");
    check_json(&proxy, "json\nprometheus\n", "connects");
    check_answer(&proxy, "prometheus\n", "counting_hosts 0\n");
    check_not_understood(&proxy, "xml\n");
    check_not_understood(&proxy, "JSON\n");
    check_not_understood(&proxy, "json please\n");
    check_not_understood(&proxy, "GET /metrics HTTP/1.1\r\n\r\n");
    proxy_stop(&proxy);
}

/* A line is at most 63 bytes and its newline: longer ones are not waited for. */
static void test_long_request(void)
{
    struct proxy proxy;
    char line[66];

    if (!proxy_start(&proxy, UPSTREAM))
        return;
    memset(line, 'j', sizeof(line));
    line[64] = '\0';
    check_not_understood(&proxy, line);
    line[63] = '\n';
    check_not_understood(&proxy, line);
    check_json(&proxy, "json\n", "connects");
    proxy_stop(&proxy);
}

/* The end of input stands for an empty line, and also ends one. */
static void check_half_closed(struct proxy *proxy, const char *request, const char *begin)
{
    char bytes[32] = "";
    int fd = proxy_ask(proxy, request);

    CHECK_INT_EQ(shutdown(fd, SHUT_WR), 0);
    CHECK(recv(fd, bytes, strlen(begin), MSG_WAITALL) == (ssize_t)strlen(begin));
    CHECK_STR_EQ(bytes, begin);
    close(fd);
}

static void test_end_of_input(void)
{
    struct proxy proxy;

    if (!proxy_start(&proxy, UPSTREAM))
        return;
    check_half_closed(&proxy, "", "{\"hosts\":[");
    check_half_closed(&proxy, "json", "{\"hosts\":[");
    check_half_closed(&proxy, "prometheus", "counting_hosts ");
    check_half_closed(&proxy, "xm", "unknown request");
    proxy_stop(&proxy);
}

/* A request that comes in pieces is put together. */
static void test_pieces(void)
{
    struct proxy proxy;
    int fd;

    if (!proxy_start(&proxy, UPSTREAM))
        return;
    fd = proxy_ask(&proxy, "pro");
    check_json(&proxy, "json\n", "connects"); /* the proxy has had time to read the piece */
    CHECK(write_text(fd, "metheus"));
    check_json(&proxy, "json\n", "connects");
    CHECK(write_text(fd, "\n"));
    CHECK(read_text(fd, "counting_hosts 0\n"));
    CHECK(read_end(fd));
    close(fd);
    proxy_stop(&proxy);
}

/* Without a plugin, and with one whose table ends before status. */
static void test_no_status(void)
{
    char plugin[1024];

    snprintf(plugin, sizeof(plugin), "[plugin:older]\nlibrary = %s\n",
        hf_build_path("tests/contract/plugin_older.so"));
    for (int i = 0; i < 2; i++) {
        struct proxy proxy;
        char *text;

        proxy_prepare(&proxy);
        proxy.plugin = i == 0 ? "" : plugin;
        proxy_write_config(&proxy, UPSTREAM);
        if (proxy_run(&proxy)) {
            check_answer(&proxy, "json\n", "{}\n");
            text = proxy_answer(&proxy, "prometheus\n");
            CHECK(text && *text == '#' && strchr(text, '\n') == text + strlen(text) - 1);
            free(text);
            hf_process_signal(proxy.process, SIGTERM);
            proxy_check_end(&proxy);
        }
        proxy_free(&proxy);
    }
}

/* For the owner and the group, whatever the mask says; and it is the same socket after a reload. */
static void test_mode(void)
{
    struct proxy proxy;
    struct stat before, after;
    mode_t mask = umask(0);
    bool started = proxy_start(&proxy, UPSTREAM);

    umask(mask);
    if (!started)
        return;
    CHECK_INT_EQ(stat(proxy.socket, &before), 0);
    CHECK_INT_EQ(before.st_mode & 07777, 0660);
    CHECK(proxy_reload(&proxy, RELOADED));
    CHECK_INT_EQ(stat(proxy.socket, &after), 0);
    CHECK_INT_EQ(after.st_ino, before.st_ino);
    CHECK_INT_EQ(after.st_mode & 07777, 0660);
    check_json(&proxy, "json\n", "connects");
    proxy_stop(&proxy);
}

#define REFUSED "the status socket refuses a client"

/* Clients that say nothing are few, and leave after some seconds: as those that do not read. */
static void test_silent_clients(void)
{
    enum { CLIENTS = 40, KEPT = 16 };
    struct proxy proxy;
    int fds[CLIENTS], before, refused = 0;
    pid_t pid;

    if (!proxy_start(&proxy, UPSTREAM))
        return;
    pid = hf_process_pid(proxy.process);
    check_json(&proxy, "json\n", "connects");
    before = hf_fds_count(pid);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = proxy_ask(&proxy, i % 2 ? "" : "js");
    CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, REFUSED), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_fds_count(pid) <= before + KEPT, BOUND_MS));
    for (int i = 0; i < CLIENTS; i++) {
        refused += read_end(fds[i]); /* all are closed without an answer, sooner or later */
        close(fds[i]);
    }
    CHECK_INT_EQ(refused, CLIENTS);
    CHECK(HF_WAIT_UNTIL(hf_fds_count(pid) <= before, BOUND_MS));
    check_json(&proxy, "json\n", "connects");
    proxy_stop(&proxy);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"requests: json, prometheus, an empty line, anything else", test_requests},
        {"a request of 64 bytes without a newline is none", test_long_request},
        {"the end of input ends a request", test_end_of_input},
        {"a request that comes in pieces", test_pieces},
        {"C86 no plugin, or one without status: an empty answer of each form", test_no_status},
        {"the socket is for owner and group, and stays over a reload", test_mode},
        {"clients that say nothing are few and leave", test_silent_clients},
    };

    return hf_suite_run("status_socket", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

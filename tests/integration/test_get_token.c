/* SPDX-License-Identifier: PostgreSQL
 *
 * Tokens that the host program gives: get_token of host_api.h.
 */
#include <pthread.h>

#include "tests/integration/cache_fixture.h"
#include "tests/support/tmpdir.h"

enum { MOST = 8192 }; /* bytes of a token */

/* What get_token gives, and what it was asked. It is called on the worker's thread; what is no
 * atomic is written before a connection asks, or read once `calls` says so. */
static struct {
    const char *_Atomic text; /* NULL: none now */
    int32_t length; /* to say; -1: that of text */
    _Atomic int calls;
    _Atomic hf_conn conn; /* a live one, to call with */
    size_t size;
    char host[64], thread[16];
} giver;

static void call_everything(void)
{
    hf_conn conn = giver.conn;
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    char error[200] = "";

    hf_thread_check(plugin->is_enabled(conn, A) == 0);
    hf_thread_check(plugin->status(HF_STATUS_JSON, NULL, 0) > 0);
    hf_thread_check(
        plugin->explain(conn, A, &answer) == (conn == HF_NO_CONN ? HF_E_INVALID : HF_OK));
    hf_thread_check(plugin->flag_index("b") == B);
    hf_thread_check(plugin->refresh("http://127.0.0.9:9") == HF_E_NOTFOUND);
    conn = hf_test_connect(plugin, "http://127.0.0.3:9");
    hf_thread_check(conn != HF_NO_CONN);
    plugin->on_disconnect(conn);
    plugin->fini(); /* refused, as the next two */
    hf_thread_check(plugin->init(NULL, NULL, 0, error, sizeof(error)) == HF_E_STATE);
    hf_thread_check(plugin->reload(NULL, 0, error, sizeof(error)) == HF_E_STATE);
}

static int32_t give(void *ctx, const char *host, char *buf, size_t size)
{
    const char *text = giver.text;

    (void)ctx;
    if (strcmp(host, "127.0.0.3") == 0) /* that call_everything connects to */
        return -1;
    giver.size = size;
    snprintf(giver.host, sizeof(giver.host), "%s", host);
    pthread_getname_np(pthread_self(), giver.thread, sizeof(giver.thread));
    call_everything();
    giver.calls++;
    if (text == NULL)
        return -1;
    memcpy(buf, text, strlen(text) < size ? strlen(text) : size);
    return giver.length == -1 ? (int32_t)strlen(text) : giver.length;
}

static void forget(void)
{
    giver.text = NULL;
    giver.length = -1;
    giver.calls = 0;
    giver.conn = HF_NO_CONN;
    giver.size = 0;
    giver.host[0] = giver.thread[0] = '\0';
}

static void start_with(const char *text, int32_t length, const char *lines)
{
    struct hf_host host = hf_test_host();

    forget();
    giver.text = text;
    giver.length = length;
    host.get_token = give;
    start_service();
    hf_test_log_clear();
    if (!CHECK_INT_EQ(hf_test_init_with(plugin, &host,
                          "flags = a, b\nallow_http = loopback\nrequest_timeout = 2s\n%s", lines),
            HF_OK))
        fprintf(stderr, "init: %s\n", hf_test_error());
}

static const char *sent_token(size_t i)
{
    const struct hf_flag_request *request = hf_flag_service_request(service, i);

    return request ? hf_flag_request_header(request, "Authorization") : "no request";
}

static void refresh(void)
{
    CHECK(HF_WAIT_UNTIL(plugin->refresh(hf_flag_service_url(service)) == HF_OK, BOUND_MS));
}

/* None now: nothing is sent, until the host program says refresh. Then anew for each request. */
static void test_given(void)
{
    hf_conn conn;
    int calls;

    start_with(NULL, -1, "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TOKEN);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", hf_flag_service_port(service), "last_message",
        "nothing was sent: the host program has no token now"));
    CHECK_INT_EQ(requests(), 0);
    CHECK_INT_EQ(giver.size, MOST);

    giver.text = "token-1";
    giver.conn = conn;
    refresh();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(0), "Bearer token-1");
    calls = giver.calls;
    giver.text = "token-2\n";
    giver.conn = HF_NO_CONN;
    refresh();
    CHECK(HF_WAIT_UNTIL(requests() == 2, BOUND_MS));
    CHECK_STR_EQ(sent_token(1), "Bearer token-2");
    CHECK_INT_EQ(giver.calls, calls + 1);
    stop_all();
}

/* The host's name as the plugin knows it, on the worker's thread. */
static void test_asked(void)
{
    static const char *const rows[][2] = {
        {"https://DB.Example.:8443/", "db.example"},
        {"http://[0:0:0:0:0:0:0:1]:9", "::1"},
        {"http://127.0.0.1:9", "127.0.0.1"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        hf_conn conn;

        start_with(NULL, -1, "");
        conn = hf_test_connect(plugin, rows[i][0]);
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        CHECK_STR_EQ(giver.host, rows[i][1]);
        CHECK_STR_EQ(giver.thread, "hostflags");
        stop_all();
    }
}

static void test_lengths(void)
{
    static const struct {
        const char *text;
        int32_t length;
        const char *said;
    } rows[] = {
        {"token", 0, "nothing was sent: the host program holds no token: it is empty"},
        {"token", INT32_MIN, "nothing was sent: the host program has no token now"},
        {"token", MOST + 1,
            "nothing was sent: the host program gave no token: its length is over 8192 bytes"},
        {"token", INT32_MAX,
            "nothing was sent: the host program gave no token: its length is over 8192 bytes"},
        {"tok\r\nX: y", -1,
            "nothing was sent: the host program holds no token: expected printable ASCII without "
            "blanks"},
        {"tok\xc3\xa4", -1,
            "nothing was sent: the host program holds no token: expected printable ASCII without "
            "blanks"},
    };
    char longest[MOST + 1], expected[MOST + 16];
    hf_conn conn;

    for (size_t i = 0; i < COUNT(rows); i++) {
        start_with(rows[i].text, rows[i].length, "");
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TOKEN);
        CHECK(hf_test_status_is(
            plugin, "127.0.0.1", hf_flag_service_port(service), "last_message", rows[i].said));
        CHECK_INT_EQ(requests(), 0);
        stop_all();
    }
    memset(longest, 'x', MOST);
    longest[MOST] = '\0';
    snprintf(expected, sizeof(expected), "Bearer %s", longest);
    start_with(longest, -1, "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK(sent_token(0) != NULL && strcmp(sent_token(0), expected) == 0);
    stop_all();
}

/* Also where these lead to no token: the operator has said where it comes from. */
static void test_settings_first(void)
{
    char *directory = hf_tmpdir_create(), *file = hf_tmpdir_write(directory, "t", "token-f");
    char lines[3][512];

    snprintf(lines[0], sizeof(lines[0]), "token_file = %s\nallowed_hosts = 127.0.0.1\n", file);
    snprintf(lines[1], sizeof(lines[1]), "token_env = HF_TEST_TOKEN\nallowed_hosts = 127.0.0.1\n");
    snprintf(lines[2], sizeof(lines[2]), "token_file = %s/absent/{host}\n", directory);
    setenv("HF_TEST_TOKEN", "token-e", 1);
    for (size_t i = 0; i < COUNT(lines); i++) {
        hf_conn conn;

        start_with("token-g", -1, lines[i]);
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
        if (i < 2)
            CHECK_STR_EQ(sent_token(0), i == 0 ? "Bearer token-f" : "Bearer token-e");
        else
            CHECK_INT_EQ(requests(), 0);
        CHECK_INT_EQ(giver.calls, 0);
        stop_all();
    }
    unsetenv("HF_TEST_TOKEN");
    hf_tmpdir_remove(directory);
    free(file);
}

/* There is no file to look at: the host program says when it has another token. */
static void test_rejected(void)
{
    hf_conn conn;

    start_with("token-1", -1, "");
    hf_flag_service_set_status(service, 401);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    CHECK_INT_BETWEEN(hf_test_explain(plugin, conn, A).next_refresh_ms, 14 * 60000, 17 * 60000);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", hf_flag_service_port(service), "last_message",
        "401: the token of 7 bytes from the host program was sent and rejected"));
    hf_flag_service_set_status(service, 200);
    giver.text = "token-2";
    CHECK(HF_STAYS(requests() == 1 && giver.calls == 1, 4000));
    refresh();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(1), "Bearer token-2");
    stop_all();
}

/* A host of an older version, whose table ends before the member. */
static void test_older_host(void)
{
    struct hf_host host = hf_test_host();
    hf_conn conn;

    forget();
    host.get_token = give;
    host.hdr.size = offsetof(struct hf_host, get_token);
    start_service();
    CHECK_INT_EQ(hf_test_init_with(plugin, &host, "flags = a, b\nallow_http = loopback\n"), HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_STR_EQ(sent_token(0), NULL);
    CHECK_INT_EQ(giver.calls, 0);
    stop_all();
}

static const struct hf_test tests[] = {
    {"C28 C56 none now, then one by refresh, anew for each request; it calls everything",
        test_given},
    {"C17 C28 it is asked by the normalised name, on the worker's thread", test_asked},
    {"C28 C87 lengths and bytes that are no token: nothing is sent; the longest one is",
        test_lengths},
    {"C28 the settings come first, also where they lead to no token", test_settings_first},
    {"C66 401: asked again after 15 min, or by refresh", test_rejected},
    {"C86 an older host, without get_token", test_older_host},
};

int main(int argc, char **argv)
{
    return run_tests("get_token", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_streams.c: what the proxy makes of the streams themselves: half-close, back-pressure,
 * servers that speak first, peers that are not there. The upstream is a socket of the test.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/fds.h"

/* A proxy in front of a listening socket, and one session: both ends of it. */
struct session {
    struct proxy proxy;
    int listener, client, upstream;
};

static void session_close(struct session *session)
{
    close(session->client);
    close(session->upstream);
    close(session->listener);
    proxy_stop(&session->proxy);
}

static bool session_open(struct session *session, const char *options)
{
    session->listener = hf_net_listen("127.0.0.1", 0);
    proxy_prepare(&session->proxy);
    session->proxy.options = options;
    proxy_write_config(&session->proxy,
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\n",
        hf_net_port(session->listener));
    if (!proxy_run(&session->proxy)) {
        proxy_free(&session->proxy);
        close(session->listener);
        return false;
    }
    session->client = connect_to(proxy_port(&session->proxy, "a"));
    session->upstream = accept_from(session->listener);
    CHECK(session->client >= 0);
    CHECK(session->upstream >= 0);
    return true;
}

static void check_no_session(struct session *session)
{
    CHECK(HF_WAIT_UNTIL(proxy_count(&session->proxy, "connections") == 0, BOUND_MS));
}

static void test_client_half_closes(void)
{
    struct session session;

    if (!session_open(&session, NULL))
        return;
    CHECK(write_text(session.client, "the whole request"));
    shutdown(session.client, SHUT_WR);
    CHECK(read_text(session.upstream, "the whole request"));
    CHECK(read_end(session.upstream));
    CHECK_INT_EQ(proxy_count(&session.proxy, "connections"), 1);
    CHECK(write_text(session.upstream, "the answer"));
    CHECK(read_text(session.client, "the answer"));
    CHECK(write_text(session.upstream, ", and more"));
    CHECK(read_text(session.client, ", and more"));
    CHECK_INT_EQ(proxy_count(&session.proxy, "connections"), 1);
    shutdown(session.upstream, SHUT_WR);
    CHECK(read_end(session.client));
    check_no_session(&session);
    session_close(&session);
}

static void test_upstream_half_closes(void)
{
    struct session session;

    if (!session_open(&session, NULL))
        return;
    CHECK(write_text(session.upstream, "hello and goodbye"));
    shutdown(session.upstream, SHUT_WR);
    CHECK(read_text(session.client, "hello and goodbye"));
    CHECK(read_end(session.client));
    CHECK(write_text(session.client, "still here"));
    CHECK(read_text(session.upstream, "still here"));
    CHECK_INT_EQ(proxy_count(&session.proxy, "connections"), 1);
    shutdown(session.client, SHUT_WR);
    CHECK(read_end(session.upstream));
    check_no_session(&session);
    session_close(&session);
}

/* A half-closed session lives as long as something moves, and not much longer. */
static void test_half_close_timeout(void)
{
    struct session session;
    int64_t end_ms, timeout_ms = hf_wait_slow_ms(1000);
    char option[64];

    snprintf(option, sizeof(option), "half_close_timeout = %lldms\n", (long long)timeout_ms);
    if (!session_open(&session, option))
        return;
    shutdown(session.client, SHUT_WR);
    CHECK(read_end(session.upstream));
    end_ms = hf_wait_now_ms() + 5 * timeout_ms / 2;
    do {
        CHECK(write_text(session.upstream, "."));
        CHECK(read_text(session.client, "."));
    } while (hf_wait_nap(end_ms));
    CHECK_INT_EQ(proxy_count(&session.proxy, "connections"), 1);
    check_no_session(&session);
    CHECK(read_end(session.client));
    session_close(&session);
}

static void test_reset(void)
{
    struct session session;

    if (!session_open(&session, NULL))
        return;
    CHECK(write_text(session.client, "x"));
    CHECK(read_text(session.upstream, "x"));
    hf_net_reset(session.client);
    close(session.client);
    session.client = -1;
    CHECK(read_end(session.upstream));
    check_no_session(&session);
    session_close(&session);
}

/* A byte of the stream, by its position: no two neighbouring blocks of it are equal. */
static char byte_at(size_t position)
{
    return (char)(position * 31 + position / 251 + position / 65521);
}

/* Sends what the socket takes now, from `sent` to `total`. */
static size_t send_some(int fd, size_t sent, size_t total)
{
    char bytes[65536];
    size_t length = total - sent < sizeof(bytes) ? total - sent : sizeof(bytes);
    ssize_t took;

    for (size_t i = 0; i < length; i++)
        bytes[i] = byte_at(sent + i);
    took = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return took > 0 ? sent + (size_t)took : sent;
}

/* Sends until nothing has been taken for 300 ms. */
static size_t send_until_full(int fd, size_t total)
{
    int64_t end_ms = hf_wait_now_ms() + hf_wait_slow_ms(300);
    size_t sent = 0, before;

    do {
        before = sent;
        sent = send_some(fd, sent, total);
        if (sent > before)
            end_ms = hf_wait_now_ms() + hf_wait_slow_ms(300);
    } while (sent < total && (sent > before || hf_wait_nap(end_ms)));
    return sent;
}

/* Reads what is there and compares it; returns the new position, or SIZE_MAX: wrong bytes. */
static size_t receive_some(int fd, size_t received)
{
    char bytes[65536];
    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] != byte_at(received + (size_t)i))
            return SIZE_MAX;
    return got > 0 ? received + (size_t)got : received;
}

static bool move_rest(int from, int to, size_t sent, size_t total)
{
    int64_t end_ms = hf_wait_now_ms() + hf_wait_slow_ms(2 * BOUND_MS);
    size_t received = 0;

    while (received < total && hf_wait_now_ms() < end_ms) {
        sent = sent < total ? send_some(from, sent, total) : sent;
        received = receive_some(to, received);
        if (received == SIZE_MAX)
            return false;
    }
    return received == total;
}

/* 64 MiB to a reader that does not read at first: the sender is stopped, the proxy does not grow
 * (by less than 1 MB, but sanitizers keep freed memory for a while), and everything arrives once it
 * is read. */
static void check_back_pressure(struct session *session, int from, int to)
{
    const size_t total = 64 * 1024 * 1024;
    pid_t pid = hf_process_pid(session->proxy.process);
    long before_kb = hf_fds_resident_kb(pid);
    size_t sent = send_until_full(from, total);

    CHECK_INT_BETWEEN(sent, 1, total / 2);
    CHECK_INT_BETWEEN(hf_fds_resident_kb(pid) - before_kb, -65536, 32768);
    CHECK(move_rest(from, to, sent, total));
    CHECK_INT_BETWEEN(hf_fds_resident_kb(pid) - before_kb, -65536, 32768);
}

static void test_slow_client(void)
{
    struct session session;

    if (!session_open(&session, NULL))
        return;
    check_back_pressure(&session, session.upstream, session.client);
    session_close(&session);
}

static void test_slow_upstream(void)
{
    struct session session;

    if (!session_open(&session, NULL))
        return;
    check_back_pressure(&session, session.client, session.upstream);
    session_close(&session);
}

/* What was sent before the FIN arrives, also where the reader is slow. */
static void test_flush_before_end(void)
{
    const size_t total = 8 * 1024 * 1024;
    struct session session;
    size_t received = 0;
    int64_t end_ms = hf_wait_now_ms() + hf_wait_slow_ms(BOUND_MS);

    if (!session_open(&session, NULL))
        return;
    for (size_t sent = 0; sent < total && hf_wait_now_ms() < end_ms;) {
        sent = send_some(session.upstream, sent, total);
        if (sent > 2 * 1024 * 1024)
            received = receive_some(session.client, received);
    }
    close(session.upstream);
    session.upstream = -1;
    while (received < total && hf_wait_now_ms() < end_ms)
        received = receive_some(session.client, received);
    CHECK_INT_EQ(received, total);
    CHECK(read_end(session.client));
    session_close(&session);
}

/* A greeting that arrives while the connection is idle in the pool waits for the client. */
static void test_speaks_first(void)
{
    int listener = hf_net_listen("127.0.0.1", 0), upstream, client;
    struct proxy proxy;

    if (!proxy_start(&proxy,
            "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 1\n",
            hf_net_port(listener))) {
        close(listener);
        return;
    }
    upstream = accept_from(listener);
    CHECK(write_text(upstream, "220 welcome"));
    CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "connections") == 1, BOUND_MS));
    client = connect_to(proxy_port(&proxy, "a"));
    CHECK(read_text(client, "220 welcome"));
    CHECK(write_text(client, "EHLO"));
    CHECK(read_text(upstream, "EHLO"));
    close(client);
    close(upstream);
    close(listener);
    proxy_stop(&proxy);
}

static void test_dead_upstream(void)
{
    const char *address = "127.0.0.1";
    uint16_t port = hf_net_free_port(&address, 1);
    struct proxy proxy;
    int client, listener, accepted[4];

    if (!proxy_start(&proxy,
            "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 4\n", port))
        return;
    client = connect_to(proxy_port(&proxy, "a"));
    CHECK(read_end(client));
    close(client);
    CHECK(HF_WAIT_UNTIL(
        proxy_logged(&proxy, "connection refused; its client is disconnected"), BOUND_MS));
    CHECK(proxy_logged(&proxy, "WARNING: upstream `a`: cannot connect to 127.0.0.1:"));
    /* 100 ms + 200 + 400 + 800 and so on for each of two loops: no busy loop. */
    CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "the pool tries again in 800 ms"), BOUND_MS));
    CHECK_INT_BETWEEN(hf_process_count(proxy.process, HF_STDERR, "the pool tries again in"), 4, 16);
    listener = hf_net_listen("127.0.0.1", port);
    for (int i = 0; i < 4; i++)
        CHECK((accepted[i] = accept_from(listener)) >= 0);
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "127.0.0.1") == 4, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, "can be reached again"), BOUND_MS));
    for (int i = 0; i < 4; i++)
        close(accepted[i]);
    close(listener);
    proxy_stop(&proxy);
}

/* A server that accepts and closes at once is not asked in a busy loop either. */
static void test_closing_upstream(void)
{
    int listener = hf_net_listen("127.0.0.1", 0);
    struct proxy proxy;
    int64_t end_ms;
    size_t accepted = 0;

    if (!proxy_start(&proxy,
            "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 2\n",
            hf_net_port(listener))) {
        close(listener);
        return;
    }
    end_ms = hf_wait_now_ms() + 1500;
    do {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            accepted++;
            close(fd);
        }
    } while (hf_wait_nap(end_ms));
    CHECK_INT_BETWEEN(accepted, 2, 16);
    CHECK(HF_WAIT_UNTIL(
        proxy_logged(&proxy, "lost at once an idle connection to 127.0.0.1:"), BOUND_MS));
    close(listener);
    proxy_stop(&proxy);
}

/* A name that no resolver is even asked for: its first label has 64 letters. */
#define IMPOSSIBLE_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid"

static void test_unknown_name(void)
{
    struct proxy proxy;
    int client;

    if (!proxy_start(
            &proxy, "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = " IMPOSSIBLE_NAME ":5432\n"))
        return;
    client = connect_to(proxy_port(&proxy, "a"));
    CHECK(read_end(client));
    close(client);
    CHECK(HF_WAIT_UNTIL(
        proxy_logged(&proxy, "upstream `a`: cannot connect to " IMPOSSIBLE_NAME ":5432: "),
        BOUND_MS));
    CHECK_INT_EQ(proxy_count(&proxy, "connects"), 0);
    proxy_stop(&proxy);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a client that has sent everything still gets its answer", test_client_half_closes},
        {"an upstream that has sent everything still gets the rest", test_upstream_half_closes},
        {"a half-closed session ends when nothing moves any more", test_half_close_timeout},
        {"a reset client ends its session", test_reset},
        {"64 MiB to a slow client: bounded memory, every byte", test_slow_client},
        {"64 MiB to a slow upstream: bounded memory, every byte", test_slow_upstream},
        {"what was sent before the end arrives before the end", test_flush_before_end},
        {"a server that speaks first to an idle connection is heard", test_speaks_first},
        {"a dead upstream: clients are told, the pool backs off and recovers", test_dead_upstream},
        {"an upstream that closes at once is asked with backoff", test_closing_upstream},
        {"an upstream whose name does not resolve", test_unknown_name},
    };

    return hf_suite_run("proxy_streams", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

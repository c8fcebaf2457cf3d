/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_abuse.c: the proxy among those who mean no good, or do not know what they do: started
 * without standard descriptors or with a log that nobody reads, short of descriptors, asked for its
 * status by clients that do not listen, told to reload what is no file.
 */
#include "tests/integration/proxy_fixture.h"

#include <sys/resource.h>

#include "tests/support/echo_server.h"
#include "tests/support/fds.h"

static const char *const loopback = "127.0.0.1";

#define UPSTREAM "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\n"

static bool has_status(struct proxy *proxy)
{
    char *status = proxy_status(proxy);

    free(status);
    return status != NULL;
}

/* Has a shell do `before`, where $2 is a path in the proxy's directory, and become the proxy, which
 * has to answer and to end well. `while_running` may be NULL. */
static void check_start(const char *before, void (*while_running)(pid_t pid))
{
    struct proxy proxy;
    char script[256], *fifo;
    int status = -1;

    proxy_prepare(&proxy);
    proxy_write_config(&proxy, UPSTREAM, 1u);
    fifo = hf_tmpdir_path(proxy.directory, "fifo");
    CHECK_INT_EQ(mkfifo(fifo, 0600), 0);
    snprintf(script, sizeof(script), "%s; exec \"$0\" --config \"$1\"", before);
    proxy.process = hf_process_start(&(struct hf_process_options){
        .argv = (const char *const[]){
            "sh", "-c", script, hf_build_path("hostflags-host"), proxy.config, fifo, NULL}});
    if (CHECK(HF_WAIT_UNTIL(has_status(&proxy), BOUND_MS)) && while_running)
        while_running(hf_process_pid(proxy.process));
    hf_process_signal(proxy.process, SIGTERM);
    CHECK(hf_process_wait_exit(proxy.process, BOUND_MS, &status));
    CHECK_INT_EQ(status, 0);
    free(fifo);
    proxy_free(&proxy);
}

/* Each one is a pipe of the fixture, or /dev/null: not something that the program has opened. */
static void check_standard_descriptors(pid_t pid)
{
    char *all = hf_fds_text(pid), line[32];

    for (int fd = 0; fd <= 2; fd++) {
        char path[64], target[256] = "";

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        CHECK(readlink(path, target, sizeof(target) - 1) > 0);
        if (strncmp(target, "pipe:", 5) == 0) { /* nobody else in the program has it */
            snprintf(line, sizeof(line), " %.30s", target);
            CHECK(strstr(all, line) && !strstr(strstr(all, line) + 1, line));
        } else {
            CHECK_STR_EQ(target, "/dev/null");
        }
    }
    free(all);
}

static void test_closed_descriptors(void)
{
    check_start("exec 0<&-", check_standard_descriptors);
    check_start("exec 1>&-", check_standard_descriptors);
    check_start("exec 2>&-", check_standard_descriptors);
    check_start("exec 0<&- 1>&- 2>&-", check_standard_descriptors);
}

/* A FIFO that was opened for writing while somebody read it, and nobody does any more. */
static void test_broken_log(void)
{
    check_start("exec 3<>\"$2\" 2>\"$2\" 3>&-", NULL);
}

/* How much the status is; 0: no answer. */
static size_t status_length(struct proxy *proxy)
{
    char bytes[4096];
    size_t length = 0;
    ssize_t got;
    int fd = proxy_ask(proxy, "json\n");

    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        length += (size_t)got;
    if (fd >= 0)
        close(fd);
    return length;
}

enum { HOSTS = 64, FLAGS = 64, LARGE = 600000 /* bytes: more than a socket takes at once */ };

/* A configuration whose status is large: long flag names, many hosts. */
static void write_large_config(struct proxy *proxy, uint16_t port)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    fprintf(file, "[proxy]\nthreads = 1\nstatus_socket = %s\n", proxy->socket);
    fprintf(file, "[plugin:hostflags]\nlibrary = %s\n", hf_build_path("hostflags.so"));
    fputs("allow_http = loopback\nservice = http://127.0.0.1:1\n", file);
    for (int i = 0; i < FLAGS; i++)
        fprintf(file, "flags = %0150d\n", i);
    for (int i = 0; i < HOSTS; i++)
        fprintf(file,
            "[upstream:u%d]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\nhost = h%d.test\n"
            "pool_size = 1\n",
            i, port, i);
    fclose(file);
    free(hf_tmpdir_write(proxy->directory, "proxy.ini", text));
    free(text);
}

#define REFUSED "the status socket refuses a client"

/* 40 clients ask and do not read: 16 are kept, for some seconds; the others hear so at once. */
static void check_deaf_clients(struct proxy *proxy)
{
    enum { CLIENTS = 40, KEPT = 16 };
    int fds[CLIENTS], before, refused = 0;
    pid_t pid = hf_process_pid(proxy->process);

    CHECK(HF_WAIT_UNTIL(status_length(proxy) > LARGE, BOUND_MS));
    before = hf_fds_count(pid);
    for (int i = 0; i < CLIENTS; i++) {
        char byte;

        fds[i] = proxy_ask(proxy, "json\n");
        CHECK(HF_WAIT_UNTIL(recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0, BOUND_MS));
        refused += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    CHECK(refused > 0);
    CHECK(HF_WAIT_UNTIL(proxy_logged(proxy, REFUSED), BOUND_MS));
    CHECK_INT_EQ(hf_process_count(proxy->process, HF_STDERR, REFUSED), 1);
    CHECK(HF_WAIT_UNTIL(hf_fds_count(pid) <= before + KEPT, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_fds_count(pid) <= before, BOUND_MS));
    CHECK(status_length(proxy) > LARGE);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static void test_deaf_status_clients(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;

    proxy_prepare(&proxy);
    proxy.plugin = "";
    write_large_config(&proxy, hf_echo_port(echo));
    if (proxy_run(&proxy)) {
        CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == HOSTS, BOUND_MS));
        check_deaf_clients(&proxy);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    proxy_free(&proxy);
    hf_echo_stop(echo);
}

#define NO_ACCEPT "cannot accept a client of upstream `a`: Too many open files"

/* The program cannot open any more descriptor, and later it can. */
static void test_no_descriptors(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    struct rlimit old, none;
    int client;

    if (proxy_start(&proxy, UPSTREAM, hf_echo_port(echo))) {
        pid_t pid = hf_process_pid(proxy.process);

        CHECK_INT_EQ(prlimit(pid, RLIMIT_NOFILE, NULL, &old), 0);
        none = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
        CHECK_INT_EQ(prlimit(pid, RLIMIT_NOFILE, &none, NULL), 0);
        client = connect_to(proxy_port(&proxy, "a"));
        CHECK(write_text(client, "ping"));
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, NO_ACCEPT), BOUND_MS));
        CHECK(HF_STAYS(hf_process_count(proxy.process, HF_STDERR, NO_ACCEPT) == 1, 1000));
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, " more since the last report)"), BOUND_MS));
        CHECK_INT_EQ(hf_process_count(proxy.process, HF_STDERR, NO_ACCEPT), 2);
        CHECK_INT_EQ(prlimit(pid, RLIMIT_NOFILE, &old, NULL), 0);
        CHECK(read_text(client, "ping"));
        close(client);
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

static void test_upstream_down(void)
{
    const char *lost = "its client is disconnected";
    uint16_t port = hf_net_free_port(&loopback, 1);
    struct proxy proxy;
    int64_t start_ms;

    proxy_prepare(&proxy);
    proxy.threads = 1;
    proxy_write_config(&proxy, UPSTREAM, port);
    if (proxy_run(&proxy)) {
        start_ms = hf_wait_now_ms();
        for (int i = 0; i < 100; i++) {
            int client = connect_to(proxy_port(&proxy, "a"));

            CHECK(read_end(client));
            close(client);
        }
        CHECK(HF_WAIT_UNTIL(proxy_logged(&proxy, lost), BOUND_MS));
        CHECK_INT_BETWEEN(hf_process_count(proxy.process, HF_STDERR, lost), 1,
            1 + (hf_wait_now_ms() - start_ms) / 10000);
        hf_process_signal(proxy.process, SIGTERM);
        proxy_check_end(&proxy);
    }
    proxy_free(&proxy);
}

/* The configuration file has become a FIFO into which nobody writes. */
static void test_fifo_config(void)
{
    struct hf_echo *echo = hf_echo_start(&loopback, 1, 0);
    struct proxy proxy;
    int client;

    if (proxy_start(&proxy, UPSTREAM, hf_echo_port(echo))) {
        unlink(proxy.config);
        CHECK_INT_EQ(mkfifo(proxy.config, 0600), 0);
        if (proxy_reload(&proxy, NOT_RELOADED)) {
            CHECK(proxy_logged(&proxy, "proxy.ini: it is not a regular file; expected"));
            client = connect_to(proxy_port(&proxy, "a"));
            CHECK(write_text(client, "ping"));
            CHECK(read_text(client, "ping"));
            close(client);
        }
        proxy_stop(&proxy);
    }
    hf_echo_stop(echo);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"standard descriptors that are closed at the start", test_closed_descriptors},
        {"a log that nobody reads", test_broken_log},
        {"clients of the status socket that do not read are few and leave",
            test_deaf_status_clients},
        {"out of descriptors: one line in 10 s, with the count of the others", test_no_descriptors},
        {"an upstream that is down: one line for many clients", test_upstream_down},
        {"SIGHUP: a FIFO for a configuration file blocks nothing", test_fifo_config},
    };

    return hf_suite_run("proxy_abuse", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

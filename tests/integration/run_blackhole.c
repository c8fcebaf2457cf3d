/* SPDX-License-Identifier: PostgreSQL
 *
 * A host program whose name server never answers: in a mount namespace of its own, resolv.conf
 * names a loopback address on which a UDP socket is bound and silent.
 *
 *     run_blackhole PLUGIN [timeout]
 *
 * Connects, waits until the look-up has reached the name server, prints "inheritable descriptors:
 * N" (how many more than before), calls fini, prints "fini took N ms" and ends, with the resolver's
 * thread still waiting. With "timeout" it waits until the look-up has timed out, before it calls
 * fini, and prints "last error: WORD" and "timed out after N ms". Exit status 77: the machine does
 * not allow this, and the reason is printed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/host.h"
#include "tests/support/name_server.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define TIMEOUT "1500ms" /* of the second form */
#define SETTLE_MS 2000
#define NOT_ALLOWED 77
#define MOST_DESCRIPTORS 1024

static void skip(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(NOT_ALLOWED);
}

static void enter_namespace(void)
{
    const char *refused = hf_name_server_cover();

    if (refused)
        skip(refused);
}

static int bind_name_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, HF_NAME_SERVER, &address.sin_addr);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        skip("port 53 of " HF_NAME_SERVER " cannot be bound here");
    return fd;
}

/* Open descriptors that are not close-on-exec. */
static int count_inheritable(void)
{
    int count = 0;

    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++) {
        int flags = fcntl(fd, F_GETFD);

        count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
}

/* The look-up began at started_ms. */
static int check_timeout(const struct hf_plugin *plugin, hf_conn conn, int64_t started_ms)
{
    char *word;

    if (!HF_WAIT_UNTIL(hf_test_explain(plugin, conn, 0).last_error != HF_FETCH_OK, BOUND_MS))
        return 6;
    printf("timed out after %lld ms\n", (long long)(hf_wait_now_ms() - started_ms));
    word = hf_test_status_string(plugin, "silent.example.com", 0, "last_error");
    printf("last error: %s\n", word ? word : "none");
    free(word);
    return 0;
}

/* before: of those that are inheritable. The query may be here before the worker has seen to what
 * the look-up opened. */
static int check_lookup(const struct hf_plugin *plugin, hf_conn conn, int before)
{
    if (plugin->is_enabled(conn, 0) != 0 || hf_test_explain(plugin, conn, 0).next_refresh_ms != 0)
        return 5;
    (void)HF_WAIT_UNTIL(count_inheritable() == before, SETTLE_MS);
    printf("inheritable descriptors: %d\n", count_inheritable() - before);
    return 0;
}

int main(int argc, char **argv)
{
    bool times_out = argc == 3 && strcmp(argv[2], "timeout") == 0;
    int inheritable = count_inheritable(), failed;
    const struct hf_plugin *plugin;
    struct pollfd query = {.events = POLLIN};
    int64_t started_ms;
    hf_conn conn;

    if (argc != 2 && !times_out)
        return 2;
    enter_namespace();
    query.fd = bind_name_server();
    plugin = hf_test_host_load(argv[1]);
    if (!plugin ||
        hf_test_init(plugin, "flags = a\nconnect_timeout = %s\nrequest_timeout = 5min\n",
            times_out ? TIMEOUT : "5min") != HF_OK)
        return 3;
    started_ms = hf_wait_now_ms();
    conn = hf_test_connect(plugin, "silent.example.com");
    if (poll(&query, 1, (int)hf_wait_slow_ms(BOUND_MS)) != 1)
        return 4;
    failed = times_out ? check_timeout(plugin, conn, started_ms)
                       : check_lookup(plugin, conn, inheritable);
    if (failed != 0)
        return failed;
    started_ms = hf_wait_now_ms();
    plugin->fini();
    printf("fini took %lld ms\n", (long long)(hf_wait_now_ms() - started_ms));
    plugin->fini();
    return 0;
}

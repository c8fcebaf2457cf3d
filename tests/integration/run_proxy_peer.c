/* SPDX-License-Identifier: PostgreSQL
 *
 * run_proxy_peer.c: a peer of the proxy in a process of its own, for tests to kill.
 *
 *     run_proxy_peer client PORT COUNT    opens connections, checks an echo on each, says "ready"
 *     run_proxy_peer server PORT          an echo server; says "ready"
 *
 * Both then do nothing until they are killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/echo_server.h"
#include "tests/support/load_client.h"

__attribute__((noreturn)) static void wait_to_be_killed(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static int be_client(uint16_t port, size_t count)
{
    const struct hf_load_target target = {"127.0.0.1", port};
    const struct hf_load_options options = {
        .targets = &target, .target_count = 1, .connections = count, .payload_bytes = 100};
    struct hf_load_counts counts;
    struct hf_load *load = hf_load_start(&options);

    if (!load || !hf_load_wait_round(load, 20000))
        return 1;
    hf_load_get_counts(load, &counts);
    if (counts.done == count)
        wait_to_be_killed();
    return 1;
}

static int be_server(uint16_t port)
{
    const char *address = "127.0.0.1";

    if (hf_echo_start(&address, 1, port))
        wait_to_be_killed();
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "client") == 0)
        return be_client((uint16_t)atoi(argv[2]), (size_t)atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        return be_server((uint16_t)atoi(argv[2]));
    fputs("usage: run_proxy_peer client PORT COUNT | server PORT\n", stderr);
    return 2;
}

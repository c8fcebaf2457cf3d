/* SPDX-License-Identifier: PostgreSQL
 *
 * processes_fixture.h: a proxy with four workers, for the tests of `processes`: who they are, by
 * the master's log, and clients that all of them serve. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_PROCESSES_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_PROCESSES_FIXTURE_H

#include "tests/integration/proxy_fixture.h"
#include "tests/support/echo_server.h"
#include "tests/support/fds.h"

/* Of so many clients a worker of four gets none once in a hundred million runs. */
enum { WORKERS = 4, CLIENTS = 72 };

static const char *const loopback = "127.0.0.1";

struct world {
    struct hf_echo *echo;
    struct proxy proxy;
    int clients[CLIENTS];
};

#define UPSTREAM(name, more) \
    "[upstream:" name "]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\n" more

/* Four workers with the upstream `a`; options: further lines of [proxy]. */
FIXTURE bool world_start(struct world *world, const char *options)
{
    world->echo = hf_echo_start(&loopback, 1, 0);
    proxy_prepare(&world->proxy);
    world->proxy.options = options;
    proxy_write_config(&world->proxy, UPSTREAM("a", ""), hf_echo_port(world->echo));
    return proxy_run(&world->proxy);
}

/* Ends what has ended or was never to end well. */
FIXTURE void world_free(struct world *world)
{
    proxy_free(&world->proxy);
    hf_echo_stop(world->echo);
}

FIXTURE void world_stop(struct world *world)
{
    hf_process_signal(world->proxy.process, SIGTERM);
    proxy_check_end(&world->proxy);
    world_free(world);
}

/* The latest pid of a worker, by its number from 1; 0: there was none. */
FIXTURE pid_t worker_pid(struct proxy *proxy, int number)
{
    char *log = hf_process_output(proxy->process, HF_STDERR), start[64];
    long pid = 0;

    snprintf(start, sizeof(start), "worker %d of 4 is pid ", number);
    for (char *at = log; (at = strstr(at, start));) {
        at += strlen(start);
        pid = strtol(at, NULL, 10);
    }
    free(log);
    return (pid_t)pid;
}

FIXTURE void worker_pids(struct proxy *proxy, pid_t pids[WORKERS])
{
    for (int i = 0; i < WORKERS; i++)
        pids[i] = worker_pid(proxy, i + 1);
}

/* The sockets of a worker: its listener, and two for each session; 0: there is no such process. */
FIXTURE int worker_sockets(pid_t pid)
{
    char *text = hf_fds_text(pid);
    int count = 0;

    for (const char *at = text; at && (at = strstr(at, "socket:")); at++)
        count++;
    free(text);
    return count;
}

/* Signals a process that the proxy has told us, and no other. */
FIXTURE void signal_worker(pid_t pid, int number)
{
    if (CHECK(pid > 1))
        kill(pid, number);
}

FIXTURE bool is_alive(int client)
{
    return write_text(client, "again") && read_text(client, "again");
}

/* CLIENTS sessions that have exchanged some bytes. */
FIXTURE void open_clients(struct world *world, const char *upstream)
{
    uint16_t port = proxy_port(&world->proxy, upstream);

    for (int i = 0; i < CLIENTS; i++) {
        world->clients[i] = connect_to(port);
        CHECK(is_alive(world->clients[i]));
    }
}

FIXTURE void close_clients(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++)
        close(world->clients[i]);
}

/* Whether nobody listens there. (A listener that is being closed may still take a client.) */
FIXTURE bool is_refused(uint16_t port)
{
    int fd = connect_to(port);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

#endif

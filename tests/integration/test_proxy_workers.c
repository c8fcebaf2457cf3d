/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_workers.c: how workers and their master end: one that dies is replaced, SIGTERM drains
 * all, a dead master leaves nobody behind. The rest of `processes`: test_proxy_processes.c.
 */
#include <sys/prctl.h>

#include "tests/integration/processes_fixture.h"

/* Whether a worker whose master is dead ends well: it has come to us (PR_SET_CHILD_SUBREAPER). One
 * that does not end is killed. */
static bool ends_well(pid_t pid)
{
    int status = -1;

    if (HF_WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid, BOUND_MS / WORKERS))
        return status == 0;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

/* The sessions of the one are lost, those of the others go on. */
static void test_replaced(void)
{
    struct world world;
    pid_t pids[WORKERS];
    char line[128];
    int lost, dead = 0;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    worker_pids(&world.proxy, pids);
    open_clients(&world, "a");
    lost = (worker_sockets(pids[1]) - 1) / 2;
    CHECK(lost > 0);
    signal_worker(pids[1], SIGKILL);
    snprintf(line, sizeof(line),
        "WARNING: worker 2 (pid %d) was ended by signal 9 (Killed); it is replaced", (int)pids[1]);
    CHECK(HF_WAIT_UNTIL(proxy_logged(&world.proxy, line), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(worker_pid(&world.proxy, 2) != pids[1], BOUND_MS));
    CHECK(HF_WAIT_UNTIL(
        hf_process_count(world.proxy.process, HF_STDERR, "worker 2 accepts clients") == 2,
        BOUND_MS));
    for (int i = 0; i < CLIENTS; i++)
        dead += !is_alive(world.clients[i]);
    CHECK_INT_EQ(dead, lost);
    close_clients(&world);
    open_clients(&world, "a");
    CHECK(worker_sockets(worker_pid(&world.proxy, 2)) > 1);
    close_clients(&world);
    for (int i = 0; i < WORKERS; i++)
        CHECK(i == 1 || worker_pid(&world.proxy, i + 1) == pids[i]);
    world_stop(&world);
}

/* Its fourth start comes three seconds after the first, at least. */
static void test_crash_loop(void)
{
    struct world world;
    int64_t start_ms = hf_wait_now_ms();
    pid_t pid;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    for (int i = 0; i < 3; i++) {
        pid = worker_pid(&world.proxy, 4);
        signal_worker(pid, SIGKILL);
        CHECK(HF_WAIT_UNTIL(worker_pid(&world.proxy, 4) != pid, BOUND_MS));
    }
    CHECK(hf_wait_now_ms() - start_ms >= 3000);
    CHECK(proxy_logged(&world.proxy, "ms, a second after its start"));
    world_stop(&world);
}

/* Told to end by itself: also replaced. */
static void test_one_told_to_end(void)
{
    struct world world;
    char line[128];
    pid_t pid;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    pid = worker_pid(&world.proxy, 1);
    signal_worker(pid, SIGTERM);
    snprintf(line, sizeof(line), "worker 1 (pid %d) ended with status 0; it is replaced", (int)pid);
    CHECK(HF_WAIT_UNTIL(proxy_logged(&world.proxy, line), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(worker_pid(&world.proxy, 1) != pid, BOUND_MS));
    world_stop(&world);
}

/* A service manager may signal all processes of a service: that is no second signal. */
static void test_drain(void)
{
    struct world world;
    pid_t pids[WORKERS];
    uint16_t port;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    port = proxy_port(&world.proxy, "a");
    worker_pids(&world.proxy, pids);
    open_clients(&world, "a");
    hf_process_signal(world.proxy.process, SIGTERM);
    CHECK(HF_WAIT_UNTIL(is_refused(port), BOUND_MS));
    for (int i = 0; i < WORKERS; i++)
        signal_worker(pids[i], SIGTERM);
    CHECK_INT_EQ(proxy_count(&world.proxy, "connections"), 0); /* it still answers */
    hf_process_signal(world.proxy.process, SIGHUP);
    CHECK(HF_WAIT_UNTIL(proxy_logged(&world.proxy, "SIGHUP is ignored"), BOUND_MS));
    for (int i = 0; i < CLIENTS; i++)
        CHECK(is_alive(world.clients[i]));
    close_clients(&world);
    proxy_check_end(&world.proxy);
    for (int i = 0; i < WORKERS; i++)
        CHECK(is_gone(pids[i]));
    CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, "ended with status 0"), 5);
    CHECK(access(world.proxy.socket, F_OK) != 0);
    world_free(&world);
}

static void test_second_signal(void)
{
    struct world world;

    if (!world_start(&world, "processes = 4\n")) {
        world_free(&world);
        return;
    }
    open_clients(&world, "a");
    hf_process_signal(world.proxy.process, SIGINT);
    CHECK(HF_WAIT_UNTIL(
        hf_process_count(world.proxy.process, HF_STDERR, "waiting for sessions") == WORKERS,
        BOUND_MS));
    CHECK(is_alive(world.clients[0]));
    hf_process_signal(world.proxy.process, SIGTERM);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(read_end(world.clients[i]));
    proxy_check_end(&world.proxy);
    close_clients(&world);
    world_free(&world);
}

/* One that is stopped does not hear: it is killed, and the exit status tells. */
static void test_stopped(void)
{
    struct world world;
    int status = 0;

    if (world_start(&world, "processes = 4\ndrain_timeout = 0\n")) {
        signal_worker(worker_pid(&world.proxy, 2), SIGSTOP);
        hf_process_signal(world.proxy.process, SIGTERM);
        CHECK(hf_process_wait_exit(world.proxy.process, BOUND_MS, &status));
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        CHECK(proxy_logged(&world.proxy, "1 worker(s) did not end in time and are killed"));
        CHECK_INT_EQ(hf_process_count(world.proxy.process, HF_STDERR, "ended with status 0"), 3);
    }
    world_free(&world);
}

/* The workers drain, and leave the address to the next program. */
static void test_master_killed(void)
{
    struct world world;
    struct proxy next;
    pid_t pids[WORKERS];

    if (!world_start(&world, "processes = 4\ndrain_timeout = 200ms\n")) {
        world_free(&world);
        return;
    }
    worker_pids(&world.proxy, pids);
    open_clients(&world, "a");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    hf_process_signal(world.proxy.process, SIGKILL);
    for (int i = 0; i < WORKERS; i++)
        CHECK(ends_well(pids[i]));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(read_end(world.clients[i]));
    close_clients(&world);
    proxy_prepare(&next);
    next.options = "processes = 4\n";
    proxy_write_config(&next, "[upstream:a]\nlisten = 127.0.0.1:%u\nconnect = 127.0.0.1:%u\n",
        proxy_port(&world.proxy, "a"), hf_echo_port(world.echo));
    if (proxy_run(&next)) {
        open_clients(&world, "a");
        close_clients(&world);
        hf_process_signal(next.process, SIGTERM);
        proxy_check_end(&next);
    }
    proxy_free(&next);
    world_free(&world);
}

/* A worker has more threads, and so descriptors, than the limit allows; the master does not. */
static void test_no_first_worker(void)
{
    struct world world = {.echo = hf_echo_start(&loopback, 1, 0)};
    const char *argv[] = {"/bin/sh", "-c", "ulimit -n 100; exec \"$0\" --config \"$1\"",
        hf_build_path("hostflags-host"), NULL, NULL};
    int status = 0;

    proxy_prepare(&world.proxy);
    world.proxy.options = "processes = 4\n";
    world.proxy.threads = 64;
    proxy_write_config(&world.proxy, UPSTREAM("a", ""), hf_echo_port(world.echo));
    argv[4] = world.proxy.config;
    world.proxy.process = hf_process_start(&(struct hf_process_options){.argv = argv});
    CHECK(hf_process_wait_exit(world.proxy.process, BOUND_MS, &status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    CHECK(proxy_logged(&world.proxy, "cannot start loop thread"));
    CHECK(proxy_logged(&world.proxy, "before all workers accepted clients: the program ends"));
    CHECK(!proxy_logged(&world.proxy, "is running"));
    CHECK(access(world.proxy.socket, F_OK) != 0);
    world_free(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a worker that is killed is replaced, the others' sessions go on", test_replaced},
        {"a worker that dies at once is started once a second", test_crash_loop},
        {"a worker that is told to end is replaced", test_one_told_to_end},
        {"SIGTERM drains all workers, status 0, no process is left", test_drain},
        {"a second signal ends all workers at once", test_second_signal},
        {"a worker that is stopped is killed in the end, status 1", test_stopped},
        {"a master that is killed leaves no worker, and a free address", test_master_killed},
        {"a worker that cannot start ends the program, status 1", test_no_first_worker},
    };

    return hf_suite_run("proxy_workers", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

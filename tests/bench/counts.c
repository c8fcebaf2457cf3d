/* SPDX-License-Identifier: PostgreSQL
 *
 * counts.c: what can be counted exactly: allocations, system calls, bytes, wake-ups. What would
 * stay behind (a filter of system calls, a million connections) is done in a child.
 */
#include "tests/bench/allocations.h"
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"
#include "tests/bench/worker.h"
#include "tests/support/wait_until.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20000, QUIET_MS = 10000 };
enum { FIRST_HOSTS = 2000, HOSTS = 10000, CONNECTIONS = 1000000 };

/* Runs count(numbers) in a child; the numbers lie where both see them. */
static void in_child(void (*count)(double *numbers, void *arg), void *arg, double numbers[2])
{
    double *seen =
        mmap(NULL, 2 * sizeof(seen[0]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t child;

    if (seen == MAP_FAILED)
        hf_bench_die("no memory to share with a child");
    fflush(NULL);
    child = fork();
    if (child == 0) {
        count(seen, arg);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        hf_bench_die("a child that counts has failed");
    memcpy(numbers, seen, 2 * sizeof(seen[0]));
    munmap(seen, 2 * sizeof(seen[0]));
    if (isnan(numbers[1]))
        hf_bench_die("allocations or system calls are not counted here, or calls were refused");
}

/* ---- allocations and system calls ---- */

static volatile sig_atomic_t system_calls;

static void count_system_call(int number)
{
    (void)number;
    system_calls++;
}

/* From now on each system call of this thread is counted instead of made. */
static void filter_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    struct sigaction action = {.sa_handler = count_system_call};

    sigaction(SIGSYS, &action, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        hf_bench_die("no filter for system calls: %s", strerror(errno));
}

static void count_calls(double *numbers, void *arg)
{
    const struct hf_plugin *plugin = hf_bench_hostflags;
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}};
    char name[HF_BENCH_NAME_SIZE];
    void *volatile memory;
    long allocations, on = 0;
    hf_conn conn;

    hf_bench_init("%s", (const char *)arg);
    conn = hf_bench_connect(plugin, 0);
    hf_bench_wait_on(hf_bench_hostflags, &conn, 1);
    hf_bench_name(0, name);
    upstream.host = name;
    allocations = hf_bench_allocations();
    filter_system_calls();
    for (int i = 0; i < ROUNDS; i++) {
        hf_conn other = plugin->on_connect(&upstream);
        on += plugin->is_enabled(other, 0);
        plugin->on_disconnect(other);
    }
    numbers[0] = (double)(hf_bench_allocations() - allocations);
    numbers[1] = system_calls;
    /* Whether all calls did their work, and what counts does count. */
    allocations = hf_bench_allocations();
    memory = malloc(1);
    syscall(SYS_write, -1, "", 0);
    if (on != ROUNDS || system_calls != numbers[1] + 1 || hf_bench_allocations() != allocations + 1)
        numbers[1] = NAN;
    free(memory);
}

/* ---- memory ---- */

/* Kilobytes of memory in use, counted page by page. */
static long resident_kb(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kb = -1;

    while (file != NULL && kb < 0 && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "Rss: %ld", &kb);
    if (kb < 0)
        hf_bench_die("/proc/self/smaps_rollup has no line that begins with Rss:");
    fclose(file);
    return kb;
}

/* Connects to that many hosts, and waits until each has answered. */
static void fill(hf_conn *conns, uint32_t hosts)
{
    for (uint32_t i = 0; i < hosts; i++)
        conns[i] = hf_bench_connect(hf_bench_hostflags, i);
    hf_bench_wait_on(hf_bench_hostflags, conns, hosts);
}

/* A life before leaves the memory that transfers need, however many hosts there are, if malloc
 * gives none of it back to the system; and fresh tables, so that all of these is counted. */
static void count_memory(double *numbers, void *arg)
{
    hf_conn *conns = malloc(CONNECTIONS * sizeof(conns[0]));
    long before, with_hosts;

    if (conns == NULL || mallopt(M_TRIM_THRESHOLD, INT_MAX) != 1)
        hf_bench_die("no memory");
    memset(conns, 1, CONNECTIONS * sizeof(conns[0]));
    hf_bench_init("%s\nmax_hosts = %d\n", (const char *)arg, FIRST_HOSTS);
    fill(conns, FIRST_HOSTS);
    hf_bench_hostflags->fini();
    hf_bench_init(
        "%s\nmax_hosts = %d\nmax_connections = %d\n", (const char *)arg, HOSTS, CONNECTIONS);
    before = resident_kb();
    fill(conns, HOSTS);
    with_hosts = resident_kb();
    numbers[0] = (double)(with_hosts - before) * 1024 / HOSTS;
    for (uint32_t i = HOSTS; i < CONNECTIONS; i++)
        conns[i] = hf_bench_connect(hf_bench_hostflags, i % HOSTS);
    numbers[1] = (double)(resident_kb() - with_hosts) * 1024 / (CONNECTIONS - HOSTS);
}

/* ---- wake-ups ---- */

static void count_wake_ups(const char *settings)
{
    hf_conn conn;
    long before;
    int worker;

    hf_bench_init("%s", settings);
    conn = hf_bench_connect(hf_bench_hostflags, 0);
    hf_bench_wait_on(hf_bench_hostflags, &conn, 1);
    hf_bench_progress("the worker is watched for %d s", QUIET_MS / 1000);
    worker = hf_bench_worker_find(0);
    before = hf_bench_worker_wake_ups(worker);
    if (!HF_STAYS(hf_bench_worker_wake_ups(worker) - before < 1000, QUIET_MS))
        hf_bench_progress("it does not sleep");
    hf_bench_figure("worker_wake_ups", "wake-ups of the worker in 10 s with nothing due",
        (double)(hf_bench_worker_wake_ups(worker) - before), "", AT_MOST(0),
        "one host, TTL 15 min");
    hf_bench_hostflags->on_disconnect(conn);
    hf_bench_hostflags->fini();
}

void hf_bench_counts(void)
{
    struct hf_bench_service *service =
        hf_bench_service_start(&(struct hf_bench_service_options){.ttl = "900"});
    char settings[1024];
    double numbers[2];

    snprintf(settings, sizeof(settings), "%s", hf_bench_service_settings(service));
    hf_bench_heading("counted");
    in_child(count_calls, settings, numbers);
    hf_bench_figure("allocations", "allocations: connect, read, disconnect of a known host",
        numbers[0], "", AT_MOST(0), "in %d rounds", ROUNDS);
    hf_bench_figure("system_calls", "system calls: connect, read, disconnect of a known host",
        numbers[1], "", AT_MOST(0), "in %d rounds", ROUNDS);
    in_child(count_memory, settings, numbers);
    hf_bench_figure("bytes_per_host", "memory per host, at 10,000 that have answered", numbers[0],
        "B", AT_MOST(1024), "by RSS");
    hf_bench_figure("bytes_per_connection", "memory per connection, at 1,000,000", numbers[1], "B",
        AT_MOST(16), "by RSS");
    count_wake_ups(settings);
    hf_bench_service_stop(service);
}

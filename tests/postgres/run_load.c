/* SPDX-License-Identifier: PostgreSQL
 *
 * run_load.c: what is_enabled costs a transaction. pgbench with 8 clients runs its transaction
 * "simple-update" (an update, a read, an insert), whose read also asks for the flag of one of 20
 * hosts; and the same with a constant in place of the call. They take turns: a pair is four turns
 * of each. What counts is the CPU time of the server's sessions, which the postmaster has from the
 * kernel when they have ended; what else the machine does falls on both of a pair.
 *
 * For information the same with the read alone, the lightest transaction there is. What is seen
 * there is PostgreSQL reading a longer statement and looking up a function by its name, which costs
 * as much for a function of its own; the call itself takes some 30 ns.
 */
#include "tests/postgres/server.h"
#include "tests/support/flag_service.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAIRS = 7, TURNS = 4, CLIENTS = 8, HOSTS = 20 };

/* Checkpointer, background writer, WAL writer, launcher of logical replication, and ours. */
enum { FOR_GOOD = 5 };

static const double most = 1.05;

#define CONSTANT "true"
#define CALL "hostflags.is_enabled('h:host.example.com', 'telemetry')"
#define READ(column) "SELECT abalance, " column " FROM pgbench_accounts WHERE aid = :aid;\n"
#define LIGHTEST(column) "\\set aid random(1, 1000000)\n\\set host random(1, 20)\n" READ(column)
#define UPDATE(column) \
    "\\set aid random(1, 1000000)\n\\set bid random(1, 10)\n\\set tid random(1, 100)\n" \
    "\\set delta random(-5000, 5000)\n\\set host random(1, 20)\nBEGIN;\n" \
    "UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n" READ( \
        column) "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, " \
                ":aid, :delta, " \
                "CURRENT_TIMESTAMP);\nEND;\n"

struct workload {
    const char *name, *transactions; /* of each client and turn */
    const char *scripts[2]; /* constant, call */
};

static const struct workload update = {"simple-update", "1000", {UPDATE(CONSTANT), UPDATE(CALL)}};
static const struct workload lightest = {"one read", "2000", {LIGHTEST(CONSTANT), LIGHTEST(CALL)}};

static void give_up(const char *what)
{
    fprintf(stderr, "bench-postgres: %s\n", what);
    exit(1);
}

/* Of the sessions that have ended, in clock ticks. */
static long ended_ticks(const struct pg_server *server)
{
    char path[64];
    long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pg_server_pid(server));
    file = fopen(path, "r");
    if (!file ||
        fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %ld %ld", &user,
            &system) != 2)
        give_up("the postmaster's times cannot be read");
    fclose(file);
    return user + system;
}

/* Sessions are children of the postmaster until it has taken note of their end. */
static int children(const struct pg_server *server)
{
    char path[64];
    int count = 0, child;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pg_server_pid(server),
        (int)pg_server_pid(server));
    file = fopen(path, "r");
    if (!file)
        give_up("the postmaster's children cannot be read");
    while (fscanf(file, "%d", &child) == 1)
        count++;
    fclose(file);
    return count;
}

static void pgbench(const struct pg_server *server, const char *const *more)
{
    const char *argv[24] = {pg_program("pgbench"), "-h", pg_server_host(server), "-U", "tester"};
    char *output = NULL;
    size_t count = 5;

    while (*more)
        argv[count++] = *more++;
    argv[count] = "postgres";
    if (hf_process_run(argv, 300000, &output) != 0) {
        fprintf(stderr, "%s\n", output ? output : "");
        give_up("pgbench failed");
    }
    free(output);
}

/* CPU microseconds per transaction, of one turn. */
static double run(const struct pg_server *server, const char *transactions, const char *script)
{
    const char *const more[] = {"-n", "-c", "8", "-j", "2", "-t", transactions, "-f", script, NULL};
    long before = ended_ticks(server);
    int children_before = children(server);

    pgbench(server, more);
    if (!HF_WAIT_UNTIL(children(server) <= children_before, PG_BOUND_MS))
        give_up("sessions do not end");
    return (double)(ended_ticks(server) - before) * 1e6 / (double)sysconf(_SC_CLK_TCK) /
        (CLIENTS * atof(transactions));
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return a < b ? -1 : a > b;
}

/* Both scripts in turns, which of them first in turns as well; gives the ratio. */
static double pair(
    const struct pg_server *server, const char *transactions, char *const *files, int number)
{
    double sums[2] = {0, 0};

    for (int turn = 0; turn < TURNS; turn++) {
        int first = (number + turn) % 2;
        sums[first] += run(server, transactions, files[first]);
        sums[!first] += run(server, transactions, files[!first]);
    }
    printf("%-6d %22.2f %22.2f %8.3f\n", number + 1, sums[0] / TURNS, sums[1] / TURNS,
        sums[1] / sums[0]);
    fflush(stdout);
    return sums[1] / sums[0];
}

/* The median of the ratios. */
static double measure(const struct pg_server *server, const struct workload *workload)
{
    char *directory = hf_tmpdir_create(), *files[2];
    double ratios[PAIRS];

    if (!directory)
        give_up("there is no temporary directory");
    files[0] = hf_tmpdir_write(directory, "constant.sql", workload->scripts[0]);
    files[1] = hf_tmpdir_write(directory, "call.sql", workload->scripts[1]);
    run(server, workload->transactions, files[1]); /* caches, of both kinds */
    printf("\n%s\n%-6s %22s %22s %8s\n", workload->name, "pair", "constant, us CPU",
        "is_enabled, us CPU", "ratio");
    for (int i = 0; i < PAIRS; i++)
        ratios[i] = pair(server, workload->transactions, files, i);
    qsort(ratios, PAIRS, sizeof(ratios[0]), compare);
    free(files[0]);
    free(files[1]);
    hf_tmpdir_remove(directory);
    return ratios[PAIRS / 2];
}

static struct pg_server *open_server(const struct hf_flag_service *service)
{
    const char *const init[] = {"-i", "-q", "-s", "10", NULL};
    struct pg_server *server;
    PGconn *session;
    char conf[512];

    snprintf(conf, sizeof(conf),
        "autovacuum = off\nhostflags.flags = telemetry\nhostflags.allow_http = loopback\n"
        "hostflags.allowed_hosts = '*.example.com'\nhostflags.service = '%s'",
        hf_flag_service_url(service));
    server = pg_server_start("load", conf);
    session = server ? pg_connect(server, "postgres") : NULL;
    if (!session || strcmp(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION") != 0)
        give_up("there is no server");
    PQfinish(session);
    pgbench(server, init);
    if (!HF_WAIT_UNTIL(children(server) == FOR_GOOD, PG_BOUND_MS))
        give_up("the sessions before do not end");
    return server;
}

int main(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const char *problem = service ? pg_stage_open(NULL) : "there is no flag service";
    double ratio, light_ratio;
    struct pg_server *server;
    size_t requests;

    if (problem)
        give_up(problem);
    hf_flag_service_set_flag(service, "telemetry", true);
    server = open_server(service);
    ratio = measure(server, &update);
    light_ratio = measure(server, &lightest);
    requests = hf_flag_service_count(service);
    printf("\nmedian, simple-update: %.3f, target at most %.2f: %s\n", ratio, most,
        ratio <= most ? "ok" : "MISSED");
    printf("median, one read: %.3f\n", light_ratio);
    printf("requests: %zu of %d hosts and %d sessions: %s\n", requests, HOSTS,
        2 * (PAIRS * TURNS + 1) * CLIENTS, requests == HOSTS ? "ok" : "MISSED");
    pg_server_stop(server);
    pg_stage_close();
    hf_flag_service_stop(service);
    return ratio <= most && requests == HOSTS ? 0 : 1;
}

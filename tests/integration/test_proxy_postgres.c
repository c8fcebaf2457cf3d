/* SPDX-License-Identifier: PostgreSQL
 *
 * test_proxy_postgres.c: psql through the proxy to a real PostgreSQL server, which is made for the
 * test in a temporary directory. PostgreSQL refuses to run as root: then the server runs as the
 * user postgres, or else nobody. Without PostgreSQL's programs the tests are skipped.
 */
#include "tests/integration/proxy_fixture.h"
#include "tests/support/server_user.h"
#include "tests/support/tmpdir.h"

static const char *const loopback = "127.0.0.1";
static const char *missing; /* why there is no server; NULL: there is one */

static struct {
    char bindir[256], directory[64], data[128];
    uint16_t port;
    struct hf_process *process;
} server;

static const char *program(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", server.bindir, name);
    return path;
}

static bool find_programs(void)
{
    const char *argv[] = {"pg_config", "--bindir", NULL};
    char *output = NULL;
    bool found = hf_process_run(argv, BOUND_MS, &output) == 0;

    if (found) {
        snprintf(server.bindir, sizeof(server.bindir), "%.*s", (int)strcspn(output, "\n"), output);
        found = access(program("initdb"), X_OK) == 0 && access(program("postgres"), X_OK) == 0 &&
            access(program("psql"), X_OK) == 0;
    }
    free(output);
    return found;
}

static bool make_data(void)
{
    const struct passwd *user = hf_server_user();
    const char *words[] = {program("initdb"), "--pgdata", server.data, "--auth", "trust",
        "--username", "tester", "--no-sync", "--encoding", "UTF8", "--locale", "C", NULL};
    const char *argv[24];
    char *output = NULL;
    bool made;

    snprintf(server.directory, sizeof(server.directory), "/tmp/hostflags-pg-XXXXXX");
    if (!mkdtemp(server.directory) ||
        (user && chown(server.directory, user->pw_uid, user->pw_gid) != 0))
        return false;
    snprintf(server.data, sizeof(server.data), "%s/data", server.directory);
    hf_server_user_command(argv, words);
    made = hf_process_run(argv, 60000, &output) == 0;
    if (!made)
        fprintf(stderr, "%s\n", output ? output : "initdb could not be started");
    free(output);
    return made;
}

/* authentication_timeout: PostgreSQL waits so long for the first message of a client, and recovers
 * from a crash only after such clients are gone. The proxy's idle connections are such clients. */
static bool start_server(void)
{
    char port[8];
    const char *words[] = {program("postgres"), "-D", server.data, "-h", loopback, "-p", port, "-k",
        server.directory, "-F", "-c", "authentication_timeout=5s", NULL};
    const char *argv[24];

    server.port = hf_net_free_port(&loopback, 1);
    snprintf(port, sizeof(port), "%u", server.port);
    hf_server_user_command(argv, words);
    server.process = hf_process_start(&(struct hf_process_options){.argv = argv});
    return server.process &&
        hf_process_wait_output(server.process, "ready to accept connections", 60000);
}

static void stop_server(void)
{
    if (server.process) {
        hf_process_signal(server.process, SIGINT);
        hf_process_wait_exit(server.process, BOUND_MS, NULL);
    }
    hf_process_destroy(server.process);
    if (*server.directory)
        hf_tmpdir_remove_tree(server.directory);
}

/* A proxy before the server, with a pool of two; false: no server, or a failed check. */
static bool proxy_to_server(struct proxy *proxy)
{
    if (missing) {
        hf_test_skip(missing);
        return false;
    }
    return proxy_start(proxy,
        "[upstream:pg]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:%u\npool_size = 2\nhost = db\n",
        server.port);
}

/* Words of a psql through the proxy that runs this statement. */
#define PSQL_WORDS(port, statement) \
    { \
        program("psql"), "--no-psqlrc", "-At", "-h", loopback, "-p", port, "-U", "tester", "-d", \
            "postgres", "-c", statement, NULL \
    }

static int psql(struct proxy *proxy, const char *statement, char **output)
{
    char port[8];
    const char *argv[] = PSQL_WORDS(port, statement);

    snprintf(port, sizeof(port), "%u", proxy_port(proxy, "pg"));
    return hf_process_run(argv, 60000, output);
}

static void test_query(void)
{
    struct proxy proxy;
    char *output = NULL;

    if (!proxy_to_server(&proxy))
        return;
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "db") == 2, BOUND_MS));
    proxy_set_flags(&proxy, true);
    CHECK_INT_EQ(psql(&proxy, "select 6 * 7, current_user", &output), 0);
    CHECK_STR_EQ(output, "42|tester\n");
    free(output);
    CHECK(HF_WAIT_UNTIL(
        proxy_telemetry(&proxy, "\"upstream\":\"pg\",\"host\":\"db\"") == 1, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "db") == 2, BOUND_MS));
    proxy_stop(&proxy);
}

/* A result of several megabytes, and one of them back. */
static void test_large(void)
{
    struct proxy proxy;
    char *output = NULL, *file;
    char statement[400];

    if (!proxy_to_server(&proxy))
        return;
    CHECK_INT_EQ(psql(&proxy, "select md5(i::text) from generate_series(1, 100000) i", &output), 0);
    if (CHECK(output != NULL))
        CHECK_INT_EQ(strlen(output), 33 * 100000);
    file = hf_tmpdir_write(proxy.directory, "sums", output);
    free(output);
    CHECK_INT_EQ(psql(&proxy, "create table sums (i serial, sum text)", NULL), 0);
    snprintf(statement, sizeof(statement), "\\copy sums (sum) from '%s'", file);
    CHECK_INT_EQ(psql(&proxy, statement, NULL), 0);
    CHECK_INT_EQ(
        psql(&proxy, "select count(*), count(*) filter (where sum = md5(i::text)) from sums",
            &output),
        0);
    CHECK_STR_EQ(output, "100000|100000\n");
    free(output);
    free(file);
    proxy_stop(&proxy);
}

/* psql that waits inside a statement, and the process id of its backend. */
static struct hf_process *start_waiting_psql(struct proxy *proxy, pid_t *backend)
{
    char port[8], *output = NULL;
    const char *argv[] = PSQL_WORDS(port, "select pg_sleep(600)");
    struct hf_process *process;

    snprintf(port, sizeof(port), "%u", proxy_port(proxy, "pg"));
    process = hf_process_start(&(struct hf_process_options){.argv = argv});
    *backend = 0;
    CHECK(HF_WAIT_UNTIL(
        (free(output), output = NULL,
            psql(proxy, "select pid from pg_stat_activity where query = 'select pg_sleep(600)'",
                &output) == 0 &&
                output && (*backend = (pid_t)atoi(output)) > 0),
        BOUND_MS));
    free(output);
    return process;
}

static void test_killed_psql(void)
{
    struct proxy proxy;
    struct hf_process *waiting;
    pid_t backend;

    if (!proxy_to_server(&proxy))
        return;
    waiting = start_waiting_psql(&proxy, &backend);
    hf_process_signal(waiting, SIGKILL);
    kill(backend, SIGTERM); /* a backend that sleeps does not look at its client */
    hf_process_destroy(waiting);
    CHECK(HF_WAIT_UNTIL(proxy_count(&proxy, "connections") == 2, BOUND_MS));
    proxy_stop(&proxy);
}

/* kill -9 of a backend: its client is told, the server restarts, and the pool finds it again. */
static void test_killed_backend(void)
{
    struct proxy proxy;
    struct hf_process *waiting;
    pid_t backend;
    char *output = NULL;
    int status = 0;

    if (!proxy_to_server(&proxy))
        return;
    waiting = start_waiting_psql(&proxy, &backend);
    if (CHECK(backend > 0)) {
        CHECK_INT_EQ(kill(backend, SIGKILL), 0);
        CHECK(hf_process_wait_exit(waiting, BOUND_MS, &status));
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 0);
        CHECK(HF_WAIT_UNTIL(
            hf_process_count(server.process, HF_STDERR, "ready to accept connections") >= 2,
            60000));
        /* Idle connections that were opened during the recovery are refused when they are used. */
        CHECK(HF_WAIT_UNTIL(
            (free(output), output = NULL, psql(&proxy, "select 'back'", &output) == 0), BOUND_MS));
        CHECK_STR_EQ(output, "back\n");
        free(output);
    }
    hf_process_destroy(waiting);
    CHECK(HF_WAIT_UNTIL(proxy_references(&proxy, "db") == 2, BOUND_MS));
    proxy_stop(&proxy);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"psql through the proxy: a query", test_query},
        {"psql through the proxy: megabytes in both directions", test_large},
        {"psql through the proxy: psql is killed", test_killed_psql},
        {"psql through the proxy: the backend is killed", test_killed_backend},
    };
    bool only_list = argc > 1 && strcmp(argv[1], "--list") == 0;
    int status;

    if (!only_list && !find_programs())
        missing = "PostgreSQL is not installed (pg_config, initdb, postgres, psql)";
    else if (!only_list && (!make_data() || !start_server()))
        missing = "PostgreSQL could not be started; its output is above";
    status = hf_suite_run("proxy_postgres", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    stop_server();
    return status;
}

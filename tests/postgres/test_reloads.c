/* SPDX-License-Identifier: PostgreSQL
 *
 * test_reloads.c: reloads that are refused as a whole: who is there goes on with the settings of
 * before, and so does whoever comes later, with those and not with the ones of the start. And who
 * may be asked, by the settings of the start and after a reload.
 */
#include "tests/postgres/scene.h"

#include "tests/support/tmpdir.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const crash = "all server processes terminated; reinitializing";
static const char *const refusal =
    "hostflags goes on with the settings of before: ttl_min = 2h and ttl_max = 1h";

static bool says(PGconn *session, const char *statement, const char *wanted)
{
    return HF_WAIT_UNTIL(
        strncmp(pg_ask(session, "%s", statement), wanted, strlen(wanted)) == 0, PG_BOUND_MS);
}

static bool another_worker(PGconn *session, pid_t than)
{
    long long pid = pg_number(session, "select worker_pid from hostflags.stats");

    return pid > 0 && pid != than;
}

/* One good reload that changes an answer and who may be asked, and one that is refused. */
static void reload_well_then_badly(PGconn *session)
{
    size_t refused = pg_server_count(server, refusal);

    CHECK(pg_server_configure(server,
        "hostflags.overrides = 'telemetry=off'\n"
        "hostflags.allowed_hosts = '*.example.com, *.example.org'"));
    CHECK(says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "f"));
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '2h'\nhostflags.overrides = ''"));
    CHECK(HF_WAIT_UNTIL(pg_server_count(server, refusal) == refused + 1, PG_BOUND_MS));
}

static void reload_as_at_the_start(void)
{
    PGconn *session = pg_connect(server, "postgres");

    CHECK(pg_server_configure(server,
        "hostflags.ttl_min = '1min'\nhostflags.overrides = ''\n"
        "hostflags.allowed_hosts = '*.example.com'"));
    CHECK(says(session, "select hostflags.wait_ready('re.example.com')", "t"));
    CHECK(says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "t"));
    PQfinish(session);
}

static void check_as_after_the_good_one(void)
{
    PGconn *session = pg_connect(server, "postgres");

    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('re.example.com', 'telemetry')"), "f");
    CHECK_STR_EQ(pg_ask(session,
                     "select enabled || ' ' || reason from "
                     "hostflags.explain('new.example.org', 'telemetry')"),
        "false override");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('new.example.org')"), "");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('new.example.net')"), "ERROR 42501");
    PQfinish(session);
}

static void test_new_session(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    reload_well_then_badly(session);
    check_as_after_the_good_one();
    PQfinish(session);
    reload_as_at_the_start();
}

/* Another reload adds nothing, and the log is told once more. */
static void test_new_worker(void)
{
    size_t refused;
    PGconn *session;
    pid_t worker;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    reload_well_then_badly(session);
    refused = pg_server_count(server, refusal);
    CHECK(pg_server_configure(server, "work_mem = '5MB'"));
    CHECK(HF_WAIT_UNTIL(pg_server_count(server, refusal) == refused + 1, PG_BOUND_MS));
    worker = (pid_t)pg_number(session, "select worker_pid from hostflags.stats");
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(HF_WAIT_UNTIL(another_worker(session, worker), PG_BOUND_MS));
    check_as_after_the_good_one();
    /* It is the worker that decides who is asked. */
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'\nhostflags.ttl_min = 1min"));
    CHECK(says(session, "select hostflags.wait_ready('new.example.org')", "t"));
    PQfinish(session);
    reload_as_at_the_start();
}

static void test_crash(void)
{
    PGconn *session;
    size_t crashes;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    crashes = pg_server_count(server, crash);
    reload_well_then_badly(session);
    CHECK_INT_EQ(kill(PQbackendPID(session), SIGKILL), 0);
    PQfinish(session);
    CHECK(HF_WAIT_UNTIL(pg_server_count(server, crash) > crashes, PG_BOUND_MS));
    CHECK(HF_WAIT_UNTIL(
        pg_number_once(server, "select coalesce(worker_pid, 0) from hostflags.stats") > 0,
        PG_BOUND_MS));
    check_as_after_the_good_one();
    reload_as_at_the_start();
}

/* No process looks at files to know its settings: those that are there still hold. */
static void test_vanished_file(void)
{
    char conf[300], *directory = hf_tmpdir_create(), *file;
    PGconn *session;
    pid_t worker;

    if (!scene_ready() || !CHECK(directory != NULL))
        return;
    file = hf_tmpdir_write(directory, "ca.pem", "no certificate is needed for this\n");
    if (!CHECK(chmod(directory, 0755) == 0 && chmod(file, 0644) == 0))
        return;
    snprintf(conf, sizeof(conf),
        "hostflags.ca_file = '%s'\nhostflags.overrides = 'telemetry=off'\n"
        "hostflags.allowed_hosts = '*.example.com, *.example.org'",
        file);
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server, conf));
    CHECK(says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "f"));
    CHECK_INT_EQ(unlink(file), 0);
    check_as_after_the_good_one();
    worker = (pid_t)pg_number(session, "select worker_pid from hostflags.stats");
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(HF_WAIT_UNTIL(another_worker(session, worker), PG_BOUND_MS));
    check_as_after_the_good_one();
    CHECK_STR_EQ(pg_ask(session, "show hostflags.ca_file"), file);
    PQfinish(session);
    free(file);
    hf_tmpdir_remove(directory);
    CHECK(pg_server_configure(server, "hostflags.ca_file = ''"));
    reload_as_at_the_start();
}

/* The answer on its way is taken. */
static void test_in_flight(void)
{
    size_t refused;
    PGconn *session;

    if (!scene_ready())
        return;
    refused = pg_server_count(server, refusal);
    session = pg_connect(server, "postgres");
    hf_flag_service_set_delay(service, 1500);
    pg_ask(session, "select hostflags.acquire('flight.example.com')");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '2h'"));
    CHECK(HF_WAIT_UNTIL(pg_server_count(server, refusal) == refused + 1, PG_BOUND_MS));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('flight.example.com', '30s')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    hf_flag_service_set_delay(service, 0);
    PQfinish(session);
    reload_as_at_the_start();
}

/* refresh alone follows a reload, and says what is wrong with the host. */
static void test_refresh(void)
{
    PGconn *holder, *session;

    if (!scene_ready())
        return;
    holder = pg_connect(server, "postgres");
    session = pg_connect(server, "postgres");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.refresh('more.example.org')"), "ERROR 42501");
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = '*.example.com, *.example.org'"));
    CHECK(says(holder, "select hostflags.wait_ready('more.example.org')", "t"));
    CHECK(says(session, "select hostflags.refresh('more.example.org')", "t"));
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.refresh('none.example.org')"), "ERROR 42704");
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = '*.example.com'"));
    CHECK(says(session, "select hostflags.refresh('more.example.org')", "ERROR 42501"));
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.refresh('more.example.org')"),
        "it is not among the hosts of hostflags.allowed_hosts");
    PQfinish(session);
    PQfinish(holder);
    reload_as_at_the_start();
}

/* Whoever sets nothing has nobody asked. */
static void test_nobody_named(void)
{
    struct pg_server *bare;
    PGconn *session;
    char conf[400];

    if (!scene_ready())
        return;
    snprintf(conf, sizeof(conf),
        "hostflags.flags = telemetry\nhostflags.allow_http = loopback\n"
        "hostflags.service = '%s'\n",
        hf_flag_service_url(service));
    bare = pg_server_start("bare", conf);
    if (!CHECK(bare != NULL))
        return;
    session = pg_connect(bare, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(pg_ask(session, "show hostflags.allowed_hosts"), "");
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.acquire('a.example.com')"), "ERROR 42501");
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.acquire('localhost')"), "ERROR 42501");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('a.example.com', 'telemetry')"), "f");
    CHECK_INT_EQ(pg_number(session, "select hosts + requests from hostflags.stats"), 0);
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    PQfinish(session);
    pg_server_stop(bare);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a session after a refused reload has the last good settings", test_new_session},
        {"so has a worker, and each reload says what is wrong", test_new_worker},
        {"so has the server after a crash", test_crash},
        {"a file that vanishes changes no settings", test_vanished_file},
        {"a refused reload gives up no request", test_in_flight},
        {"refresh follows a reload of allowed_hosts", test_refresh},
        {"allowed_hosts not set: nobody is asked", test_nobody_named},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_reloads", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_reloads.c: a reload whose parameters do not fit together: these count as at the start of the
 * server, and all else as it is, in every process, whatever it has seen before: one that was idle,
 * one that is new, and after a crash. And who may be asked, by the settings of the start and after
 * a reload.
 */
#include "tests/postgres/scene.h"

#include "tests/support/tmpdir.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const refusal =
    "hostflags: ttl_min = 2h and ttl_max = 1h: expected ttl_min to be at most ttl_max; "
    "hostflags.ttl_min and ttl_max count as at the start of the server";

/* One good reload that changes an answer and who may be asked, and one that does not fit. */
static void reload_well_then_badly(PGconn *session)
{
    size_t refused = pg_server_count(server, refusal);

    CHECK(pg_server_configure(server,
        "hostflags.overrides = 'telemetry=off'\n"
        "hostflags.allowed_hosts = '*.example.com, *.example.org'"));
    CHECK(scene_says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "f"));
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '2h'"));
    CHECK_INT_EQ(pg_server_count(server, refusal), refused + 1);
}

static void reload_as_at_the_start(void)
{
    PGconn *session = pg_connect(server, "postgres");

    CHECK(pg_server_configure(server,
        "hostflags.ttl_min = '1min'\nhostflags.overrides = ''\n"
        "hostflags.allowed_hosts = '*.example.com'"));
    CHECK(scene_says(session, "select hostflags.wait_ready('re.example.com')", "t"));
    CHECK(scene_says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "t"));
    PQfinish(session);
}

static const char *ttl_of(PGconn *session, const char *host)
{
    return pg_ask(session, "select ttl from hostflags.hosts where host = '%s'", host);
}

/* Of a process: that of the session. */
static void check_holds_in(PGconn *session)
{
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('re.example.com', 'telemetry')"), "f");
    CHECK_STR_EQ(pg_ask(session,
                     "select enabled || ' ' || reason from "
                     "hostflags.explain('new.example.org', 'telemetry')"),
        "false override");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('new.example.org')"), "");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('new.example.net')"), "ERROR 42501");
}

static void check_holds(void)
{
    PGconn *session = pg_connect(server, "postgres");

    check_holds_in(session);
    PQfinish(session);
}

/* One that has heard of neither reload, and one that comes later. */
static void test_sessions(void)
{
    PGconn *session, *idle;

    if (!scene_ready())
        return;
    idle = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(idle, "select hostflags.is_enabled('x.invalid', 'beta')"), "f");
    session = pg_connect(server, "postgres");
    reload_well_then_badly(session);
    CHECK(pg_server_reached(server, idle));
    check_holds_in(idle);
    check_holds();
    PQfinish(idle);
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
    CHECK_INT_EQ(pg_server_count(server, refusal), refused + 1);
    worker = scene_worker(session);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(scene_another_worker(session, worker));
    check_holds();
    /* It is the worker that decides who is asked. */
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'\nhostflags.ttl_min = 1min"));
    CHECK(scene_says(session, "select hostflags.wait_ready('new.example.org')", "t"));
    PQfinish(session);
    reload_as_at_the_start();
}

/* What the worker before published holds no longer, though this is how the server began. The first
 * test: no crash has yet made the postmaster look at its parameters again. */
static void test_while_no_worker(void)
{
    PGconn *session;
    pid_t worker;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'"));
    CHECK(scene_says(session, "select hostflags.is_enabled('x.invalid', 'beta')", "t"));
    worker = scene_worker(session);
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGSTOP), 0); /* it starts no other meanwhile */
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(scene_says(session, "select worker_pid from hostflags.stats", "null"));
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGCONT), 0);
    CHECK(pg_server_configure(server, "hostflags.overrides = ''"));
    CHECK(scene_another_worker(session, worker));
    CHECK(scene_says(session, "select hostflags.is_enabled('x.invalid', 'beta')", "f"));
    PQfinish(session);
}

static void test_crash(void)
{
    size_t crashes, refused;
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    crashes = scene_crashes();
    reload_well_then_badly(session);
    refused = pg_server_count(server, refusal);
    CHECK_INT_EQ(kill(PQbackendPID(session), SIGKILL), 0);
    PQfinish(session);
    CHECK(scene_back_after_crash(crashes));
    CHECK_INT_EQ(pg_server_count(server, refusal), refused + 1);
    check_holds();
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
    CHECK(scene_says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "f"));
    CHECK(pg_server_reached(server, session));
    CHECK_INT_EQ(unlink(file), 0);
    check_holds();
    worker = scene_worker(session);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(scene_another_worker(session, worker));
    check_holds();
    CHECK_STR_EQ(pg_ask(session, "show hostflags.ca_file"), file);
    PQfinish(session);
    free(file);
    hf_tmpdir_remove(directory);
    CHECK(pg_server_configure(server, "hostflags.ca_file = ''"));
    reload_as_at_the_start();
}

/* The two that count are those of the start, not those of the good reload before. Each pair is told
 * of. */
static void test_start_counts(void)
{
    static const char *const all =
        "ttl_min = 2h and ttl_max = 1h: expected ttl_min to be at most ttl_max; hostflags.ttl_min "
        "and ttl_max count as at the start of the server; client_key_file = \"/etc/passwd\": there "
        "is no client_cert_file that it belongs to; expected a file that can be read; "
        "hostflags.client_cert_file and client_key_file count as at the start of the server";
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(
        server, "hostflags.ttl_min = '20min'\nhostflags.overrides = 'beta=on'"));
    CHECK(scene_says(session, "select hostflags.is_enabled('x.invalid', 'beta')", "t"));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('before.example.com')"), "t");
    CHECK_STR_EQ(ttl_of(session, "before.example.com"), "00:20:00");
    CHECK(pg_server_configure(
        server, "hostflags.ttl_min = '2h'\nhostflags.client_key_file = '/etc/passwd'"));
    CHECK_INT_EQ(pg_server_count(server, all), 1);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('after.example.com')"), "t");
    CHECK_STR_EQ(ttl_of(session, "after.example.com"), "00:15:00");
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.client_key_file = ''"));
    reload_as_at_the_start();
}

static void test_key_alone(void)
{
    static const char *const says_so =
        "there is no client_cert_file that it belongs to; expected a file that can be read; "
        "hostflags.client_cert_file and client_key_file count as at the start of the server";
    PGconn *session;
    size_t before;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    before = pg_server_count(server, says_so);
    CHECK(pg_server_configure(server,
        "hostflags.client_key_file = '/etc/passwd'\nhostflags.overrides = 'telemetry=off'\n"
        "hostflags.allowed_hosts = '*.example.com, *.example.org'"));
    CHECK_INT_EQ(pg_server_count(server, says_so), before + 1);
    CHECK(scene_says(session, "select hostflags.is_enabled('re.example.com', 'telemetry')", "f"));
    check_holds();
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'"));
    CHECK(scene_says(session, "select hostflags.wait_ready('keyless.example.org')", "t"));
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.client_key_file = ''"));
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
    hf_flag_service_set_delay(service, 3000);
    pg_ask(session, "select hostflags.acquire('flight.example.com')");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '2h'"));
    CHECK_INT_EQ(pg_server_count(server, refusal), refused + 1);
    CHECK_INT_EQ(pg_number(session, "select in_flight from hostflags.stats"), 1);
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
    CHECK(scene_says(holder, "select hostflags.wait_ready('more.example.org')", "t"));
    CHECK(scene_says(session, "select hostflags.refresh('more.example.org')", "t"));
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.refresh('none.example.org')"), "ERROR 42704");
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = '*.example.com'"));
    CHECK(scene_says_first(session, "select hostflags.refresh('more.example.org')", "ERROR 42501"));
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
    /* The first request is one that was allowed later. */
    CHECK(pg_server_configure(bare, "hostflags.allowed_hosts = 'b.example.com'"));
    CHECK(scene_says(session, "select hostflags.wait_ready('b.example.com')", "t"));
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
    pg_server_stop(bare);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a reload while there is no worker holds for the next one", test_while_no_worker},
        {"two parameters that do not fit keep nothing else back, in old and new sessions",
            test_sessions},
        {"nor in a new worker, and each reload says what is wrong", test_new_worker},
        {"nor after a crash, and the log says what is wrong", test_crash},
        {"they count as at the start, whatever was good in between", test_start_counts},
        {"a key without its certificate keeps nothing back", test_key_alone},
        {"a file that vanishes changes no settings", test_vanished_file},
        {"a reload that changes nothing in the end gives up no request", test_in_flight},
        {"refresh follows a reload of allowed_hosts", test_refresh},
        {"allowed_hosts not set: nobody is asked", test_nobody_named},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_reloads", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

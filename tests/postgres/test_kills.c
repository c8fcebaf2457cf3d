/* SPDX-License-Identifier: PostgreSQL
 *
 * test_kills.c: deaths in a server. Whoever is killed, the postmaster makes the shared memory anew:
 * all begins empty, and works. A worker that is only terminated leaves the cache as it is.
 */
#include "tests/postgres/scene.h"

#include <signal.h>

static pid_t worker_of(PGconn *session)
{
    return (pid_t)pg_number(session, "select worker_pid from hostflags.stats");
}

/* After a crash: empty, with a worker, and a service that is asked once more. */
static void check_begins_anew(size_t crashes_before)
{
    PGconn *session;

    CHECK(HF_WAIT_UNTIL(
        pg_server_count(server, "all server processes terminated; reinitializing") > crashes_before,
        PG_BOUND_MS));
    CHECK(HF_WAIT_UNTIL(
        pg_number_once(server, "select coalesce(worker_pid, 0) from hostflags.stats") > 0,
        PG_BOUND_MS));
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(session,
                     "select hosts || ' ' || connections || ' ' || requests from hostflags.stats"),
        "0 0 0");
    PQfinish(session);
    session = scene_session_with("kill.example.com");
    CHECK_INT_EQ(scene_sessions(session, "kill.example.com"), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

static void kill_and_check(bool worker)
{
    size_t crashes;
    PGconn *session, *victim;

    if (!scene_ready())
        return;
    crashes = pg_server_count(server, "all server processes terminated; reinitializing");
    session = scene_session_with("kill.example.com");
    victim = scene_session_with("kill.example.com");
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(kill(worker ? worker_of(session) : PQbackendPID(victim), SIGKILL), 0);
    check_begins_anew(crashes);
    CHECK_STR_CONTAINS(pg_ask(session, "select 1"), "ERROR");
    PQfinish(session);
    PQfinish(victim);
}

static void test_kill_backend(void)
{
    kill_and_check(false);
}

static void test_kill_worker(void)
{
    kill_and_check(true);
}

/* What opens the cache anew knows the parameters of now, not only those of the start. */
static void test_crash_after_reload(void)
{
    PGconn *session;
    size_t crashes;

    if (!scene_ready())
        return;
    crashes = pg_server_count(server, "all server processes terminated; reinitializing");
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'"));
    session = scene_session_with("kill.example.com");
    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session, "select hostflags.is_enabled('kill.example.com', 'beta')"), "t") ==
            0,
        PG_BOUND_MS));
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(kill(PQbackendPID(session), SIGKILL), 0);
    PQfinish(session);
    check_begins_anew(crashes);
    session = scene_session_with("kill.example.com");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('kill.example.com', 'beta')"), "t");
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.overrides = ''"));
}

static void test_listed(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_INT_EQ(pg_number(session,
                     "select pid from pg_stat_activity where backend_type = "
                     "'hostflags refresher'"),
        worker_of(session));
    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session,
                   "select concat_ws(' ', wait_event_type, wait_event, state, query) "
                   "from pg_stat_activity where backend_type = 'hostflags refresher'"),
            "Extension Extension idle waiting until a host is due") == 0,
        PG_BOUND_MS));
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    pg_ask(session, "select hostflags.acquire('mute.example.com')");
    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session,
                   "select concat_ws(' ', wait_event_type, wait_event, state, query) "
                   "from pg_stat_activity where backend_type = 'hostflags refresher'"),
            "Extension Extension active asking flag services") == 0,
        PG_BOUND_MS));
    PQfinish(session);
}

/* Its successor knows what it knew, and asks again what it had in flight. */
static void test_terminated_worker(void)
{
    PGconn *session;
    pid_t worker;

    if (!scene_ready())
        return;
    session = scene_session_with("calm.example.com");
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    pg_ask(session, "select hostflags.acquire('flight.example.com')");
    CHECK(hf_flag_service_wait_requests(service, 2, PG_BOUND_MS));
    worker = worker_of(session);
    hf_flag_service_set_reply(service, NULL);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(HF_WAIT_UNTIL(worker_of(session) > 0 && worker_of(session) != worker, PG_BOUND_MS));
    /* At once, not when a lost request is given up: 15 s after it was sent. */
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('flight.example.com', '10s')"), "t");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('calm.example.com', 'telemetry')"), "t");
    CHECK_INT_EQ(
        pg_number(session, "select requests from hostflags.hosts where host = 'calm.example.com'"),
        1);
    CHECK_INT_EQ(hf_flag_service_count(service), 3);
    CHECK_INT_EQ(scene_sessions(session, "calm.example.com"), 1);
    PQfinish(session);
}

/* There is no statement that could be cancelled. */
static void test_cancelled_worker(void)
{
    PGconn *session;
    pid_t worker;

    if (!scene_ready())
        return;
    session = scene_session_with("cancel.example.com");
    worker = worker_of(session);
    CHECK_STR_EQ(pg_ask(session, "select pg_cancel_backend(%d)", worker), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('after.example.com', '20s')"), "t");
    CHECK_INT_EQ(worker_of(session), worker);
    CHECK_INT_EQ(pg_server_count(server, "canceling statement"), 0);
    PQfinish(session);
}

/* A postmaster that is stopped starts no successor, so the time between the two is as long as this
 * takes. */
static void test_no_worker(void)
{
    PGconn *session;
    pid_t worker;

    if (!scene_ready())
        return;
    session = scene_session_with("gone.example.com");
    worker = worker_of(session);
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGSTOP), 0);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session, "select worker_pid from hostflags.stats"), "null") == 0,
        PG_BOUND_MS));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('orphan.example.com')"), "");
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGCONT), 0);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('orphan.example.com', '20s')"), "t");
    CHECK(HF_WAIT_UNTIL(worker_of(session) > 0 && worker_of(session) != worker, PG_BOUND_MS));
    PQfinish(session);
}

/* A request in flight keeps no server from its end. */
static void test_shutdown(void)
{
    PGconn *session;
    int64_t began;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    pg_ask(session, "select hostflags.acquire('late.example.com')");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    began = hf_wait_now_ms();
    CHECK(pg_server_restart(server));
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(5000));
    PQfinish(session);
    CHECK(scene_ready());
    session = scene_session_with("kill.example.com");
    CHECK_INT_EQ(pg_number(session, "select hosts from hostflags.stats"), 1);
    PQfinish(session);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"kill -9 of a backend: all begins empty, and works", test_kill_backend},
        {"kill -9 of the worker: all begins empty, and works", test_kill_worker},
        {"a crash after a reload: the settings are those of the reload", test_crash_after_reload},
        {"the worker is in pg_stat_activity, and what it waits for", test_listed},
        {"pg_terminate_backend of the worker: it comes again, and the cache stays",
            test_terminated_worker},
        {"pg_cancel_backend of the worker: it goes on", test_cancelled_worker},
        {"stats names no worker while there is none", test_no_worker},
        {"a request in flight does not delay a shutdown", test_shutdown},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_kills", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

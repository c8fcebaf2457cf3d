/* SPDX-License-Identifier: PostgreSQL
 *
 * test_sessions.c: many sessions, one cache: requests are counted at the service, references in the
 * views, and a reference ends with its session in every way that can end.
 */
#include "tests/postgres/scene.h"

#include <sys/socket.h>

enum { SESSIONS = 5, READS = 50 };

static void test_one_request(void)
{
    PGconn *sessions[SESSIONS];

    if (!scene_ready())
        return;
    for (int i = 0; i < SESSIONS; i++) {
        sessions[i] = scene_session_with("one.example.com");
        CHECK_STR_EQ(pg_ask(sessions[i],
                         "select count(*) filter (where hostflags.is_enabled('one.example.com', "
                         "'telemetry')) from generate_series(1, %d)",
                         READS),
            "50");
        CHECK_STR_EQ(
            pg_ask(sessions[i], "select hostflags.is_enabled('One.Example.Com:443/', 'beta')"),
            "f");
    }
    CHECK_INT_EQ(scene_sessions(sessions[0], "one.example.com"), SESSIONS);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    for (int i = 0; i < SESSIONS; i++)
        PQfinish(sessions[i]);
}

/* The first read is answered the default while the service takes its time. */
static void test_never_waits(void)
{
    PGconn *session;
    int64_t began;

    if (!scene_ready())
        return;
    hf_flag_service_set_delay(service, 3000);
    session = pg_connect(server, "postgres");
    began = hf_wait_now_ms();
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('slow.example.com', 'telemetry')"), "f");
    CHECK_STR_EQ(pg_ask(session,
                     "select reason || ' ' || state from hostflags.explain('slow.example.com', "
                     "'telemetry')"),
        "default unknown");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('slow.example.com', '50ms')"), "f");
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(2000));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('slow.example.com', '20s')"), "t");
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(12000)); /* woken by the answer */
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('slow.example.com', 'telemetry')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

static void test_interrupted(void)
{
    PGconn *session, *other;
    PGresult *result;
    int64_t began;

    if (!scene_ready())
        return;
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    session = pg_connect(server, "postgres");
    other = pg_connect(server, "postgres");
    pg_ask(session, "set statement_timeout = '200ms'");
    began = hf_wait_now_ms();
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.wait_ready('mute.example.com', '1h')"), "ERROR 57014");
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(5000));
    CHECK_INT_EQ(scene_sessions(other, "mute.example.com"), 1);

    pg_ask(session, "set statement_timeout = 0");
    CHECK_INT_EQ(PQsendQuery(session, "select hostflags.wait_ready('mute.example.com', '1h')"), 1);
    CHECK(HF_WAIT_UNTIL(pg_number(other,
                            "select count(*) from pg_stat_activity where pid = %d and "
                            "wait_event_type = 'Extension'",
                            PQbackendPID(session)) == 1,
        PG_BOUND_MS));
    CHECK_STR_EQ(pg_ask(other, "select pg_cancel_backend(%d)", PQbackendPID(session)), "t");
    result = PQgetResult(session);
    CHECK_STR_EQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
    PQclear(result);
    CHECK(PQgetResult(session) == NULL);
    CHECK_STR_EQ(pg_ask(session, "select 'still here'"), "still here");
    PQfinish(session);
    PQfinish(other);
}

static void test_error_keeps(void)
{
    PGconn *session, *other;

    if (!scene_ready())
        return;
    session = scene_session_with("kept.example.com");
    other = pg_connect(server, "postgres");
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.is_enabled('kept.example.com', 'typo')"),
        "ERROR 42704 ERROR:  there is no flag \"typo\" in hostflags.flags\nHINT:  Known flags: "
        "telemetry, beta.");
    pg_ask(session, "begin");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('more.example.com', 'beta')"), "f");
    CHECK_STR_CONTAINS(pg_ask(session, "select 1 / 0"), "ERROR 22012");
    pg_ask(session, "rollback");
    CHECK_INT_EQ(scene_sessions(other, "kept.example.com"), 1);
    CHECK_INT_EQ(scene_sessions(other, "more.example.com"), 1);
    PQfinish(session);
    CHECK(HF_WAIT_UNTIL(scene_sessions(other, "kept.example.com") == 0, PG_BOUND_MS));
    CHECK(HF_WAIT_UNTIL(scene_sessions(other, "more.example.com") == 0, PG_BOUND_MS));
    PQfinish(other);
}

static void test_terminated(void)
{
    PGconn *session, *other;

    if (!scene_ready())
        return;
    session = scene_session_with("ended.example.com");
    other = pg_connect(server, "postgres");
    CHECK_INT_EQ(scene_sessions(other, "ended.example.com"), 1);
    CHECK_STR_EQ(pg_ask(other, "select pg_terminate_backend(%d)", PQbackendPID(session)), "t");
    CHECK(HF_WAIT_UNTIL(scene_sessions(other, "ended.example.com") == 0, PG_BOUND_MS));
    PQfinish(session);
    PQfinish(other);
}

#define WAITS "select hostflags.wait_ready('mute.example.com', '1h')"
#define WATCHES_AND_WAITS "set client_connection_check_interval = '100ms'; " WAITS

/* Its session waits, does nothing for too long within and without a transaction, or its client is
 * gone without a word: the server ends each, and the references with it. */
static void test_other_ends(void)
{
    static const char *const ways[] = {
        WAITS,
        "set idle_session_timeout = '100ms'",
        "set idle_in_transaction_session_timeout = '100ms'; begin",
        WATCHES_AND_WAITS,
    };
    enum { TERMINATED, GONE = 3 };
    PGconn *session, *other;

    if (!scene_ready())
        return;
    other = pg_connect(server, "postgres");
    for (int way = TERMINATED; way <= GONE; way++) {
        hf_flag_service_set_fault(service, HF_FAULT_NONE);
        session = scene_session_with("ends.example.com");
        hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
        CHECK_INT_EQ(scene_sessions(other, "ends.example.com"), 1);
        CHECK_INT_EQ(PQsendQuery(session, ways[way]), 1);
        if (way == TERMINATED || way == GONE)
            CHECK(HF_WAIT_UNTIL(scene_sessions(other, "mute.example.com") == 1, PG_BOUND_MS));
        if (way == TERMINATED)
            CHECK_STR_EQ(
                pg_ask(other, "select pg_terminate_backend(%d)", PQbackendPID(session)), "t");
        if (way == GONE)
            shutdown(PQsocket(session), SHUT_RDWR);
        CHECK(HF_WAIT_UNTIL(
            pg_number(other, "select connections from hostflags.stats") == 0, PG_BOUND_MS));
        PQfinish(session);
    }
    PQfinish(other);
}

/* What is taken in a part that is rolled back stays taken, and what is given back given back. */
static void test_savepoint(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with("first.example.com");
    CHECK_STR_EQ(pg_ask(session, "begin"), "BEGIN");
    CHECK_STR_EQ(pg_ask(session, "savepoint before"), "SAVEPOINT");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('second.example.com')"), "");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('first.example.com')"), "t");
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.acquire('x.invalid')"), "ERROR 42501");
    CHECK_STR_EQ(pg_ask(session, "rollback to before"), "ROLLBACK");
    CHECK_STR_EQ(pg_ask(session, "commit"), "COMMIT");
    CHECK_INT_EQ(scene_sessions(session, "first.example.com"), 0);
    CHECK_INT_EQ(scene_sessions(session, "second.example.com"), 1);
    CHECK_STR_EQ(pg_ask(session, "discard all"), "DISCARD ALL");
    CHECK_INT_EQ(scene_sessions(session, "second.example.com"), 1);
    PQfinish(session);
}

/* While one service is silent nobody waits: not who takes another host, and not who looks. */
static void test_silent_service(void)
{
    PGconn *session, *other;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    other = pg_connect(server, "postgres");
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('silent.example.com')"), "");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    hf_flag_service_set_fault(service, HF_FAULT_NONE);
    CHECK_STR_EQ(pg_ask(other, "select hostflags.wait_ready('heard.example.com', '20s')"), "t");
    CHECK_STR_EQ(pg_ask(other,
                     "select concat_ws(' ', state, requests, failures) from hostflags.hosts "
                     "where host = 'silent.example.com'"),
        "unknown 1 0");
    PQfinish(session);
    PQfinish(other);
}

/* Names of hosts are ASCII whatever the database's encoding; all else is refused. */
static void test_encodings(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(
        pg_ask(session, "create database latin encoding latin1 locale 'C' template template0"),
        "CREATE DATABASE");
    PQfinish(session);
    session = pg_connect(server, "latin");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('latin.example.com')"), "t");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('latin.example.com', 'telemetry')"), "t");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('caf' || chr(233) || '.example.com')"),
        "ERROR 22023");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.is_enabled('latin.example.com', chr(233))"),
        "ERROR 42704");
    PQfinish(session);
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(session, "drop database latin with (force)"), "DROP DATABASE");
    PQfinish(session);
}

static void test_release(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with("given.example.com");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('HTTPS://given.example.com')"), "");
    CHECK_INT_EQ(scene_sessions(session, "given.example.com"), 1);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('given.example.com:443')"), "t");
    CHECK_INT_EQ(scene_sessions(session, "given.example.com"), 0);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('given.example.com')"), "f");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('never.example.com')"), "f");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('given.example.com', 'telemetry')"), "t");
    CHECK_INT_EQ(scene_sessions(session, "given.example.com"), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

/* More names than a session remembers: none of its references is lost or doubled. */
static void test_many_names(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with("names.example.com");
    CHECK_STR_EQ(pg_ask(session,
                     "select count(*) filter (where hostflags.is_enabled('names.example.com' || "
                     "repeat('/', i %% 2) , 'telemetry')) || ' ' || count(*) filter (where "
                     "hostflags.is_enabled('x' || i || '.invalid', 'telemetry')) from "
                     "generate_series(1, 10000) i"),
        "10000 0");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled(repeat('x', 1000000), 'telemetry')"), "f");
    CHECK_INT_BETWEEN(pg_number(session,
                          "select total_bytes from pg_backend_memory_contexts where name = "
                          "'hostflags names'"),
        1, 4 << 20);
    CHECK_INT_EQ(scene_sessions(session, "names.example.com"), 1);
    CHECK_INT_EQ(pg_number(session, "select connections from hostflags.stats"), 1);
    CHECK(pg_number(session, "select refused_not_allowed from hostflags.stats") >= 10000);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

static void test_no_reference(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('elsewhere.invalid', 'telemetry')"), "f");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select last_error from hostflags.explain('elsewhere.invalid', 'beta')"),
        "allowed_hosts");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('elsewhere.invalid')"), "ERROR 42501");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('user@x.example.com', 'beta')"), "f");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('user@x.example.com')"), "ERROR 22023");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.refresh('nobody.example.com')"), "ERROR 42704");
    /* The first request is one for a name that has one. */
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('somebody.example.com')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

static bool refresh_is_answered(PGconn *session)
{
    const char *answer = pg_ask(session, "select hostflags.refresh('again.example.com')");

    return strcmp(answer, "t") == 0 || strcmp(answer, "f") == 0;
}

static void test_refresh(void)
{
    PGconn *session;
    int64_t began;
    size_t most;

    if (!scene_ready())
        return;
    began = hf_wait_now_ms();
    session = scene_session_with("again.example.com");
    CHECK(HF_WAIT_UNTIL(
        refresh_is_answered(session) && hf_flag_service_count(service) >= 2, PG_BOUND_MS));
    CHECK(HF_STAYS(refresh_is_answered(session), 2500));
    most = 1 + (size_t)(hf_wait_now_ms() - began) / 1000;
    CHECK_INT_BETWEEN(hf_flag_service_count(service), 3, most);
    PQfinish(session);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C52 several sessions make one request per host", test_one_request},
        {"is_enabled never waits, wait_ready does", test_never_waits},
        {"wait_ready honours statement_timeout and cancel", test_interrupted},
        {"an ERROR keeps references, the end of the session gives them back", test_error_keeps},
        {"pg_terminate_backend gives them back as well", test_terminated},
        {"however a session ends, its references end with it", test_other_ends},
        {"rolling back to a savepoint, and DISCARD ALL, change no references", test_savepoint},
        {"while one service is silent nobody waits", test_silent_service},
        {"a database in another encoding", test_encodings},
        {"release, and another reference at the next read", test_release},
        {"a session with more names than it remembers", test_many_names},
        {"a name without a reference is answered the defaults", test_no_reference},
        {"refresh asks, but at most once a second", test_refresh},
    };
    int status;

    scene_open(argc, argv, "hostflags.request_timeout = 5min"); /* silence lasts */
    status = hf_suite_run("postgres_sessions", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

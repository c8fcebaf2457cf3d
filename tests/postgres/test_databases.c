/* SPDX-License-Identifier: PostgreSQL
 *
 * test_databases.c: the extension is in a database, the cache in the server: several databases,
 * DROP EXTENSION, a dump, a standby.
 */
#include "tests/postgres/scene.h"

static const char *const host = "db.example.com";

static void test_two_databases(void)
{
    PGconn *one, *two;

    if (!scene_ready())
        return;
    one = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(one, "create database second"), "CREATE DATABASE");
    two = pg_connect(server, "second");
    CHECK_STR_EQ(pg_ask(two, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(pg_ask(one, "select hostflags.wait_ready('%s', '20s')", host), "t");
    CHECK_STR_EQ(pg_ask(two, "select hostflags.is_enabled('%s', 'telemetry')", host), "t");
    CHECK_INT_EQ(scene_sessions(one, host), 2);
    CHECK_INT_EQ(scene_sessions(two, host), 2);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(two);
    /* The worker hinders it in nothing; sessions that have just ended may, for a moment. */
    CHECK_STR_EQ(pg_ask(one, "drop database second with (force)"), "DROP DATABASE");
    CHECK(HF_WAIT_UNTIL(scene_sessions(one, host) == 1, PG_BOUND_MS));
    PQfinish(one);
}

/* The session's references are not the extension's: they last until the session's end. */
static void test_drop_extension(void)
{
    PGconn *session, *other;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('drop.example.com', '20s')"), "t");
    CHECK_STR_EQ(pg_ask(session, "drop extension hostflags"), "DROP EXTENSION");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.is_enabled('drop.example.com', 'telemetry')"),
        "ERROR 42883");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('drop.example.com', 'telemetry')"), "t");
    CHECK_INT_EQ(scene_sessions(session, "drop.example.com"), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    other = pg_connect(server, "postgres");
    PQfinish(session);
    CHECK(HF_WAIT_UNTIL(scene_sessions(other, "drop.example.com") == 0, PG_BOUND_MS));
    PQfinish(other);
}

static bool dump_and_restore(const char *from, const char *to)
{
    const char *file = pg_path("dump");
    const char *dump[] = {pg_program("pg_dump"), "-h", pg_server_host(server), "-U", "tester",
        "-Fc", "-f", file, from, NULL};
    const char *restore[] = {pg_program("pg_restore"), "-h", pg_server_host(server), "-U", "tester",
        "--exit-on-error", "-d", to, file, NULL};

    return pg_run(dump) && pg_run(restore);
}

/* What was granted comes along, and so do a view on top and the owner of the schema. */
static void test_dump(void)
{
    PGconn *session, *restored, *user;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    pg_ask(session, "create role app login");
    CHECK_STR_EQ(pg_ask(session, "grant usage on schema hostflags to app"), "GRANT");
    CHECK_STR_EQ(
        pg_ask(session, "grant execute on function hostflags.is_enabled(text, text) to app"),
        "GRANT");
    pg_ask(session,
        "create view telemetry_on as select hostflags.is_enabled('%s', 'telemetry') as "
        "on_now",
        host);
    CHECK_STR_EQ(pg_ask(session, "grant select on telemetry_on to app"), "GRANT");
    CHECK_STR_EQ(pg_ask(session, "alter schema hostflags owner to app"), "ALTER SCHEMA");
    CHECK_STR_EQ(pg_ask(session, "create database restored"), "CREATE DATABASE");
    CHECK(dump_and_restore("postgres", "restored"));
    restored = pg_connect(server, "restored");
    CHECK_STR_EQ(
        pg_ask(restored, "select extversion from pg_extension where extname = 'hostflags'"),
        "1.0.0");
    CHECK_STR_EQ(pg_ask(restored, "select hostflags.wait_ready('%s', '20s')", host), "t");
    user = pg_connect_as(server, "restored", "app");
    CHECK_STR_EQ(pg_ask(user, "select on_now from telemetry_on"), "t");
    CHECK_STR_CONTAINS(pg_ask(user, "select hostflags.acquire('%s')", host), "ERROR 42501");
    CHECK_STR_CONTAINS(pg_ask(user, "select * from hostflags.hosts"), "ERROR 42501");
    CHECK_STR_EQ(
        pg_ask(restored, "select nspowner::regrole from pg_namespace where nspname = 'hostflags'"),
        "app");
    PQfinish(user);
    PQfinish(restored);
    CHECK_STR_EQ(pg_ask(session, "alter schema hostflags owner to tester"), "ALTER SCHEMA");
    PQfinish(session);
}

static struct pg_server *start_standby(void)
{
    const char *words[] = {pg_program("pg_basebackup"), "-h", pg_server_host(server), "-U",
        "tester", "-D", pg_path("standby/data"), "-R", "-X", "stream", "-c", "fast", "--no-sync",
        NULL};

    return pg_run(words) ? pg_server_start_copy("standby", "hot_standby = on") : NULL;
}

/* A cache of its own, with a worker, while it is read-only, and still after it was promoted. */
static void test_standby(void)
{
    struct pg_server *standby;
    PGconn *session;

    if (!scene_ready())
        return;
    standby = start_standby();
    if (!CHECK(standby != NULL))
        return;
    session = pg_connect(standby, "postgres");
    CHECK_STR_EQ(pg_ask(session, "select pg_is_in_recovery()"), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('%s', '20s')", host), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('%s', 'telemetry')", host), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    CHECK_STR_EQ(pg_ask(session, "select pg_promote()"), "t");
    CHECK_STR_EQ(pg_ask(session, "select pg_is_in_recovery()"), "f");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('new.example.com', '20s')"), "t");
    CHECK_INT_EQ(scene_sessions(session, host), 1);
    PQfinish(session);
    pg_server_stop(standby);
}

/* The servers' own object, but nobody has preloaded it. */
static void test_not_preloaded(void)
{
    static const char *const calls[] = {"hostflags.is_enabled('h', 'f')",
        "hostflags.explain('h', 'f')", "hostflags.acquire('h')", "hostflags.release('h')",
        "hostflags.wait_ready('h', '1s')", "hostflags.refresh('h')",
        "count(*) from hostflags.hosts", "count(*) from hostflags.flags",
        "count(*) from hostflags.stats"};
    struct pg_server *plain;
    PGconn *session;

    if (!scene_ready())
        return;
    plain = pg_server_start("plain", "shared_preload_libraries = ''");
    if (!CHECK(plain != NULL))
        return;
    session = pg_connect(plain, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        CHECK_STR_CONTAINS(pg_ask(session, "select %s", calls[i]),
            "ERROR 55000 ERROR:  hostflags must be loaded via shared_preload_libraries");
    CHECK_STR_EQ(pg_ask(session, "select 'still here'"), "still here");
    PQfinish(session);
    pg_server_stop(plain);
}

/* Another file than the one that the worker and the functions are looked for in: a server that
 * works, and says what is wrong. */
static void test_preloaded_from_elsewhere(void)
{
    char from[700], conf[800];
    struct pg_server *other;
    PGconn *session;

    if (!scene_ready())
        return;
    snprintf(from, sizeof(from), "stage%s/hostflags.so", pg_config("pkglibdir"));
    CHECK(pg_run((const char *const[]){"cp", pg_path(from), pg_path("elsewhere.so"), NULL}));
    snprintf(conf, sizeof(conf), "shared_preload_libraries = '%s'", pg_path("elsewhere.so"));
    other = pg_server_start("elsewhere", scene_conf(conf));
    if (!CHECK(other != NULL))
        return;
    CHECK(HF_WAIT_UNTIL(pg_server_count(other,
                            "hostflags asks nobody: shared_preload_libraries names another file "
                            "than $libdir/hostflags") == 1,
        PG_BOUND_MS));
    session = pg_connect(other, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.acquire('a.example.com')"),
        "ERROR 55000 ERROR:  hostflags must be loaded via shared_preload_libraries");
    CHECK_INT_EQ(pg_server_count(other, "terminated by signal"), 0);
    PQfinish(session);
    pg_server_stop(other);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"two databases have one cache, and can be dropped", test_two_databases},
        {"DROP EXTENSION, and CREATE EXTENSION once more", test_drop_extension},
        {"pg_dump and restore, with what was granted", test_dump},
        {"a hot standby has a cache of its own", test_standby},
        {"not preloaded: every function says so", test_not_preloaded},
        {"preloaded from another file than $libdir/hostflags", test_preloaded_from_elsewhere},
    };
    int status;

    scene_open(argc, argv, "");
    status =
        hf_suite_run("postgres_databases", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

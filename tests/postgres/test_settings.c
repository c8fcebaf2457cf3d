/* SPDX-License-Identifier: PostgreSQL
 *
 * test_settings.c: parameters: what is refused and how, what a reload changes, and tables that are
 * full.
 */
#include "tests/postgres/scene.h"
#include "tests/support/certs.h"
#include "tests/support/tmpdir.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const host = "set.example.com";

static bool answers(PGconn *session, const char *flag, const char *wanted)
{
    return HF_WAIT_UNTIL(
        strcmp(pg_ask(session, "select hostflags.is_enabled('%s', '%s')", host, flag), wanted) == 0,
        PG_BOUND_MS);
}

/* Every one must be refused, name the parameter and say what is valid, and not be repeated where it
 * may be a secret. */
static void test_refused(void)
{
    static const struct {
        const char *key, *value, *says;
    } rows[] = {
        {"ttl", "20d", "(100 .. 604800000)"},
        {"ttl", "1week", "\"min\", \"h\", and \"d\""},
        {"ttl", "soon", "invalid value for parameter \"hostflags.ttl\""},
        {"max_stale", "31d", "(0 .. 2592000)"},
        {"max_response_size", "65MB", "(1 .. 65536)"},
        {"max_in_flight", "0", "(1 .. 1024)"},
        {"enabled", "maybe", "requires a Boolean value"},
        {"allow_http", "yes", "Available values: off, loopback, any."},
        {"flags", "a b", "1 to 64 names, separated by commas"},
        {"defaults", "typo=on", "\"typo\" is not one of the names in flags"},
        {"overrides", "beta", "has no \"=on\" or \"=off\""},
        {"protocol", "soap", "expected databricks"},
        {"endpoint", "flags", "a path that begins with /"},
        {"service", "ftp://x", "such as https://{host}:8443"},
        {"allowed_hosts", "a b", "separated by commas"},
        {"ca_file", "/nowhere/ca.pem", "No such file or directory"},
        {"client_cert_file", "/nowhere/cert.pem", "No such file or directory"},
        {"token_file", "dapi0123456789abcdef", "the absolute path of a file"},
        {"proxy", "http://user:pass-word@proxy:1", "a user or a password"},
        {"proxy", "no proxy", "Expected [scheme://]host:port."},
        {"service", "http://user:pass-word@x", "which is not shown"},
        {"allowed_hosts", "user:pass-word@x", "which is not shown"},
        {"token_env", "TOKEN", "unrecognized configuration parameter"},
        {"share", "on", "unrecognized configuration parameter"},
        {"tll", "1h", "unrecognized configuration parameter"},
    };
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *said =
            pg_ask(session, "alter system set hostflags.%s = '%s'", rows[i].key, rows[i].value);
        CHECK_STR_CONTAINS(said, "ERROR");
        CHECK_STR_CONTAINS(said, rows[i].key);
        CHECK_STR_CONTAINS(said, rows[i].says);
        CHECK(strstr(said, "dapi0123") == NULL);
        CHECK(strstr(said, "pass-word") == NULL);
    }
    CHECK_STR_CONTAINS(pg_ask(session, "set hostflags.ttl = '1h'"), "ERROR 55P02");
    CHECK_STR_CONTAINS(
        pg_ask(session, "alter database postgres set hostflags.ttl = '1h'"), "ERROR 55P02");
    CHECK_STR_EQ(pg_ask(session, "show hostflags.ttl"), "15min");
    CHECK_STR_EQ(pg_ask(session, "show hostflags.max_response_size"), "1MB");
    PQfinish(session);
}

static void test_reload(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with(host);
    CHECK(answers(session, "telemetry", "t"));
    CHECK(pg_server_configure(server, "hostflags.overrides = 'telemetry=off, beta=on'"));
    CHECK(answers(session, "telemetry", "f"));
    CHECK(answers(session, "beta", "t"));
    CHECK_STR_EQ(
        pg_ask(session, "select reason from hostflags.explain('%s', 'beta')", host), "override");
    CHECK(pg_server_configure(server,
        "hostflags.overrides = ''\nhostflags.enabled = off\n"
        "hostflags.defaults = 'beta=on'"));
    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session, "select reason from hostflags.explain('%s', 'beta')", host),
            "disabled") == 0,
        PG_BOUND_MS));
    CHECK(answers(session, "telemetry", "f"));
    CHECK(answers(session, "beta", "t"));
    CHECK_STR_CONTAINS(pg_ask(session, "select hostflags.refresh('%s')", host), "ERROR 55000");
    CHECK(pg_server_configure(server, "hostflags.enabled = on\nhostflags.defaults = ''"));
    CHECK(answers(session, "telemetry", "t"));
    CHECK(answers(session, "beta", "f"));
    CHECK_INT_EQ(scene_sessions(session, host), 1);
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
}

/* Each value is fine, but not both of them. All else of the same reload holds. */
static void test_bad_combination(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with(host);
    CHECK(pg_server_configure(
        server, "hostflags.ttl_min = '2h'\nhostflags.overrides = 'telemetry=off'"));
    CHECK_INT_EQ(pg_server_count(server,
                     "hostflags: ttl_min = 2h and ttl_max = 1h: expected ttl_min to be at most "
                     "ttl_max; hostflags.ttl_min and ttl_max count as at the start of the server"),
        1);
    CHECK(answers(session, "telemetry", "f"));
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '1min'\nhostflags.overrides = ''"));
    CHECK(answers(session, "telemetry", "t"));
    PQfinish(session);
}

/* A restart parameter stays, and all else of the same reload is applied: as PostgreSQL does it. */
static void test_restart_parameter(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with(host);
    CHECK(pg_server_configure(
        server, "hostflags.flags = 'telemetry, gamma'\nhostflags.overrides = 'beta=on'"));
    CHECK(answers(session, "beta", "t"));
    CHECK_STR_EQ(pg_ask(session,
                     "select pending_restart from pg_settings where name = "
                     "'hostflags.flags'"),
        "t");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.is_enabled('%s', 'gamma')", host), "ERROR 42704");
    CHECK(pg_server_configure(
        server, "hostflags.flags = 'telemetry, beta'\nhostflags.overrides = ''"));
    CHECK(answers(session, "beta", "f"));
    PQfinish(session);
}

/* Who has a reference keeps it and its values, and its host is not asked. A refusal is over with
 * the list that it was for. */
static void test_allowed_hosts(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = scene_session_with(host);
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('held.example.com')"), "");
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = ''"));
    CHECK(pg_server_reached(server, session));
    hf_flag_service_set_reply(service, NULL);
    hf_flag_service_clear_log(service);
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.acquire('new.example.com')"), "ERROR 42501");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('new.example.com', 'telemetry')"), "f");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('%s', 'telemetry')", host), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('%s', '1h')", host), "t");
    CHECK_STR_CONTAINS(
        pg_ask(session, "select hostflags.wait_ready('held.example.com', '1h')"), "ERROR 42501");
    CHECK_STR_EQ(pg_ask(session,
                     "select concat_ws(' ', state, next_refresh, last_error) from "
                     "hostflags.explain('held.example.com', 'telemetry')"),
        "unknown it is not among the hosts of hostflags.allowed_hosts, and is not asked");
    CHECK(pg_server_configure(server, "hostflags.enabled = off"));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('held.example.com', '1h')"), "t");
    CHECK(pg_server_configure(server, "hostflags.enabled = on"));
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = 'new.example.com'"));
    CHECK(pg_server_reached(server, session));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('new.example.com')"), "");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('new.example.com', '20s')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1); /* nobody was asked before that */
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.allowed_hosts = '*.example.com'"));
}

static void test_user_agent(void)
{
    const struct hf_flag_request *request;
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('agent.example.com', '20s')"), "t");
    request = hf_flag_service_request(service, 0);
    if (CHECK(request != NULL))
        CHECK_STR_CONTAINS(hf_flag_request_header(request, "user-agent"), " (postgresql 1");
    PQfinish(session);
}

static void test_prefetch_off(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server, "hostflags.prefetch = off"));
    hf_flag_service_set_delay(service, 3000); /* later than the first read is answered */
    pg_ask(session, "select hostflags.acquire('asleep.example.com')");
    CHECK(HF_STAYS(hf_flag_service_count(service) == 0, 300));
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('asleep.example.com', 'telemetry')"), "f");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('asleep.example.com', '20s')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.prefetch = on"));
}

/* max_hosts = 3 and max_connections = 4: too much of either is answered the defaults. */
static void test_full(void)
{
    struct pg_server *small;
    PGconn *one, *two;

    if (!scene_ready())
        return;
    small = pg_server_start("small",
        scene_conf("hostflags.max_hosts = 3\nhostflags.max_connections = 4\n"
                   "hostflags.defaults = 'beta=on'"));
    if (!CHECK(small != NULL))
        return;
    one = pg_connect(small, "postgres");
    two = pg_connect(small, "postgres");
    CHECK_STR_EQ(pg_ask(one, "create extension hostflags"), "CREATE EXTENSION");
    for (int i = 1; i <= 3; i++)
        CHECK_STR_EQ(pg_ask(one, "select hostflags.wait_ready('h%d.example.com', '20s')", i), "t");
    CHECK_STR_CONTAINS(pg_ask(one, "select hostflags.acquire('h4.example.com')"), "ERROR 53400");
    CHECK_STR_EQ(pg_ask(one, "select hostflags.is_enabled('h4.example.com', 'beta')"), "t");
    CHECK_STR_EQ(pg_ask(two, "select hostflags.is_enabled('h1.example.com', 'telemetry')"), "t");
    CHECK_STR_CONTAINS(pg_ask(two, "select hostflags.acquire('h2.example.com')"), "ERROR 53400");
    CHECK_STR_EQ(
        pg_ask(two,
            "select hosts || ' ' || connections || ' ' || (refused_hosts_full > 0) || ' ' || "
            "(refused_connections_full > 0) from hostflags.stats"),
        "3 4 true true");
    CHECK(pg_server_count(small, "gets no flags: the table of hosts is full") == 1);
    /* The end of a session makes room for another one. */
    PQfinish(one);
    CHECK(scene_says(two, "select hostflags.wait_ready('h4.example.com', '20s')", "t"));
    PQfinish(two);
    pg_server_stop(small);
}

/* That the worker has reloaded shows in the log: two parameters do not fit, which it repeats. */
static void test_other_reload(void)
{
    static const char *const refusal = "expected ttl_min to be at most ttl_max";
    PGconn *session;
    size_t refused;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server, "hostflags.ttl_min = '2h'"));
    refused = pg_server_count(server, refusal);
    hf_flag_service_set_delay(service, 3000);
    pg_ask(session, "select hostflags.acquire('calm.example.com')");
    CHECK(hf_flag_service_wait_requests(service, 1, PG_BOUND_MS));
    CHECK(pg_server_configure(server, "work_mem = '5MB'"));
    CHECK_INT_EQ(pg_server_count(server, refusal), refused + 1);
    CHECK_INT_EQ(pg_number(session, "select in_flight from hostflags.stats"), 1);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('calm.example.com', '20s')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.ttl_min = 1min"));
}

/* Parallel workers are given all parameters, and must not fail for a file that is gone by then. */
static void test_parallel_workers(void)
{
    char conf[800], *directory = hf_tmpdir_create(), *file;
    const char *plan;
    PGconn *session;

    if (!scene_ready() || !CHECK(directory != NULL))
        return;
    file = hf_tmpdir_write(directory, "ca.pem", "no certificate is needed for this\n");
    if (!CHECK(chmod(directory, 0755) == 0 && chmod(file, 0644) == 0))
        return;
    snprintf(conf, sizeof(conf), "hostflags.ca_file = '%s'", file);
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server, conf));
    CHECK(pg_server_reached(server, session));
    CHECK_INT_EQ(unlink(file), 0);
    pg_ask(session, "create table numbers as select generate_series(1, 100000) as i");
    pg_ask(session,
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; "
        "set min_parallel_table_scan_size = 0; set max_parallel_workers_per_gather = 2");
    CHECK_STR_CONTAINS(pg_ask(session, "explain (costs off, analyze) select sum(i) from numbers"),
        "Finalize Aggregate");
    CHECK_STR_EQ(pg_ask(session, "select sum(i) from numbers"), "5000050000");
    /* is_enabled is for the leader alone: a plan that calls it has no workers for that. */
    CHECK_STR_CONTAINS(
        pg_ask(session, "explain (format json) select count(*) from numbers where i > 1"),
        "\"Gather");
    plan = pg_ask(session,
        "explain (format json) select count(*) from numbers where "
        "hostflags.is_enabled('set.example.com', 'telemetry')");
    CHECK_STR_CONTAINS(plan, "\"Seq Scan\"");
    CHECK(strstr(plan, "Gather") == NULL);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('set.example.com', '20s')"), "t");
    CHECK_STR_EQ(pg_ask(session,
                     "select count(*) from numbers where "
                     "hostflags.is_enabled('set.example.com', 'telemetry')"),
        "100000");
    CHECK(pg_number(session, "select connections from hostflags.stats") == 1);
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.ca_file = ''"));
    free(file);
    hf_tmpdir_remove(directory);
}

/* By a name (libcurl looks it up in a thread), over TLS, with an authority of our own; and with
 * none that it trusts. */
static void test_tls(void)
{
    struct hf_certs *certs = hf_certs_create();
    struct hf_flag_service *secure;
    char conf[800], directory[400];
    PGconn *session;

    if (!scene_ready() || !CHECK(certs != NULL))
        return;
    secure = hf_flag_service_start(
        &(struct hf_flag_service_options){.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
            .key_file = hf_certs_key_file(certs)});
    hf_flag_service_set_flag(secure, "telemetry", true);
    snprintf(directory, sizeof(directory), "%.*s",
        (int)(strrchr(hf_certs_ca_file(certs), '/') - hf_certs_ca_file(certs)),
        hf_certs_ca_file(certs));
    CHECK(chmod(directory, 0755) == 0 && chmod(hf_certs_ca_file(certs), 0644) == 0);
    session = pg_connect(server, "postgres");
    snprintf(conf, sizeof(conf),
        "hostflags.ca_file = '%s'\nhostflags.service = 'https://localhost:%u'",
        hf_certs_ca_file(certs), hf_flag_service_port(secure));
    CHECK(pg_server_configure(server, conf));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('tls.example.com', '20s')"), "t");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('tls.example.com', 'telemetry')"), "t");
    CHECK_INT_EQ(hf_flag_service_count(secure), 1);
    CHECK(pg_server_configure(server, "hostflags.ca_file = ''"));
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.wait_ready('mistrust.example.com', '50ms')"), "f");
    CHECK(scene_says_first(session,
        "select last_error from "
        "hostflags.explain('mistrust.example.com', 'beta')",
        "tls: "));
    CHECK_INT_EQ(hf_flag_service_count(secure), 1);
    PQfinish(session);
    snprintf(conf, sizeof(conf), "hostflags.service = '%s'", hf_flag_service_url(service));
    CHECK(pg_server_configure(server, conf));
    hf_flag_service_stop(secure);
    hf_certs_destroy(certs);
}

/* One bad value: as PostgreSQL does it, the default counts. A bad combination: no start. */
static void test_bad_start(void)
{
    struct pg_server *bad;
    PGconn *session;

    if (!scene_ready())
        return;
    bad = pg_server_start("bad",
        scene_conf("hostflags.ttl = soon\nhostflags.endpoint = 'x'\n"
                   "hostflags.tll = '1h'"));
    if (!CHECK(bad != NULL))
        return;
    CHECK(pg_server_count(bad, "invalid value for parameter \"hostflags.ttl\": \"soon\"") == 1);
    CHECK(pg_server_count(bad, "invalid value for parameter \"hostflags.endpoint\": \"x\"") == 1);
    CHECK(pg_server_count(bad, "invalid configuration parameter name \"hostflags.tll\"") == 1);
    session = pg_connect(bad, "postgres");
    CHECK_STR_EQ(pg_ask(session, "show hostflags.ttl"), "15min");
    PQfinish(session);
    CHECK(pg_server_configure(bad, "hostflags.ttl_min = '2h'"));
    CHECK(!pg_server_restart(bad));
    CHECK_INT_EQ(pg_server_count(bad, "count as at the start"), 0);
    CHECK(pg_server_count(bad,
              "hostflags cannot start with its settings: ttl_min = 2h and "
              "ttl_max = 1h") == 1);
    pg_server_stop(bad);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"bad values are refused as PostgreSQL does it, and secrets not repeated", test_refused},
        {"a reload changes overrides, defaults and the switch", test_reload},
        {"a bad combination counts as at the start, is logged, and keeps nothing else back",
            test_bad_combination},
        {"a parameter that needs a restart waits for it", test_restart_parameter},
        {"allowed_hosts empty means none", test_allowed_hosts},
        {"a reload of something else gives up no request", test_other_reload},
        {"parallel workers start whatever has become of a file", test_parallel_workers},
        {"a bad value at the start counts as the default, a bad combination is no start",
            test_bad_start},
        {"over TLS, with an authority of our own", test_tls},
        {"the server introduces itself", test_user_agent},
        {"prefetch = off: the first read asks", test_prefetch_off},
        {"full tables answer the defaults", test_full},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_settings", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

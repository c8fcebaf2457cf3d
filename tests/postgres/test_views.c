/* SPDX-License-Identifier: PostgreSQL
 *
 * test_views.c: what the views show of a host that fares badly, column by column, and what stats
 * counts.
 */
#include "tests/postgres/scene.h"

static PGconn *session; /* of the test that runs */

/* A column of the row of that host, as text. */
static const char *column(const char *host, const char *expression)
{
    return pg_ask(
        session, "select (%s)::text from hostflags.hosts where host = '%s'", expression, host);
}

static bool becomes(const char *host, const char *expression, const char *wanted)
{
    return HF_WAIT_UNTIL(strcmp(column(host, expression), wanted) == 0, PG_BOUND_MS);
}

/* Has the host asked once more, as soon as that may be. */
static void ask_again(const char *host)
{
    size_t before = hf_flag_service_count(service);

    CHECK(HF_WAIT_UNTIL(
        strcmp(pg_ask(session, "select hostflags.refresh('%s')", host), "t") == 0, PG_BOUND_MS));
    CHECK(hf_flag_service_wait_requests(service, before + 1, PG_BOUND_MS));
}

/* An answer, one that says there is nothing new, a refusal for 100 s. */
static void test_host(void)
{
    static const char *const host = "view.example.com";

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    hf_flag_service_set_etag(service, "\"one\"");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('%s', '20s')", host), "t");
    CHECK_STR_EQ(column(host, "concat_ws(' ', port, scheme, sessions, state, ttl, requests)"),
        "443 https 1 fresh 00:15:00 1");
    CHECK_STR_EQ(column(host, "num_nulls(retry_after, last_error, last_message)"), "3");
    CHECK_STR_EQ(column(host, "age between '0' and '1min'"), "true");
    CHECK_STR_EQ(column(host, "next_refresh between '10min' and '15min'"), "true");

    ask_again(host);
    CHECK(becomes(host, "not_modified", "1"));
    CHECK_STR_EQ(column(host, "concat_ws(' ', requests, failures, failures_in_a_row, http_status)"),
        "2 0 0 304");

    hf_flag_service_set_status(service, 503);
    hf_flag_service_set_headers(service, "Retry-After: 100");
    ask_again(host);
    CHECK(becomes(host, "failures", "1"));
    CHECK_STR_EQ(column(host,
                     "concat_ws(' ', state, requests, not_modified, failures_in_a_row, last_error, "
                     "http_status)"),
        "fresh 3 1 1 http 503");
    CHECK_STR_CONTAINS(column(host, "last_message"), "503");
    CHECK_STR_EQ(column(host, "retry_after between '40s' and '100s'"), "true");
    CHECK_STR_EQ(column(host, "next_refresh >= retry_after"), "true");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.refresh('%s')", host), "f");
    CHECK_STR_EQ(pg_ask(session,
                     "select concat_ws(' ', requests, not_modified, failures, in_flight) from "
                     "hostflags.stats"),
        "3 1 1 0");
    hf_flag_service_set_etag(service, NULL);
    PQfinish(session);
}

/* fresh, stale and expired; each flag with its reason. */
static void test_states(void)
{
    static const char *const host = "aging.example.com";
    static const char *const flags =
        "select string_agg(concat_ws(' ', flag, enabled, reason), ', ' order by flag) from "
        "hostflags.flags where host = 'aging.example.com'";

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK(pg_server_configure(server,
        "hostflags.ttl_min = 100ms\nhostflags.ttl = 1s\n"
        "hostflags.defaults = 'beta=on'"));
    CHECK(scene_says(session, "select hostflags.is_enabled('x.invalid', 'beta')", "t"));
    hf_flag_service_set_body(service,
        "{\"flags\": [{\"name\": \"telemetry\", \"value\": \"true\"}, "
        "{\"name\": \"beta\", \"value\": \"false\"}]}");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('%s', '20s')", host), "t");
    CHECK(scene_says(session, flags, "beta f static, telemetry t static"));
    hf_flag_service_set_status(service, 500);
    CHECK(becomes(host, "state", "stale"));
    CHECK_STR_EQ(pg_ask(session, "%s", flags), "beta f stale, telemetry t stale");
    CHECK(pg_server_configure(server, "hostflags.max_stale = 1s"));
    CHECK(becomes(host, "state", "expired"));
    CHECK_STR_EQ(pg_ask(session, "%s", flags), "beta t default, telemetry f default");
    CHECK_STR_EQ(column(host, "failures > 0 and failures_in_a_row > 0"), "true");
    PQfinish(session);
    CHECK(pg_server_configure(server,
        "hostflags.ttl_min = 1min\nhostflags.ttl = 15min\nhostflags.max_stale = 0\n"
        "hostflags.defaults = ''"));
}

/* Names that are none, hosts that make room for others, and a request on its way. */
static void test_stats(void)
{
    struct pg_server *small;

    if (!scene_ready())
        return;
    small = pg_server_start("small", scene_conf("hostflags.max_hosts = 2"));
    if (!CHECK(small != NULL))
        return;
    session = pg_connect(small, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('no host', 'beta')"), "f");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('x.invalid', 'beta')"), "f");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('a.example.com')"), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('b.example.com')"), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('a.example.com')"), "t");
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('c.example.com')"), "");
    CHECK(hf_flag_service_wait_requests(service, 3, PG_BOUND_MS));
    CHECK_STR_EQ(pg_ask(session,
                     "select concat_ws(' ', hosts, max_hosts, connections, in_flight, requests, "
                     "refused_name, refused_not_allowed, refused_hosts_full, "
                     "refused_connections_full, evictions) from hostflags.stats"),
        "2 2 2 1 2 1 1 0 0 1");
    PQfinish(session);
    pg_server_stop(small);
}

/* Whether an idle host is still known depends on a parameter: what a session shows first, it shows
 * by those of now. */
static void test_first_look(void)
{
    static const char *const counts[] = {"select count(*) from hostflags.hosts",
        "select count(distinct host) from hostflags.flags", "select hosts from hostflags.stats"};
    struct pg_server *brief;

    if (!scene_ready())
        return;
    brief = pg_server_start("brief", scene_conf("hostflags.linger = 100ms"));
    if (!CHECK(brief != NULL))
        return;
    session = pg_connect(brief, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK(pg_server_configure(brief, "hostflags.linger = 15min\nhostflags.defaults = 'beta=on'"));
    CHECK(scene_says(session, "select hostflags.is_enabled('x.invalid', 'beta')", "t"));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('a.example.com')"), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.release('a.example.com')"), "t");
    CHECK(HF_STAYS(pg_number(session, "select hosts from hostflags.stats") == 1, 300));
    PQfinish(session);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        session = pg_connect(brief, "postgres");
        CHECK_STR_EQ(pg_ask(session, "%s", counts[i]), "1");
        PQfinish(session);
    }
    pg_server_stop(brief);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"hosts: an answer, a 304, and a 503 that says when to come again", test_host},
        {"hosts and flags: fresh, stale and expired, and the reason of each answer", test_states},
        {"stats counts what was refused and evicted, and what is in flight", test_stats},
        {"a session's first look is by the parameters of now", test_first_look},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_views", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

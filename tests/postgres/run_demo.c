/* SPDX-License-Identifier: PostgreSQL
 *
 * run_demo.c: the extension at work in a throw-away server: sessions, flags that are flipped at the
 * service and seen from psql, an outage. Ends with status 0 only if each act was really observed.
 */
#include "tests/postgres/server.h"
#include "tests/support/flag_service.h"
#include "tests/support/process.h"
#include "tests/support/wait_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 20, HOSTS = 3 };
enum { TTL_MS = 3000 }; /* as the service says it */

static struct hf_flag_service *service;
static struct pg_server *server;
static PGconn *sessions[SESSIONS];

static void stop(void)
{
    for (int i = 0; i < SESSIONS; i++)
        PQfinish(sessions[i]);
    pg_server_stop(server);
    pg_stage_close();
    hf_flag_service_stop(service);
}

static void must(bool seen, const char *what)
{
    if (!seen) {
        fprintf(stderr, "demo-postgres: not seen: %s\n", what);
        stop();
        exit(1);
    }
    printf("   seen: %s\n", what);
    fflush(stdout);
}

static void act(const char *title)
{
    printf("== %s ==\n", title);
    fflush(stdout);
}

/* As somebody at a terminal would see it. */
static void show(const char *statement)
{
    const char *argv[] = {pg_program("psql"), "--no-psqlrc", "-h", pg_server_host(server), "-U",
        "tester", "-d", "postgres", "-c", statement, NULL};
    char *output = NULL;

    printf("postgres=# %s\n", statement);
    if (hf_process_run(argv, PG_BOUND_MS, &output) != 0)
        must(false, "psql");
    printf("%s", output);
    fflush(stdout);
    free(output);
}

/* How many of all sessions and hosts have telemetry on. */
static int on_everywhere(void)
{
    int on = 0;

    for (int i = 0; i < SESSIONS; i++)
        on += (int)pg_number(sessions[i],
            "select count(*) filter (where hostflags.is_enabled('w' || i || '.example.com', "
            "'telemetry')) from generate_series(1, %d) i",
            HOSTS);
    return on;
}

static long long requests(void)
{
    return pg_number(sessions[0], "select requests from hostflags.stats");
}

static bool all_are(const char *state)
{
    return pg_number(sessions[0], "select count(*) from hostflags.hosts where state = '%s'",
               state) == HOSTS;
}

static void open_server(void)
{
    char conf[600];

    service = hf_flag_service_start(NULL);
    if (!service || pg_stage_open(NULL))
        must(false, "PostgreSQL and a flag service");
    hf_flag_service_set_flag(service, "telemetry", true);
    hf_flag_service_set_ttl(service, "3");
    snprintf(conf, sizeof(conf),
        "hostflags.flags = telemetry\nhostflags.allow_http = loopback\nhostflags.ttl_min = 1s\n"
        "hostflags.allowed_hosts = '*.example.com'\nhostflags.service = '%s'",
        hf_flag_service_url(service));
    server = pg_server_start("demo", conf);
    must(server != NULL, "a PostgreSQL server that preloads hostflags");
    for (int i = 0; i < SESSIONS; i++)
        sessions[i] = pg_connect(server, "postgres");
    show("CREATE EXTENSION hostflags");
}

/* 0.8 TTL is the earliest that a host is asked again. */
static long long most_requests(int64_t since_ms)
{
    return HOSTS * (1 + (hf_wait_now_ms() - since_ms) / (TTL_MS * 8 / 10));
}

static void play_sessions(void)
{
    int64_t began = hf_wait_now_ms();
    char text[128];

    act("20 sessions ask for the flag of 3 hosts");
    must(
        HF_WAIT_UNTIL(on_everywhere() == SESSIONS * HOSTS, PG_BOUND_MS), "telemetry is on for all");
    snprintf(text, sizeof(text),
        "%lld requests for %d sessions; each on its own would have made %d", requests(), SESSIONS,
        SESSIONS * HOSTS);
    must(requests() <= most_requests(began), text);
    show("SELECT host, sessions, state, requests FROM hostflags.hosts ORDER BY host");
}

static void play_flip(void)
{
    act("the service turns the flag off, and on again");
    hf_flag_service_set_flag(service, "telemetry", false);
    must(HF_WAIT_UNTIL(on_everywhere() == 0, PG_BOUND_MS),
        "off in every session, within a TTL of 3 s");
    show("SELECT host, flag, enabled, reason FROM hostflags.flags ORDER BY host");
    hf_flag_service_set_flag(service, "telemetry", true);
    must(HF_WAIT_UNTIL(on_everywhere() == SESSIONS * HOSTS, PG_BOUND_MS), "on again");
}

static void play_outage(void)
{
    act("the service answers 503");
    hf_flag_service_set_status(service, 503);
    must(HF_WAIT_UNTIL(all_are("stale"), PG_BOUND_MS), "all values are past their TTL");
    must(on_everywhere() == SESSIONS * HOSTS, "and are still answered");
    show("SELECT enabled, reason, state, last_error FROM hostflags.explain('w1.example.com', "
         "'telemetry')");
    act("the service is back");
    hf_flag_service_set_status(service, 200);
    must(
        HF_WAIT_UNTIL(all_are("fresh"), PG_BOUND_MS), "all hosts fresh again, after their backoff");
}

static void play_end(void)
{
    act("the sessions end");
    for (int i = 1; i < SESSIONS; i++) {
        PQfinish(sessions[i]);
        sessions[i] = NULL;
    }
    must(HF_WAIT_UNTIL(pg_number(sessions[0], "select connections from hostflags.stats") == HOSTS,
             PG_BOUND_MS),
        "their references are given back");
}

int main(void)
{
    act("a throw-away server");
    open_server();
    play_sessions();
    play_flip();
    play_outage();
    play_end();
    stop();
    return 0;
}

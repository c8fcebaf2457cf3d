/* SPDX-License-Identifier: PostgreSQL
 *
 * scene.h: one flag service and one server with the extension, for a program of tests. All hosts
 * *.example.com are served by that service, on loopback.
 */
#ifndef HOSTFLAGS_TESTS_POSTGRES_SCENE_H
#define HOSTFLAGS_TESTS_POSTGRES_SCENE_H

#include "tests/postgres/server.h"
#include "tests/support/flag_service.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#include <stdio.h>
#include <string.h>

static const char *missing; /* why there is no server; NULL: there is one */
static struct hf_flag_service *service;
static struct pg_server *server;

/* Lines of postgresql.conf; `more` may change them. Valid until the next call. */
static inline const char *scene_conf(const char *more)
{
    static char conf[1024];

    snprintf(conf, sizeof(conf),
        "hostflags.flags = 'telemetry, beta'\nhostflags.allow_http = loopback\n"
        "hostflags.allowed_hosts = '*.example.com'\nhostflags.service = '%s'\n%s\n",
        hf_flag_service_url(service), more);
    return conf;
}

static inline void scene_open(int argc, char **argv, const char *more)
{
    if (argc > 1 && strcmp(argv[1], "--list") == 0)
        return;
    service = hf_flag_service_start(NULL);
    missing = service ? pg_stage_open(NULL) : "there is no flag service";
    if (!missing) {
        hf_flag_service_set_flag(service, "telemetry", true);
        server = pg_server_start("main", scene_conf(more));
    }
}

static inline void scene_close(void)
{
    pg_server_stop(server);
    pg_stage_close();
    hf_flag_service_stop(service);
}

/* Whether there is a server; without PostgreSQL the test is skipped. The extension is there
 * afterwards. */
static inline bool scene_ready(void)
{
    PGconn *session;

    if (missing) {
        hf_test_skip(missing);
        return false;
    }
    session = server ? pg_connect(server, "postgres") : NULL; /* its output is above */
    if (!CHECK(session != NULL))
        return false;
    CHECK_STR_EQ(pg_ask(session, "create extension if not exists hostflags"), "CREATE EXTENSION");
    PQfinish(session);
    hf_flag_service_set_reply(service, NULL);
    hf_flag_service_clear_log(service);
    return true;
}

/* A session that has heard of the host. */
static inline PGconn *scene_session_with(const char *host)
{
    PGconn *session = pg_connect(server, "postgres");

    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('%s', '20s')", host), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('%s', 'telemetry')", host), "t");
    return session;
}

/* How many sessions have a reference to the host. */
static inline long long scene_sessions(PGconn *session, const char *host)
{
    return pg_number(
        session, "select coalesce(sum(sessions), 0) from hostflags.hosts where host = '%s'", host);
}

/* Waits until that is what the statement answers. */
static inline bool scene_says(PGconn *session, const char *statement, const char *wanted)
{
    return HF_WAIT_UNTIL(strcmp(pg_ask(session, "%s", statement), wanted) == 0, PG_BOUND_MS);
}

/* Waits until what it answers begins like that. */
static inline bool scene_says_first(PGconn *session, const char *statement, const char *wanted)
{
    return HF_WAIT_UNTIL(
        strncmp(pg_ask(session, "%s", statement), wanted, strlen(wanted)) == 0, PG_BOUND_MS);
}

/* The worker's process; -1: there is none. */
static inline pid_t scene_worker(PGconn *session)
{
    return (pid_t)pg_number(session, "select worker_pid from hostflags.stats");
}

/* Waits for the successor of that one. */
static inline bool scene_another_worker(PGconn *session, pid_t than)
{
    return HF_WAIT_UNTIL(scene_worker(session) > 0 && scene_worker(session) != than, PG_BOUND_MS);
}

static inline size_t scene_crashes(void)
{
    return pg_server_count(server, "all server processes terminated; reinitializing");
}

/* Waits until the server has gone down once more since `before`, and is back with a worker. */
static inline bool scene_back_after_crash(size_t before)
{
    return HF_WAIT_UNTIL(scene_crashes() > before, PG_BOUND_MS) &&
        HF_WAIT_UNTIL(
            pg_number_once(server, "select coalesce(worker_pid, 0) from hostflags.stats") > 0,
            PG_BOUND_MS);
}

#endif

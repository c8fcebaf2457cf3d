/* SPDX-License-Identifier: PostgreSQL */
#include "tests/postgres/server.h"

#include "tests/support/process.h"
#include "tests/support/server_user.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const user_name = "tester";

static struct {
    char directory[64], programs[512];
} stage;

struct pg_server {
    char directory[128], data[160];
    struct hf_process *process;
    unsigned configured; /* how often; each line of the log begins with that */
};

/* ---- paths ---- */

static char *next_path(void)
{
    static char paths[8][700];
    static unsigned next;

    return paths[next++ % 8];
}

const char *pg_program(const char *name)
{
    char *path = next_path();

    snprintf(path, 700, "%s/%s", stage.programs, name);
    if (access(path, X_OK) != 0)
        snprintf(path, 700, "%s/%s", pg_config("bindir"), name);
    return path;
}

const char *pg_path(const char *name)
{
    char *path = next_path();

    snprintf(path, 700, "%s/%s", stage.directory, name);
    return path;
}

const char *pg_config(const char *what)
{
    static char answers[4][512];
    static unsigned next;
    char option[64], *answer = answers[next++ % 4], *output = NULL;
    const char *argv[] = {"pg_config", option, NULL};

    snprintf(option, sizeof(option), "--%s", what);
    *answer = '\0';
    if (hf_process_run(argv, PG_BOUND_MS, &output) == 0)
        snprintf(answer, sizeof(answers[0]), "%.*s", (int)strcspn(output, "\n"), output);
    free(output);
    return answer;
}

bool pg_run(const char *const *words)
{
    const char *argv[64];
    char *output = NULL;
    int status;

    hf_server_user_command(argv, words);
    status = hf_process_run(argv, 120000, &output);
    if (status != 0)
        fprintf(stderr, "%s ended with status %d:\n%s\n", words[0], status, output ? output : "");
    free(output);
    return status == 0;
}

/* ---- the stage ---- */

const char *pg_stage_open(const char *source)
{
    const struct passwd *user = hf_server_user();
    char script[512], *output = NULL;
    const char *argv[] = {script, NULL, NULL};

    if (*pg_config("bindir") == '\0')
        return "PostgreSQL is not installed (pg_config)";
    snprintf(stage.directory, sizeof(stage.directory), "/tmp/hostflags-pg-XXXXXX");
    if (!mkdtemp(stage.directory) || chmod(stage.directory, 0755) != 0 ||
        (user && chown(stage.directory, user->pw_uid, user->pw_gid) != 0))
        return "there is no temporary directory";
    snprintf(script, sizeof(script), "%s/.ci/postgres-stage", source ? source : ".");
    argv[1] = pg_path("stage");
    if (hf_process_run(argv, 120000, &output) != 0) {
        fprintf(stderr, "%s\n", output ? output : "");
        abort(); /* PostgreSQL is there, so that is no reason to skip anything */
    }
    snprintf(stage.programs, sizeof(stage.programs), "%.*s", (int)strcspn(output, "\n"), output);
    free(output);
    return NULL;
}

void pg_stage_close(void)
{
    if (*stage.directory)
        hf_tmpdir_remove_tree(stage.directory);
}

/* ---- servers ---- */

static bool append(const struct pg_server *server, const char *text)
{
    char path[200];
    FILE *file;
    bool written;

    snprintf(path, sizeof(path), "%s/postgresql.conf", server->data);
    file = fopen(path, "a");
    if (!file)
        return false;
    written = fprintf(file, "%s\n", text) > 0;
    return fclose(file) == 0 && written;
}

static bool run(struct pg_server *server)
{
    const char *words[] = {
        pg_program("postgres"), "-D", server->data, "-h", "", "-k", server->directory, "-F", NULL};
    const char *argv[24];

    hf_server_user_command(argv, words);
    server->process = hf_process_start(&(struct hf_process_options){.argv = argv, .merge = true});
    return server->process && hf_process_wait_output(server->process, "ready to accept", 60000);
}

static struct pg_server *start(struct pg_server *server, const char *conf)
{
    if (append(server,
            "fsync = off\nlog_min_messages = debug1\n"
            "shared_preload_libraries = 'hostflags'") &&
        append(server, conf) && run(server))
        return server;
    pg_server_stop(server);
    return NULL;
}

static struct pg_server *make(const char *name)
{
    struct pg_server *server = calloc(1, sizeof(*server));

    if (!server)
        abort();
    snprintf(server->directory, sizeof(server->directory), "%s", pg_path(name));
    snprintf(server->data, sizeof(server->data), "%s/data", server->directory);
    return server;
}

struct pg_server *pg_server_start(const char *name, const char *conf)
{
    struct pg_server *server = make(name);
    const char *words[] = {pg_program("initdb"), "--pgdata", server->data, "--auth", "trust",
        "--username", user_name, "--no-sync", "--encoding", "UTF8", "--locale", "C", NULL};

    if (pg_run(words))
        return start(server, conf);
    pg_server_stop(server);
    return NULL;
}

struct pg_server *pg_server_start_copy(const char *name, const char *conf)
{
    return start(make(name), conf);
}

/* Whether the worker says that it has what the latest lines say. */
static bool has_published(struct pg_server *server)
{
    char *output = hf_process_output(server->process, HF_STDOUT), begin[64];
    const char *line = output;
    bool found = false;

    snprintf(begin, sizeof(begin), "%u hostflags refresher ", server->configured);
    while (!found && line) {
        const char *end = strchr(line, '\n'), *said = strstr(line, "answers are by the parameters");
        found = strncmp(line, begin, strlen(begin)) == 0 && said && end && said < end;
        line = end ? end + 1 : NULL;
    }
    free(output);
    return found;
}

bool pg_server_configure(struct pg_server *server, const char *conf)
{
    char prefix[64];

    snprintf(prefix, sizeof(prefix), "log_line_prefix = '%u %%b %%m [%%p] '", ++server->configured);
    return append(server, conf) && append(server, prefix) &&
        hf_process_signal(server->process, SIGHUP) == 0 &&
        HF_WAIT_UNTIL(has_published(server), PG_BOUND_MS);
}

bool pg_server_reached(struct pg_server *server, PGconn *session)
{
    char prefix[64];

    snprintf(prefix, sizeof(prefix), "%u %%b ", server->configured);
    return HF_WAIT_UNTIL(
        strncmp(pg_ask(session, "show log_line_prefix"), prefix, strlen(prefix)) == 0, PG_BOUND_MS);
}

static void end(struct pg_server *server)
{
    if (server->process) {
        hf_process_signal(server->process, SIGINT);
        hf_process_wait_exit(server->process, PG_BOUND_MS, NULL);
    }
    hf_process_destroy(server->process);
    server->process = NULL;
}

bool pg_server_restart(struct pg_server *server)
{
    end(server);
    return run(server);
}

size_t pg_server_count(struct pg_server *server, const char *text)
{
    return hf_process_count(server->process, HF_STDOUT, text);
}

void pg_server_stop(struct pg_server *server)
{
    if (!server)
        return;
    end(server);
    hf_tmpdir_remove_tree(server->directory);
    free(server);
}

pid_t pg_server_pid(const struct pg_server *server)
{
    return hf_process_pid(server->process);
}

const char *pg_server_host(const struct pg_server *server)
{
    return server->directory;
}

/* ---- sessions ---- */

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static PGconn *open_session(
    const struct pg_server *server, const char *database, const char *user, bool complain)
{
    const char *keys[] = {"host", "dbname", "user", NULL};
    const char *values[] = {server->directory, database, user, NULL};
    PGconn *session = PQconnectdbParams(keys, values, 0);

    PQsetNoticeProcessor(session, ignore_notice, NULL);
    if (PQstatus(session) == CONNECTION_OK)
        return session;
    if (complain)
        fprintf(stderr, "%s", PQerrorMessage(session));
    PQfinish(session);
    return NULL;
}

PGconn *pg_connect_as(const struct pg_server *server, const char *database, const char *user)
{
    return open_session(server, database, user, true);
}

PGconn *pg_connect(const struct pg_server *server, const char *database)
{
    return open_session(server, database, user_name, true);
}

static void write_result(const PGresult *result, char *out, size_t size)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
        snprintf(out, size, "%s",
            PQntuples(result) == 0          ? ""
                : PQgetisnull(result, 0, 0) ? "null"
                                            : PQgetvalue(result, 0, 0));
        break;
    case PGRES_COMMAND_OK:
        snprintf(out, size, "%s", PQcmdStatus((PGresult *)result));
        break;
    default:
        snprintf(out, size, "ERROR %s %s", state ? state : "", PQresultErrorMessage(result));
    }
}

__attribute__((format(printf, 2, 0))) static const char *ask(
    PGconn *session, const char *statement, va_list args)
{
    static char answers[16][2048];
    static unsigned next;
    char *answer = answers[next++ % 16], text[4096];
    PGresult *result;

    vsnprintf(text, sizeof(text), statement, args);
    result = PQexec(session, text);
    write_result(result, answer, sizeof(answers[0]));
    PQclear(result);
    return answer;
}

const char *pg_ask(PGconn *session, const char *statement, ...)
{
    const char *answer;
    va_list args;

    va_start(args, statement);
    answer = ask(session, statement, args);
    va_end(args);
    return answer;
}

static long long number_in(const char *answer)
{
    char *end;
    long long number = strtoll(answer, &end, 10);

    return end == answer || *end != '\0' ? -1 : number;
}

long long pg_number(PGconn *session, const char *statement, ...)
{
    const char *answer;
    va_list args;

    va_start(args, statement);
    answer = ask(session, statement, args);
    va_end(args);
    return number_in(answer);
}

long long pg_number_once(struct pg_server *server, const char *statement)
{
    PGconn *session = open_session(server, "postgres", user_name, false);
    long long number = session ? pg_number(session, "%s", statement) : -1;

    PQfinish(session);
    return number;
}

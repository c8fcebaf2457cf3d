/* SPDX-License-Identifier: PostgreSQL
 *
 * server.h: throw-away PostgreSQL servers that have the extension, and sessions in them.
 *
 * Everything lies in one temporary directory per program: a copy of PostgreSQL with the extension
 * (.ci/postgres-stage), which the servers share, and each server's data and socket. They listen on
 * no port. PostgreSQL refuses to run as root: then the servers run as the user postgres, or else
 * nobody.
 *
 * The main thread.
 */
#ifndef HOSTFLAGS_TESTS_POSTGRES_SERVER_H
#define HOSTFLAGS_TESTS_POSTGRES_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-fe.h>

enum { PG_BOUND_MS = 30000 };

/* Before all else. source: the directory of the extension's sources; NULL: this one. NULL, or why
 * there can be no server. That the extension cannot be installed ends the program. */
const char *pg_stage_open(const char *source);

/* After the last server was stopped. */
void pg_stage_close(void);

/* The path of a program: the copy's own, or the installed one. Valid for the next 8 calls. */
const char *pg_program(const char *name);

/* The installed pg_config's answer to --WHAT. Valid for the next 4 calls; "" if there is none. */
const char *pg_config(const char *what);

/* A path below the temporary directory, which the servers' user can write to. Valid for the next 8
 * calls. */
const char *pg_path(const char *name);

/* Runs a program as the servers' user: argv as in hf_process_run, output printed on failure. */
bool pg_run(const char *const *argv);

struct pg_server;

/* A new server, whose data and socket are in the directory `name`. conf: lines for postgresql.conf;
 * the extension is preloaded unless they say otherwise. NULL: it did not start. */
struct pg_server *pg_server_start(const char *name, const char *conf);

/* The same for data that are there already: a copy made by pg_basebackup. */
struct pg_server *pg_server_start_copy(const char *name, const char *conf);

/* Appends lines to postgresql.conf and has the server read them. True: the extension's worker has,
 * and answers are by them. Sessions follow in their own time. */
bool pg_server_configure(struct pg_server *server, const char *conf);

/* Waits until the session follows the latest lines. */
bool pg_server_reached(struct pg_server *server, PGconn *session);

/* Stops it (fast) and starts it again. */
bool pg_server_restart(struct pg_server *server);

/* How often the text stands in its log. */
size_t pg_server_count(struct pg_server *server, const char *text);

/* Its end, and that of its data. NULL is fine. */
void pg_server_stop(struct pg_server *server);

/* Of the postmaster. */
pid_t pg_server_pid(const struct pg_server *server);

/* The directory of its socket. */
const char *pg_server_host(const struct pg_server *server);

/* A session; NULL: refused, the reason is on stderr. End it by PQfinish. */
PGconn *pg_connect(const struct pg_server *server, const char *database);
PGconn *pg_connect_as(const struct pg_server *server, const char *database, const char *user);

/* Runs a statement and gives the first field of the first row; "null"; "" where there is no row;
 * or "ERROR", the SQLSTATE and the message. Valid for the next 16 calls. */
__attribute__((format(printf, 2, 3))) const char *pg_ask(
    PGconn *session, const char *statement, ...);

/* The same as a number; -1: no number. */
__attribute__((format(printf, 2, 3))) long long pg_number(
    PGconn *session, const char *statement, ...);

/* The same in a session of its own, which may be refused (the server is starting). */
long long pg_number_once(struct pg_server *server, const char *statement);

#endif

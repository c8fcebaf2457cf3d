/* SPDX-License-Identifier: PostgreSQL
 *
 * test_secrecy.c: the token, and the names of files and of the proxy: parameters that are for
 * members of pg_read_all_settings, wherever a failure would tell them.
 */
#include "tests/postgres/scene.h"
#include "tests/support/name_server.h"
#include "tests/support/tmpdir.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const hidden =
    "it may name a file or the proxy, and is for members of pg_read_all_settings";

/* A session of somebody who may call all functions, and see no parameter that is not for all. */
static PGconn *connect_as_user(PGconn *session)
{
    pg_ask(session, "create role secrecy_user login");
    pg_ask(session, "grant usage on schema hostflags to secrecy_user");
    pg_ask(session, "grant execute on all functions in schema hostflags to secrecy_user");
    return pg_connect_as(server, "postgres", "secrecy_user");
}

/* The ways to the message of a host's latest request. */
static const char *last_error(PGconn *session, const char *host)
{
    return pg_ask(session, "select last_error from hostflags.explain('%s', 'beta')", host);
}

static const char *last_message(PGconn *session, const char *host)
{
    return pg_ask(
        session, "select last_message from hostflags.show_hosts() where host = '%s'", host);
}

/* The host's request failed like that, which names what is for few only. */
static void check_hidden(PGconn *session, const char *host, const char *kind, const char *name)
{
    PGconn *user = connect_as_user(session);
    char told[200];

    snprintf(told, sizeof(told), "%s: %s", kind, hidden);
    CHECK(HF_WAIT_UNTIL(strstr(last_error(session, host), name) != NULL, PG_BOUND_MS));
    CHECK_STR_CONTAINS(last_message(session, host), name);
    CHECK_STR_EQ(last_error(user, host), told);
    CHECK_STR_EQ(last_message(user, host), hidden);
    pg_ask(session, "grant pg_read_all_settings to secrecy_user");
    CHECK_STR_CONTAINS(last_error(user, host), name);
    pg_ask(session, "revoke pg_read_all_settings from secrecy_user");
    PQfinish(user);
}

/* Has the server read those lines, and a new worker with them. */
static PGconn *restart_with(const char *conf)
{
    CHECK(pg_server_configure(server, conf));
    CHECK(pg_server_restart(server));
    return pg_connect(server, "postgres");
}

/* A file that the server's user can read. */
static char *write_file(const char *directory, const char *text)
{
    char *file = hf_tmpdir_write(directory, "file", text);

    CHECK(chmod(directory, 0755) == 0 && chmod(file, 0644) == 0);
    return file;
}

static void test_token(void)
{
    char conf[800], *directory = hf_tmpdir_create(), *file;
    PGconn *session, *user;

    if (!scene_ready() || !CHECK(directory != NULL))
        return;
    file = write_file(directory, "sesame-and-lilies\n");
    snprintf(conf, sizeof(conf), "hostflags.token_file = '%s'", file);
    session = restart_with(conf);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('token.example.com', '20s')"), "t");
    if (CHECK(hf_flag_service_count(service) == 1))
        CHECK_STR_EQ(hf_flag_request_header(hf_flag_service_request(service, 0), "authorization"),
            "Bearer sesame-and-lilies");
    hf_flag_service_set_status(service, 401);
    pg_ask(session, "select hostflags.acquire('rejected.example.com')");
    check_hidden(session, "rejected.example.com", "http", file);
    user = connect_as_user(session);
    CHECK_STR_CONTAINS(pg_ask(user, "show hostflags.token_file"), "ERROR 42501");
    CHECK_STR_EQ(pg_ask(user, "show hostflags.ttl"), "15min");
    PQfinish(user);
    CHECK_INT_EQ(unlink(file), 0);
    pg_ask(session, "select hostflags.acquire('untold.example.com')");
    check_hidden(session, "untold.example.com", "token", file);
    CHECK_INT_EQ(pg_server_count(server, "sesame"), 0);
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.token_file = ''"));
    free(file);
    hf_tmpdir_remove(directory);
}

/* A loopback address at which nobody listens. */
static void test_proxy(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = restart_with("hostflags.service = ''\nhostflags.proxy = 'http://127.0.0.1:1'");
    pg_ask(session, "select hostflags.acquire('untold.example.com')");
    check_hidden(session, "untold.example.com", "connect", "127.0.0.1");
    PQfinish(session);
    CHECK(pg_server_configure(server, scene_conf("hostflags.proxy = ''")));
}

/* Its name may be that of a proxy in the environment. */
static void test_name(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    if (!hf_name_server_is_covered()) {
        hf_test_skip("look-ups of names cannot be kept on this machine");
        return;
    }
    session = restart_with("hostflags.service = ''");
    pg_ask(session, "select hostflags.acquire('untold.example.com')");
    check_hidden(session, "untold.example.com", "dns", "untold.example.com");
    PQfinish(session);
    CHECK(pg_server_configure(server, scene_conf("")));
}

/* One that vanishes: it was there when the parameter was set. */
static void test_ca_file(void)
{
    char conf[800], *directory = hf_tmpdir_create(), *file;
    PGconn *session;

    if (!scene_ready() || !CHECK(directory != NULL))
        return;
    file = write_file(directory, "no certificate is needed for this\n");
    snprintf(conf, sizeof(conf),
        "hostflags.ca_file = '%s'\nhostflags.service = 'https://127.0.0.1:%u'", file,
        hf_flag_service_port(service));
    session = restart_with(conf);
    CHECK_INT_EQ(unlink(file), 0);
    pg_ask(session, "select hostflags.acquire('untold.example.com')");
    check_hidden(session, "untold.example.com", "tls", file);
    PQfinish(session);
    CHECK(pg_server_configure(server, scene_conf("hostflags.ca_file = ''")));
    free(file);
    hf_tmpdir_remove(directory);
}

/* No word is of use to who may not know where it came from: with a proxy it was the proxy that was
 * silent. */
static void test_silence(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = restart_with("hostflags.request_timeout = 100ms");
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    pg_ask(session, "select hostflags.acquire('untold.example.com')");
    check_hidden(session, "untold.example.com", "timeout", "100 milliseconds");
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.request_timeout = 10s"));
}

static char overheard[4096];

static void keep_notice(void *arg, const char *message)
{
    size_t length = strlen(overheard);

    (void)arg;
    snprintf(overheard + length, sizeof(overheard) - length, "%s", message);
}

/* Sessions look at new parameters, too, and tell whoever wants to see all messages. */
static void test_overheard(void)
{
    PGconn *session, *user;

    if (!scene_ready())
        return;
    session = restart_with(scene_conf(""));
    user = connect_as_user(session);
    PQsetNoticeProcessor(user, keep_notice, NULL);
    CHECK_STR_EQ(pg_ask(user, "set client_min_messages = debug5"), "SET");
    CHECK(pg_server_configure(server,
        "hostflags.ca_file = '/nowhere/to-be-seen.pem'\nhostflags.proxy = 'to-be-seen:nowhere'"));
    CHECK(pg_server_reached(server, user));
    CHECK_STR_CONTAINS(overheard, "\"hostflags.ca_file\", which is not shown");
    CHECK_STR_CONTAINS(overheard, "\"hostflags.proxy\", which is not shown");
    CHECK(strstr(overheard, "to-be-seen") == NULL);
    CHECK(pg_server_count(server, "\"/nowhere/to-be-seen.pem\"") >= 1);
    CHECK(pg_server_count(server, "\"to-be-seen:nowhere\"") >= 1);
    PQfinish(user);
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.ca_file = ''\nhostflags.proxy = ''"));
}

/* What names nothing of that is told to all who may ask. */
static void test_told(void)
{
    PGconn *session, *user;

    if (!scene_ready())
        return;
    session = restart_with(scene_conf(""));
    hf_flag_service_set_status(service, 500);
    pg_ask(session, "select hostflags.acquire('told.example.com')");
    user = connect_as_user(session);
    CHECK(HF_WAIT_UNTIL(
        strstr(last_error(user, "told.example.com"), "http: 500") != NULL, PG_BOUND_MS));
    PQfinish(user);
    PQfinish(session);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a token comes from a file, and not everybody sees which", test_token},
        {"nor through which proxy", test_proxy},
        {"nor which name was not found", test_name},
        {"nor which authority is trusted", test_ca_file},
        {"nor who was silent", test_silence},
        {"nor which file was refused, by a look at all messages", test_overheard},
        {"a status is told to all who may ask", test_told},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_secrecy", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

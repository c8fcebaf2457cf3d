/* SPDX-License-Identifier: PostgreSQL
 *
 * test_kills.c: deaths in a server. Whoever is killed, the postmaster makes the shared memory anew:
 * all begins empty, and works. A worker that is only terminated leaves the cache as it is.
 */
#include "tests/postgres/scene.h"

#include "tests/support/name_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* After a crash: empty, with a worker, and a service that is asked once more. */
static void check_begins_anew(size_t crashes_before)
{
    PGconn *session;

    CHECK(scene_back_after_crash(crashes_before));
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
    crashes = scene_crashes();
    session = scene_session_with("kill.example.com");
    victim = scene_session_with("kill.example.com");
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(kill(worker ? scene_worker(session) : PQbackendPID(victim), SIGKILL), 0);
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
    crashes = scene_crashes();
    CHECK(pg_server_configure(server, "hostflags.overrides = 'beta=on'"));
    session = scene_session_with("kill.example.com");
    CHECK(scene_says(session, "select hostflags.is_enabled('kill.example.com', 'beta')", "t"));
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(kill(PQbackendPID(session), SIGKILL), 0);
    PQfinish(session);
    check_begins_anew(crashes);
    session = scene_session_with("kill.example.com");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.is_enabled('kill.example.com', 'beta')"), "t");
    PQfinish(session);
    CHECK(pg_server_configure(server, "hostflags.overrides = ''"));
}

#define ACTIVITY \
    "select concat_ws(' ', wait_event_type, wait_event, state, query) from pg_stat_activity " \
    "where backend_type = 'hostflags refresher'"

static void test_listed(void)
{
    PGconn *session;

    if (!scene_ready())
        return;
    session = pg_connect(server, "postgres");
    CHECK_INT_EQ(pg_number(session,
                     "select pid from pg_stat_activity where backend_type = "
                     "'hostflags refresher'"),
        scene_worker(session));
    CHECK(scene_says(session, ACTIVITY, "Extension Extension idle waiting until a host is due"));
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    pg_ask(session, "select hostflags.acquire('mute.example.com')");
    CHECK(scene_says(session, ACTIVITY, "Extension Extension active asking flag services"));
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
    worker = scene_worker(session);
    hf_flag_service_set_reply(service, NULL);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(scene_another_worker(session, worker));
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
    worker = scene_worker(session);
    CHECK_STR_EQ(pg_ask(session, "select pg_cancel_backend(%d)", worker), "t");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('after.example.com', '20s')"), "t");
    CHECK_INT_EQ(scene_worker(session), worker);
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
    worker = scene_worker(session);
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGSTOP), 0);
    CHECK_STR_EQ(pg_ask(session, "select pg_terminate_backend(%d)", worker), "t");
    CHECK(scene_says(session, "select worker_pid from hostflags.stats", "null"));
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('orphan.example.com')"), "");
    CHECK_INT_EQ(kill(pg_server_pid(server), SIGCONT), 0);
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('orphan.example.com', '20s')"), "t");
    CHECK(scene_another_worker(session, worker));
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

/* A socket to which the look-ups of the server go. */
static int bind_silent_name_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, HF_NAME_SERVER, &address.sin_addr);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The set of signals (bit n - 1 for n) that a thread blocks; 0: there is no such thread. */
static unsigned long long blocked_by(pid_t process, const char *thread)
{
    unsigned long long set = 0;
    char path[64], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", (int)process, thread);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        (void)sscanf(line, "SigBlk: %llx", &set);
    if (file)
        fclose(file);
    return set;
}

/* How many threads the process has beside its main one, and what all of them block. */
static int count_threads(pid_t process, unsigned long long *blocked)
{
    struct dirent *entry;
    char path[64];
    int count = 0;
    DIR *directory;

    *blocked = ~0ull;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)process);
    directory = opendir(path);
    while (directory && (entry = readdir(directory))) {
        if (*entry->d_name == '.' || atoi(entry->d_name) == (int)process)
            continue;
        *blocked &= blocked_by(process, entry->d_name);
        count++;
    }
    if (directory)
        closedir(directory);
    return count;
}

/* A look-up waits in a thread of its own, which must never run a handler of the server's; its end
 * is not waited for. */
static void test_silent_name_server(void)
{
    static const int handled[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
    struct pollfd query = {.fd = -1, .events = POLLIN};
    unsigned long long blocked;
    PGconn *session;
    int64_t began;

    if (!scene_ready())
        return;
    if (!hf_name_server_is_covered() || (query.fd = bind_silent_name_server()) < 0) {
        hf_test_skip("port 53 of " HF_NAME_SERVER " cannot be the server's name server here");
        return;
    }
    CHECK(pg_server_configure(server, "hostflags.service = ''\nhostflags.connect_timeout = 5min"));
    CHECK(pg_server_restart(server)); /* the worker has them for sure */
    session = pg_connect(server, "postgres");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.acquire('nowhere.example.com')"), "");
    CHECK_INT_EQ(poll(&query, 1, (int)hf_wait_slow_ms(PG_BOUND_MS)), 1);
    CHECK_INT_BETWEEN(count_threads(scene_worker(session), &blocked), 1, 8);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        CHECK((blocked >> (handled[i] - 1) & 1) != 0);
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('nowhere.example.com', 'telemetry')"), "f");
    began = hf_wait_now_ms();
    CHECK(pg_server_restart(server));
    CHECK(hf_wait_now_ms() - began < hf_wait_slow_ms(5000));
    PQfinish(session);
    CHECK(pg_server_configure(server, scene_conf("")));
    close(query.fd);
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
        {"a name server that never answers: its threads take no signals and delay no shutdown",
            test_silent_name_server},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_kills", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

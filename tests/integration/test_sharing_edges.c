/* SPDX-License-Identifier: PostgreSQL
 *
 * share = on where it meets other settings and limits, and what hosts do with processes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/integration/children.h"
#include "tests/support/fds.h"
#include "tests/support/tmpdir.h"
#include "tests/support/tsan_meant.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* ---- more processes than numbers ---- */

#define SHARING "flags = a, b\nallow_http = loopback\nshare = on\n"

enum { OWNERS = 255, TOO_MANY = OWNERS + 5 };

static pid_t crowd[TOO_MANY];

/* One more process with a connection, that stays until it is killed. Its number as an owner. */
static int64_t join_crowd(int number)
{
    int pipe_fds[2];
    int64_t own = -1;

    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return -1;
    fflush(NULL);
    crowd[number] = fork();
    if (crowd[number] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (hf_test_connect(plugin, "127.0.0.1:1") != HF_NO_CONN)
            own = sharing("own");
        if (write(pipe_fds[1], &own, sizeof(own)) != sizeof(own))
            _exit(1);
        for (;;)
            pause();
    }
    close(pipe_fds[1]);
    CHECK_INT_EQ(read(pipe_fds[0], &own, sizeof(own)), sizeof(own));
    close(pipe_fds[0]);
    return own;
}

static void kill_crowd(int first, int end)
{
    for (int i = first; i < end; i++) {
        kill(crowd[i], SIGKILL);
        waitpid(crowd[i], NULL, 0);
    }
}

static void test_too_many(void)
{
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    for (int i = 0; i < OWNERS; i++)
        CHECK_INT_EQ(join_crowd(i), i + 1);
    for (int i = OWNERS; i < TOO_MANY; i++)
        CHECK_INT_EQ(join_crowd(i), -1);
    CHECK_INT_EQ(sharing("processes"), OWNERS);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), TOO_MANY - OWNERS);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), OWNERS);
    kill_crowd(0, 200);
    CHECK(
        HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == OWNERS - 200, 2 * WITHIN_MS));
    kill_crowd(OWNERS, TOO_MANY);
    CHECK(join_crowd(0) > 0);
    kill_crowd(0, 1);
    kill_crowd(200, OWNERS);
    plugin->fini();
}

/* All of them die at once, or one after the other, and none was there for long enough to bury. */
static void check_numbers_come_back(void)
{
    hf_conn conn = HF_NO_CONN;

    CHECK(HF_WAIT_UNTIL(
        (conn = hf_test_connect(plugin, "127.0.0.1:1")) != HF_NO_CONN, 2 * WITHIN_MS));
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 1, 2 * WITHIN_MS));
    CHECK_INT_EQ(sharing("processes"), 1);
    plugin->on_disconnect(conn);
    plugin->fini();
}

static void test_all_dead(void)
{
    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    for (int i = 0; i < OWNERS; i++)
        CHECK(join_crowd(i) > 0);
    kill_crowd(0, OWNERS);
    check_numbers_come_back();
}

static void test_short_lives(void)
{
    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    for (int i = 0; i < 2 * OWNERS; i++) {
        bool joined = CHECK(join_crowd(0) > 0);
        kill_crowd(0, 1);
        if (!joined)
            break;
    }
    check_numbers_come_back();
}

/* ---- processes of processes ---- */

/* A child's child outlives it. */
static void test_grandchild(void)
{
    int pair[2];
    int64_t own = -1;
    pid_t child;

    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    if (!CHECK_INT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0))
        return;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (fork() == 0) {
            close(pair[0]);
            hf_test_connect(plugin, "127.0.0.1:1");
            own = sharing("own");
            if (send(pair[1], &own, sizeof(own), 0) == sizeof(own))
                (void)!recv(pair[1], &own, 1, 0);
        }
        _exit(0);
    }
    close(pair[1]);
    waitpid(child, NULL, 0);
    CHECK_INT_EQ(recv(pair[0], &own, sizeof(own), 0), sizeof(own));
    CHECK_INT_EQ(own, 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    close(pair[0]);
    hf_conn conn = hf_test_connect(plugin, "127.0.0.1:1");
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 1, WITHIN_MS));
    plugin->on_disconnect(conn);
    plugin->fini();
}

/* exec is a death, too: nothing of the plugin is there any more. */
static void test_exec(void)
{
    pid_t child;

    start_sharing("%s", "");
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    end_sharing();
    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    hf_conn conn = hf_test_connect(plugin, "127.0.0.1:1");
    fflush(NULL);
    child = vfork();
    if (child == 0) {
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    CHECK_INT_EQ(sharing("processes"), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    plugin->on_disconnect(conn);
    plugin->fini();
}

/* ---- other settings ---- */

static void test_enabled_off(void)
{
    start_sharing("enabled = off\n");
    CHECK_INT_EQ(tell(0, CONNECT, 10), 10);
    CHECK_INT_EQ(tell(1, CONNECT, 10), 10);
    kill_child(0);
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 10, WITHIN_MS));
    CHECK_INT_EQ(requests(), 0);
    end_sharing();
}

/* What one process reads first wakes the host for all. */
static void test_prefetch_off(void)
{
    start_sharing("prefetch = off\n");
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECT, 1), 1);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 0);
    hf_flag_service_set_delay(service, ANSWER_MS); /* not there at once */
    CHECK_INT_EQ(tell(2, READ, A), 0);
    CHECK(HF_WAIT_UNTIL(tell(3, READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell(0, READ, A), 1);
    CHECK_INT_EQ(requests(), 1);
    end_sharing();
}

/* A process that has not reloaded yet connects to a host that the one that refreshes must not ask:
 * that would get the token of another. */
static void test_allowed_hosts(void)
{
    struct hf_flag_service *other;
    char *directory = hf_tmpdir_create(), *token = hf_tmpdir_write(directory, "token", "secret");
    hf_conn conn;

    start_sharing("token_file = %s\nallowed_hosts = 127.0.0.1, 127.0.0.2\n", token);
    other = hf_flag_service_start(&(struct hf_flag_service_options){.address = "127.0.0.2"});
    hf_flag_service_set_flag(other, "a", true);
    CHECK_INT_EQ(hf_test_reload(plugin,
                     "flags = a, b\nallow_http = loopback\nshare = on\ntoken_file = %s\n"
                     "allowed_hosts = 127.0.0.1\n",
                     token),
        HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell_about(0, CONNECT, 1, HF_NO_CONN, hf_flag_service_url(other)), 1);
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(hf_flag_service_count(other), 0);
    CHECK_INT_EQ(tell(0, READ, A), 0);
    /* Whoever leads next may. */
    plugin->fini();
    CHECK(HF_WAIT_UNTIL(tell(0, READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(other), 1);
    hf_flag_service_stop(other);
    free(token);
    hf_tmpdir_remove(directory);
    end_sharing();
}

/* A value expires in all processes. */
static void test_max_stale(void)
{
    start_sharing("ttl = 500ms\nttl_min = 100ms\nmax_stale = 500ms\n");
    hf_flag_service_set_ttl(service, NULL);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECT, 1), 1);
    CHECK(HF_WAIT_UNTIL(tell(3, READ, A) == 1, BOUND_MS));
    hf_flag_service_set_status(service, 500);
    CHECK(HF_WAIT_UNTIL(tell(0, READ, A) == 0, BOUND_MS));
    CHECK_INT_EQ(tell(3, READ, A), 0);
    end_sharing();
}

/* 16 million connections are 128 MB of words, of which nobody pays for those that are not used. */
static void test_untouched_memory(void)
{
    int64_t before_kb;
    hf_conn conn;

    if (SANITIZED || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("the memory of a sanitizer's or valgrind's own is in the way");
        return;
    }
    start_sharing("max_connections = 16777216\nmax_hosts = 100000\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell(0, CONNECT, 100), 100);
    before_kb = hf_fds_resident_kb(0);
    kill_child(0);
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 1, WITHIN_MS));
    CHECK_INT_BETWEEN(hf_fds_resident_kb(0), 1, before_kb + 4096);
    plugin->on_disconnect(conn);
    end_sharing();
}

/* ---- nothing to do ---- */

/* How often threads of that name in this process went to sleep; 0: there is none. */
static long sleeps_of(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    long sum = 0;

    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        char path[300], line[128], thread[32] = "";
        FILE *file;
        long sleeps = 0;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
        file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            sscanf(line, "Name: %31s", thread);
            sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
        }
        if (file != NULL)
            fclose(file);
        sum += strcmp(thread, name) == 0 ? sleeps : 0;
    }
    if (tasks != NULL)
        closedir(tasks);
    return sum;
}

/* One process that shares with nobody does not wake up; with others it is once a second. */
static void test_no_wake_ups(void)
{
    long worker, life;
    hf_conn conn;

    start_sharing("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_flag_service_in_flight(service) == 0, BOUND_MS));
    do {
        worker = sleeps_of("hostflags");
    } while (!HF_STAYS(sleeps_of("hostflags") == worker, 300) && worker < 100);
    life = sleeps_of("hostflags-life");
    CHECK(worker > 0 && life > 0);
    CHECK(HF_STAYS(sleeps_of("hostflags") == worker, 2500));
    CHECK_INT_EQ(sleeps_of("hostflags-life"), life);
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    CHECK(HF_WAIT_UNTIL(sleeps_of("hostflags") >= worker + 2, BOUND_MS));
    plugin->on_disconnect(conn);
    end_sharing();
}

/* ---- fini beside calls of other threads ---- */

static _Atomic bool enough;
static _Atomic long calls;

static void *call_everything(void *url)
{
    while (!enough) {
        hf_conn conn = hf_test_connect(plugin, url);
        plugin->is_enabled(conn, A);
        hf_test_explain(plugin, conn, A);
        plugin->refresh(NULL);
        plugin->status(HF_STATUS_JSON, NULL, 0);
        plugin->on_disconnect(conn);
        calls++;
    }
    return NULL;
}

static void test_fini_beside_calls(void)
{
    pthread_t threads[3];

    start_service();
    enough = false;
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, call_everything, (void *)hf_flag_service_url(service));
    for (int i = 0; i < 30; i++) {
        long before = calls;
        CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
        CHECK(HF_WAIT_UNTIL(calls > before + 10, BOUND_MS));
        plugin->fini();
    }
    enough = true;
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK_INT_EQ(hf_test_init(plugin, SHARING), HF_OK);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    stop_all();
}

/* ---- fork beside fini ---- */

static _Atomic bool forked_enough;

static void *come_and_go(void *unused)
{
    (void)unused;
    while (!forked_enough) {
        hf_test_init(plugin, SHARING);
        plugin->on_disconnect(hf_test_connect(plugin, "127.0.0.1:1"));
        plugin->fini();
    }
    return NULL;
}

/* 0: the child either shares, or is not initialised and can be. */
static int be_either(void)
{
    struct hf_setting settings[] = {{"flags", "a"}, {"allow_http", "loopback"}, {"share", "on"}};
    struct hf_host host = hf_test_host();

    host.log = NULL; /* the log of tests/support may be locked */
    if (plugin->init(&host, settings, COUNT(settings), NULL, 0) == HF_OK)
        return hf_test_connect(plugin, "127.0.0.1:1") == HF_NO_CONN ? 2 : 0;
    return hf_test_connect(plugin, "127.0.0.1:1") == HF_NO_CONN ? 1 : 0;
}

static void test_fork_beside_fini(void)
{
    pthread_t thread;

    if (SANITIZED || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("sanitizers do not survive a fork of a busy process");
        return;
    }
    forked_enough = false;
    pthread_create(&thread, NULL, come_and_go, NULL);
    for (int i = 0; i < 500; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(be_either());
        }
        waitpid(child, &status, 0);
        if (!CHECK_INT_EQ(status, 0))
            break;
    }
    forked_enough = true;
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C90 C92 more processes than 255: refused and counted, until others have gone",
            test_too_many},
        {"C92 255 processes die at once, and none is left to notice", test_all_dead},
        {"C92 510 processes, one after the other, each too short to notice", test_short_lives},
        {"C90 C92 a process of a process, which outlives it", test_grandchild},
        {"C79 C90 a program that is started from one that shares", test_exec},
        {"C82 C92 enabled = off: the dead are buried all the same", test_enabled_off},
        {"C02 C90 prefetch = off: the first read of all", test_prefetch_off},
        {"C34 C90 allowed_hosts of the one that refreshes hold for what is asked",
            test_allowed_hosts},
        {"C67 C90 max_stale: a value expires in all", test_max_stale},
        {"C92 a burial touches no memory that was not in use", test_untouched_memory},
        {"C90 C91 alone and with nothing to do, it does not wake up", test_no_wake_ups},
        {"C77 C90 fini and init beside calls of other threads", test_fini_beside_calls},
        {"C79 C90 fork beside init and fini: the child shares, or can be initialised",
            test_fork_beside_fini},
    };
    return run_tests("sharing edges", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Many threads on one cache: exact counts, handles that were given back. What single readers
 * see is in test_readers.c, the callbacks in test_callbacks.c, our own thread in test_one_thread.c.
 *
 * How a wrong answer shows: the service of A says x = on, y = on; that of B says x = off, y = off;
 * the defaults are x = off, y = on. So a handle of A, live or not, never reads y = off, and a
 * handle of B never reads x = on, unless it was given the other host's answer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/chance.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define RUN_MS 1500 /* of the tests that go on for a while */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TWO_FLAGS "flags = x, y\ndefaults = y=on\nallow_http = loopback\n"

enum { X, Y };
enum { A, B, SIDES };

static const struct hf_plugin *plugin;
static struct hf_flag_service *services[SIDES];
static atomic_bool stop;

static void start_services(void)
{
    for (int side = A; side < SIDES; side++) {
        services[side] = hf_flag_service_start(NULL);
        hf_flag_service_set_flag(services[side], "x", side == A);
        hf_flag_service_set_flag(services[side], "y", side == A);
    }
    atomic_store(&stop, false);
}

static void stop_services(void)
{
    for (int side = A; side < SIDES; side++)
        hf_flag_service_stop(services[side]);
}

static hf_conn connect_to(int side)
{
    return hf_test_connect(plugin, hf_flag_service_url(services[side]));
}

static int64_t references(int side)
{
    return hf_test_status_int(
        plugin, "127.0.0.1", hf_flag_service_port(services[side]), "references");
}

/* Whether a live handle reads what its service says. */
static bool is_known(int side, hf_conn conn)
{
    return side == A ? plugin->is_enabled(conn, X) == 1 : plugin->is_enabled(conn, Y) == 0;
}

static bool is_foreign(int side, hf_conn conn)
{
    return side == A ? plugin->is_enabled(conn, Y) == 0 : plugin->is_enabled(conn, X) == 1;
}

static bool time_is_over(int64_t end_ms)
{
    return hf_wait_now_ms() >= end_ms;
}

/* ---- C08 ---- */

#define CROWD 100

static hf_conn crowd[CROWD];
static pthread_barrier_t gate;

static void *join_crowd(void *arg)
{
    hf_conn *conn = arg;

    pthread_barrier_wait(&gate);
    *conn = connect_to(A);
    return NULL;
}

static void *leave_crowd(void *arg)
{
    hf_conn *conn = arg;

    pthread_barrier_wait(&gate);
    plugin->on_disconnect(*conn);
    return NULL;
}

/* One thread for each of the handles, all at once. */
static void for_crowd(void *(*run)(void *), size_t first, size_t count)
{
    pthread_t threads[CROWD];

    pthread_barrier_init(&gate, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, &crowd[first + i]);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&gate);
}

static void test_crowd(void)
{
    bool distinct = true;

    start_services();
    CHECK_INT_EQ(hf_test_init(plugin, TWO_FLAGS "linger = 0\n"), HF_OK);
    for_crowd(join_crowd, 0, CROWD);
    CHECK_INT_EQ(references(A), CROWD);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), CROWD);
    for (size_t i = 0; i < CROWD; i++) {
        for (size_t k = 0; k < i; k++)
            distinct = distinct && crowd[i] != crowd[k];
        CHECK(crowd[i] != HF_NO_CONN);
    }
    CHECK(distinct);
    CHECK(HF_WAIT_UNTIL(is_known(A, crowd[0]), BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(services[A]), 1);
    for_crowd(leave_crowd, 0, CROWD - 1);
    CHECK_INT_EQ(references(A), 1);
    CHECK(is_known(A, crowd[CROWD - 1]));
    for_crowd(leave_crowd, 0, CROWD);
    CHECK_INT_EQ(hf_test_status_total(plugin, "hosts"), 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    plugin->fini();
    stop_services();
}

/* ---- C14: connection slots ---- */

#define CHURNERS 2
#define KEPT 32 /* handles of the past that readers go on to read */

/* One side's handles of one thread, of which the latest may be live. */
struct past {
    _Atomic hf_conn conns[KEPT];
    atomic_size_t cycles, known_reads;
};

static struct past pasts[CHURNERS][SIDES];

static void read_past(int side, struct past *past)
{
    for (size_t i = 0; i < KEPT; i++) {
        hf_conn conn = atomic_load(&past->conns[i]);

        hf_thread_check(!is_foreign(side, conn));
        if (is_known(side, conn))
            atomic_fetch_add(&past->known_reads, 1);
    }
}

/* Reads handles that are live, given back, or given back and used again. */
static void *read_pasts(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        for (size_t i = 0; i < CHURNERS; i++) {
            for (int side = A; side < SIDES; side++)
                read_past(side, &pasts[i][side]);
        }
    }
    return NULL;
}

/* Connects and disconnects, to A and B in turn so that one has the slot of the other; also gives
 * back once more what it gave back long ago. */
static void *churn(void *arg)
{
    struct past *past = arg;

    for (size_t i = 0; !atomic_load(&stop); i++) {
        int side = (int)(i % SIDES);
        _Atomic hf_conn *place = &past[side].conns[i / SIDES % KEPT];
        hf_conn conn = connect_to(side);

        plugin->on_disconnect(atomic_load(place));
        hf_thread_check(conn != HF_NO_CONN);
        hf_thread_check(is_known(side, conn));
        atomic_store(place, conn);
        atomic_fetch_add(&past[side].cycles, 1);
        plugin->on_disconnect(conn);
    }
    return NULL;
}

static void clear_pasts(void)
{
    for (size_t i = 0; i < CHURNERS; i++) {
        for (int side = A; side < SIDES; side++) {
            struct past *past = &pasts[i][side];

            for (size_t k = 0; k < KEPT; k++)
                atomic_store(&past->conns[k], HF_NO_CONN);
            atomic_store(&past->cycles, 0);
            atomic_store(&past->known_reads, 0);
        }
    }
}

/* Both hosts stay; four connection slots, two of them held, two used again and again. */
static void test_connection_slots(void)
{
    pthread_t readers[2], churners[CHURNERS];
    hf_conn held[SIDES];

    start_services();
    clear_pasts();
    CHECK_INT_EQ(hf_test_init(plugin, TWO_FLAGS "max_connections = 4\n"), HF_OK);
    for (int side = A; side < SIDES; side++) {
        held[side] = connect_to(side);
        CHECK(HF_WAIT_UNTIL(is_known(side, held[side]), BOUND_MS));
    }
    for (int i = 0; i < CHURNERS; i++) {
        pthread_create(&readers[i], NULL, read_pasts, NULL);
        pthread_create(&churners[i], NULL, churn, pasts[i]);
    }
    HF_STAYS(!atomic_load(&stop), RUN_MS);
    for (int i = 0; i < CHURNERS; i++)
        CHECK(HF_WAIT_UNTIL(pasts[i][A].cycles > 1000 && pasts[i][B].cycles > 1000, BOUND_MS));
    atomic_store(&stop, true);
    for (int i = 0; i < CHURNERS; i++) {
        pthread_join(readers[i], NULL);
        pthread_join(churners[i], NULL);
    }
    for (int side = A; side < SIDES; side++) {
        CHECK_INT_EQ(references(side), 1);
        CHECK(is_known(side, held[side]));
    }
    plugin->fini();
    stop_services();
}

/* ---- C14: host slots ---- */

#define LIVES 120 /* each is a request, an answer and an end */

/* One slot for hosts, which A and B have in turn; each life is read until its answer is there. */
static void live_in_turn(void)
{
    for (size_t i = 0; i < LIVES; i++) {
        int side = (int)(i % SIDES);
        hf_conn conn = HF_NO_CONN;

        if (!CHECK(HF_WAIT_UNTIL((conn = connect_to(side)) != HF_NO_CONN, BOUND_MS)))
            return;
        atomic_store(&pasts[0][side].conns[i / SIDES % KEPT], conn);
        if (!CHECK(HF_WAIT_UNTIL(is_known(side, conn), BOUND_MS)))
            return;
        plugin->on_disconnect(conn);
        CHECK(!is_known(side, conn));
    }
}

static void test_host_slots(void)
{
    pthread_t readers[2];

    start_services();
    clear_pasts();
    CHECK_INT_EQ(hf_test_init(plugin, TWO_FLAGS "max_hosts = 1\nlinger = 0\n"), HF_OK);
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, read_pasts, NULL);
    live_in_turn();
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    CHECK_INT_EQ(hf_flag_service_count(services[A]), LIVES / SIDES);
    CHECK_INT_EQ(hf_flag_service_count(services[B]), LIVES / SIDES);
    CHECK(atomic_load(&pasts[0][A].known_reads) + atomic_load(&pasts[0][B].known_reads) > 0);
    plugin->fini();
    stop_services();
}

/* ---- C57 ---- */

#define MIXED TWO_FLAGS "ttl_min = 100ms\nttl = 100ms\nmax_hosts = 8\n"
#define MIXERS 4
#define HELD 8
#define ORGS 3

struct mixer {
    pthread_t thread;
    uint64_t seed;
    size_t steps;
    hf_conn conns[HELD];
};

static void mix_connect(hf_conn *conn)
{
    static const char *const org_ids[ORGS] = {NULL, "1", "22"};
    int side = (int)draw(SIDES);

    plugin->on_disconnect(*conn);
    *conn = hf_test_connect_to(plugin, hf_flag_service_url(services[side]), 0, org_ids[draw(ORGS)]);
    hf_thread_check(*conn != HF_NO_CONN);
}

static void mix_step(struct mixer *mixer)
{
    static __thread char buffer[8192];
    hf_conn *conn = &mixer->conns[draw(HELD)];
    struct hf_answer answer;
    int32_t result;

    switch (draw(12)) {
    case 0:
        mix_connect(conn);
        break;
    case 1:
        plugin->on_disconnect(*conn);
        break;
    case 2:
        answer = hf_test_explain(plugin, *conn, draw(2));
        hf_thread_check(answer.enabled == 0 || answer.enabled == 1);
        break;
    case 3:
        hf_thread_check(plugin->status(HF_STATUS_JSON, buffer, sizeof(buffer)) > 0);
        break;
    case 4:
        result = plugin->refresh(draw(2) ? NULL : hf_flag_service_url(services[A]));
        hf_thread_check(result == HF_OK || result == HF_E_TOO_SOON || result == HF_E_NOTFOUND);
        break;
    case 5:
        hf_thread_check(plugin->flag_index("y") == Y);
        break;
    default:
        result = plugin->is_enabled(*conn, draw(3));
        hf_thread_check(result == 0 || result == 1);
    }
}

static void *mix(void *arg)
{
    struct mixer *mixer = arg;

    random_state = mixer->seed;
    for (; !atomic_load(&stop); mixer->steps++)
        mix_step(mixer);
    for (size_t i = 0; i < HELD; i++)
        plugin->on_disconnect(mixer->conns[i]);
    return NULL;
}

static void test_mixed(void)
{
    struct mixer mixers[MIXERS] = {{.seed = 1}, {.seed = 2}, {.seed = 3}, {.seed = 4}};
    int64_t end_ms;

    start_services();
    for (int side = A; side < SIDES; side++)
        hf_flag_service_set_ttl(services[side], NULL);
    CHECK_INT_EQ(hf_test_init(plugin, MIXED "linger = 20ms\n"), HF_OK);
    for (size_t i = 0; i < MIXERS; i++)
        pthread_create(&mixers[i].thread, NULL, mix, &mixers[i]);
    end_ms = hf_wait_now_ms() + RUN_MS;
    for (bool on = true; !time_is_over(end_ms); on = !on) {
        hf_flag_service_set_flag(services[A], "x", on);
        CHECK_INT_EQ(
            hf_test_reload(plugin, on ? MIXED "linger = 0\n" : MIXED "linger = 20ms\n"), HF_OK);
    }
    CHECK_INT_EQ(hf_test_reload(plugin, MIXED), HF_OK);
    CHECK(hf_flag_service_wait_requests(services[A], 5, BOUND_MS));
    atomic_store(&stop, true);
    for (size_t i = 0; i < MIXERS; i++) {
        pthread_join(mixers[i].thread, NULL);
        CHECK(mixers[i].steps > 10);
    }
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    plugin->fini();
    stop_services();
}

static const struct hf_test tests[] = {
    {"C08 100 threads connect, then 100 disconnect: exact counts", test_crowd},
    {"C14 stale handles whose connection slot is used again never read the other host's flag",
        test_connection_slots},
    {"C14 stale handles whose host slot is used again never read the other host's flag",
        test_host_slots},
    {"C57 connect, read, disconnect, refresh and status from four threads, publish and reload",
        test_mixed},
};

int main(int argc, char **argv)
{
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("threads", tests, COUNT(tests), argc, argv);
}

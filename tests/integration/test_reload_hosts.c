/* SPDX-License-Identifier: PostgreSQL
 *
 * reload of who may be asked, while connections are open; and reloads that come one after the other
 * while everything else is going on.
 */
#include "tests/integration/cache_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define SETTINGS "flags = a, b\nallow_http = loopback\n"

/* ---- allowed_hosts ---- */

#define OTHER_ADDRESS "127.0.0.2"
#define SHORT "ttl_min = 100ms\nttl = 200ms\n"

/* A host that is allowed all the time and refreshed in the same rhythm as the service. */
static struct pacer start_other(void)
{
    struct hf_flag_service_options options = {.address = OTHER_ADDRESS};
    struct pacer pacer = {.service = hf_flag_service_start(&options)};

    hf_flag_service_set_ttl(pacer.service, NULL);
    pacer.conn = hf_test_connect(plugin, hf_flag_service_url(pacer.service));
    return pacer;
}

static int64_t rejected_for(const char *reason)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON), *at;
    char key[64];
    int64_t count = -1;

    snprintf(key, sizeof(key), "\"%s\":", reason);
    at = strstr(text, "\"rejected_for\":{");
    at = at ? strstr(at, key) : NULL;
    if (at)
        count = strtoll(at + strlen(key), NULL, 10);
    free(text);
    return count;
}

/* The service is in the table but not asked: as long as the other host is asked three times. */
static void check_not_asked(hf_conn conn, struct pacer *other)
{
    size_t before;

    CHECK(pacer_passes(other, 1)); /* what was under way at the reload is over */
    before = requests();
    CHECK(HF_WAIT_UNTIL(is_stale(conn), BOUND_MS));
    CHECK(pacer_passes(other, 3));
    CHECK_INT_EQ(requests(), before);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STALE);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).next_refresh_ms, -1);
    CHECK_INT_EQ(plugin->refresh(hf_flag_service_url(service)), HF_E_NOTFOUND);
}

static void test_narrowed(void)
{
    struct pacer other;
    hf_conn conn;
    size_t before;

    start_service();
    hf_flag_service_set_ttl(service, NULL);
    start_cache(SHORT);
    conn = connect_service();
    other = start_other();
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS SHORT "allowed_hosts = " OTHER_ADDRESS "\n"), HF_OK);
    check_not_asked(conn, &other);
    for (int i = 0; i < 5; i++)
        CHECK(connect_service() == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 5);
    CHECK_INT_EQ(rejected_for("not_allowed"), 5);
    CHECK_INT_EQ(hf_test_log_count_level(HF_LOG_WARNING, "allowed_hosts"), 1);
    CHECK_INT_EQ(member("references"), 1);

    before = requests();
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS SHORT "allowed_hosts = 127.0.0.1, %s\n", OTHER_ADDRESS),
        HF_OK);
    CHECK(hf_flag_service_wait_requests(service, before + 2, BOUND_MS));
    CHECK(connect_service() != HF_NO_CONN);
    CHECK_INT_EQ(member("references"), 2);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 5);
    pacer_stop(&other);
    stop_all();
}

/* Narrowed before the first answer: the default stands, and widening is followed by a request. */
static void test_narrowed_in_flight(void)
{
    struct gate gate = gate_open();
    hf_conn conn;
    int fd;

    start_cache("defaults = b=on\nrequest_timeout = 5min\n");
    conn = hf_test_connect(plugin, gate.url);
    fd = gate_take(&gate);
    CHECK_INT_EQ(
        hf_test_reload(plugin, SETTINGS "defaults = b=on\nallowed_hosts = *.example\n"), HF_OK);
    close(fd);
    CHECK_INT_EQ(plugin->is_enabled(conn, B), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).next_refresh_ms, -1);
    CHECK(hf_test_connect(plugin, gate.url) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "defaults = b=on\n"), HF_OK);
    gate_answer(gate_take(&gate), "{\"flags\":{\"a\":true}}");
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 1);
    stop_all();
    gate_close(&gate);
}

/* The last connection leaves while the host is not allowed; it comes back when it is. */
static void test_left_while_narrowed(void)
{
    hf_conn conn;

    start_service();
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "allowed_hosts = x.example\n"), HF_OK);
    plugin->on_disconnect(conn);
    CHECK(connect_service() == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    conn = connect_service();
    CHECK(conn != HF_NO_CONN);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1); /* linger: it was remembered */
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(member("references"), 1);
    stop_all();
}

/* ---- storms ---- */

enum { CALLERS = 4, HELD = 3, RELOADS = 150, CALLS_BETWEEN = 100, ORGS = 300 };

struct storm {
    struct hf_flag_service *services[3];
    atomic_bool over;
    atomic_uint_fast64_t connected, refused;
};

/* A caller keeps the last few of its connections open. Each org id is an entry with a backoff of
 * its own, so that there are always some to be asked. */
static void *call(void *arg)
{
    struct storm *storm = arg;
    hf_conn held[HELD] = {HF_NO_CONN};
    char org_id[16];

    for (size_t i = 0; !atomic_load(&storm->over); i++) {
        hf_conn *conn = &held[i % HELD];

        snprintf(org_id, sizeof(org_id), "%zu", 1 + i % ORGS);
        plugin->on_disconnect(*conn);
        *conn =
            hf_test_connect_to(plugin, hf_flag_service_url(storm->services[i % 7 % 3]), 0, org_id);
        atomic_fetch_add(*conn == HF_NO_CONN ? &storm->refused : &storm->connected, 1);
        for (uint32_t flag = 0; flag < 2; flag++)
            hf_thread_check(plugin->is_enabled(*conn, flag) == (flag == B));
    }
    for (size_t i = 0; i < HELD; i++)
        plugin->on_disconnect(held[i]);
    return NULL;
}

/* Each service, in turn, as it happens to be next. Flag a is off and b on, with every answer and by
 * default, so that any other value of theirs is an error. */
static void change_service(struct hf_flag_service *changed, unsigned *random)
{
    static const struct hf_flag_reply replies[] = {{.status = 200}, {.status = 200},
        {.status = 500}, {.status = 401}, {.status = 429, .headers = "Retry-After: 1"},
        {.fault = HF_FAULT_RESET}, {.fault = HF_FAULT_SILENCE}, {.status = 200, .body = "no"},
        {.status = 200, .headers = "ETag: \"x\""}, {.status = 304}};
    struct hf_flag_reply reply = replies[(size_t)rand_r(random) % COUNT(replies)];

    reply.body_len = reply.body ? strlen(reply.body) : 0;
    hf_flag_service_set_reply(changed, &reply);
}

static const char *const storm_settings[] = {
    "",
    "endpoint = /flags\n",
    "allowed_hosts = 127.0.0.1\n",
    "allowed_hosts = 127.0.0.2\n",
    "enabled = off\n",
    "overrides = a=off, b=on\n",
    "prefetch = off\nlinger = 0\n",
    "client = JDBC\nrequest_timeout = 100ms\n",
    "token_file = /nowhere/{host}\n",
    "allow_http = off\n",
    "ttl = 100ms\nmax_stale = 100ms\n",
};

#define STORM "flags = a, b\ndefaults = b=on\nttl_min = 100ms\n"

static void reload_at_random(unsigned *random)
{
    const char *lines = storm_settings[(size_t)rand_r(random) % COUNT(storm_settings)];
    const char *http = strstr(lines, "allow_http") ? "" : "allow_http = loopback\n";

    CHECK_INT_EQ(hf_test_reload(plugin, STORM "%s%s", http, lines), HF_OK);
    if (rand_r(random) % 4 == 0)
        CHECK_INT_EQ(hf_test_reload(plugin, STORM "%s%sttl = soon\n", http, lines), HF_E_INVALID);
}

/* Lets the callers do their part between two reloads. */
static bool callers_pass(struct storm *storm)
{
    uint64_t goal = atomic_load(&storm->connected) + atomic_load(&storm->refused) + CALLS_BETWEEN;

    return HF_WAIT_UNTIL(
        atomic_load(&storm->connected) + atomic_load(&storm->refused) >= goal, BOUND_MS);
}

static size_t asked(const struct storm *storm)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT(storm->services); i++)
        count += hf_flag_service_count(storm->services[i]);
    return count;
}

/* Whatever is due or in backoff: asking anew is allowed once a second for each host. */
static bool is_asked_again(const struct storm *storm, size_t before)
{
    plugin->refresh(NULL);
    return asked(storm) > before;
}

/* Lets the worker do its part too, however little of the processor it gets: a reload stops it. */
static bool worker_takes_part(const struct storm *storm)
{
    size_t before = asked(storm);

    CHECK_INT_EQ(hf_test_reload(plugin, STORM "allow_http = loopback\n"), HF_OK);
    return HF_WAIT_UNTIL(is_asked_again(storm, before), BOUND_MS);
}

/* What holds when nobody is left: every reference given back, every refusal counted. */
static void check_counts(struct storm *storm)
{
    uint64_t refused = atomic_load(&storm->refused);
    hf_conn conns[10], last;

    CHECK(atomic_load(&storm->connected) > 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), refused);
    CHECK_INT_EQ(rejected_for("not_allowed"), refused);
    for (size_t i = 0; i < COUNT(conns); i++)
        conns[i] = hf_test_connect(plugin, hf_flag_service_url(storm->services[0]));
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), COUNT(conns));
    for (size_t i = 0; i < COUNT(conns); i++)
        plugin->on_disconnect(conns[i]);
    last = hf_test_connect(plugin, hf_flag_service_url(storm->services[0]));
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), refused);
    CHECK(HF_WAIT_UNTIL(is_known(last), BOUND_MS)); /* the worker is alive */
    plugin->on_disconnect(last);
}

static void test_storm(void)
{
    struct hf_flag_service_options options = {.address = OTHER_ADDRESS};
    struct storm storm = {.over = false};
    pthread_t threads[CALLERS];
    unsigned random = 4711;

    for (size_t i = 0; i < COUNT(storm.services); i++) {
        storm.services[i] = hf_flag_service_start(i == 2 ? &options : NULL);
        hf_flag_service_set_flag(storm.services[i], "a", false);
        hf_flag_service_set_flag(storm.services[i], "b", true);
        hf_flag_service_set_ttl(storm.services[i], NULL);
    }
    CHECK_INT_EQ(hf_test_init(plugin, STORM "allow_http = loopback\n"), HF_OK);
    for (size_t i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, call, &storm);
    for (size_t i = 0; i < RELOADS; i++) {
        change_service(storm.services[i % COUNT(storm.services)], &random);
        reload_at_random(&random);
        CHECK(callers_pass(&storm));
        if (i % 10 == 0)
            CHECK(worker_takes_part(&storm));
    }
    atomic_store(&storm.over, true);
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT(storm.services); i++)
        hf_flag_service_set_reply(storm.services[i], NULL);
    CHECK_INT_EQ(hf_test_reload(plugin, STORM "allow_http = loopback\nlinger = 0\n"), HF_OK);
    check_counts(&storm);
    plugin->fini();
    for (size_t i = 0; i < COUNT(storm.services); i++)
        hf_flag_service_stop(storm.services[i]);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 C34 allowed_hosts narrowed: the host keeps its value and is not asked; and widened",
            test_narrowed},
        {"C84 C34 allowed_hosts narrowed before the first answer, and widened",
            test_narrowed_in_flight},
        {"C84 C34 the last connection leaves while its host is not allowed",
            test_left_while_narrowed},
        {"C84 C57 reloads at random while threads come and go and services fail: counts are exact",
            test_storm},
    };

    return run_tests("reload_hosts", tests, COUNT(tests), argc, argv);
}

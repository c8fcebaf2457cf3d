/* SPDX-License-Identifier: PostgreSQL
 *
 * status(HF_STATUS_PROMETHEUS): what promtool says of it, names of every kind, and counters that
 * only grow. test_prometheus_json.c compares its numbers.
 */
#include "tests/integration/metrics_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static void test_no_hosts(void)
{
    SKIP_WITHOUT_PROMTOOL();
    start_cache("%s", "");
    check_text();
    CHECK_INT_EQ(metric("hostflags_enabled", ""), 1);
    CHECK_INT_EQ(metric("hostflags_build_info", "version=\"" HF_VERSION "\""), 1);
    CHECK_INT_EQ(metric("hostflags_host_references", ""), -1);
    plugin->fini();
    start_cache("enabled = off\n");
    check_text();
    CHECK_INT_EQ(metric("hostflags_enabled", ""), 0);
    plugin->fini();
}

/* ---- names ---- */

enum { NAMES = 64, NAME_LENGTH = 255 };

/* Every byte that a flag's name may hold is in each; they differ at their beginnings. */
static void make_name(char name[NAME_LENGTH + 1], unsigned number)
{
    size_t length = (size_t)snprintf(name, NAME_LENGTH + 1, "%02u", number);

    for (char byte = '!'; length < NAME_LENGTH; byte = byte == '~' ? '!' : (char)(byte + 1)) {
        if (!strchr(",=\"\\", byte))
            name[length++] = byte;
    }
    name[length] = '\0';
}

static void test_names(void)
{
    char list[NAMES * (NAME_LENGTH + 2) + 1] = "", name[NAME_LENGTH + 1], label[NAME_LENGTH + 16];

    SKIP_WITHOUT_PROMTOOL();
    service = hf_flag_service_start(NULL);
    for (unsigned i = 0; i < NAMES; i++) {
        make_name(name, i);
        hf_flag_service_set_flag(service, name, i % 2);
        sprintf(list + strlen(list), "%s%s", i ? ", " : "", name);
    }
    CHECK_INT_EQ(hf_test_init(plugin, "allow_http = loopback\nflags = %s\n", list), HF_OK);
    CHECK(HF_WAIT_UNTIL(is_known(connect_service()), BOUND_MS));
    check_text();
    for (unsigned i = 0; i < NAMES; i++) {
        make_name(name, i);
        snprintf(label, sizeof(label), ",flag=\"%s\"}", name);
        CHECK_INT_EQ(metric("hostflags_flag_enabled", label), i % 2);
    }
    stop_all();
}

/* ---- counters ---- */

struct watch {
    char *before; /* the latest look */
    atomic_bool over;
    atomic_uint_fast64_t looks;
};

/* No series of a counter of the process is less than before, and none is missing. */
static void compare(const char *before, const char *after)
{
    for (size_t i = 0; i < COUNT(metric_rows); i++) {
        char beginning[128], series[256];

        if (metric_rows[i].of_host || strcmp(metric_rows[i].type, "counter") != 0)
            continue;
        snprintf(beginning, sizeof(beginning), "\n%s", metric_rows[i].name);
        for (const char *at = before; (at = strstr(at, beginning)); at++) {
            size_t length = strcspn(at + 1, " ");
            const char *now;

            snprintf(series, sizeof(series), "\n%.*s ", (int)length, at + 1);
            now = strstr(after, series);
            if (hf_thread_check(now != NULL))
                hf_thread_check(
                    strtoull(now + length + 2, NULL, 10) >= strtoull(at + length + 2, NULL, 10));
        }
    }
}

static void *watch(void *arg)
{
    struct watch *watch = arg;

    while (!atomic_load(&watch->over)) {
        char *after = read_metrics();

        compare(watch->before, after);
        free(watch->before);
        watch->before = after;
        atomic_fetch_add(&watch->looks, 1);
    }
    return NULL;
}

/* One of everything that counts: hosts that answer, fail and leave, a full table, refusals. */
static void live(unsigned step)
{
    static const struct hf_flag_reply replies[] = {
        {.status = 200}, {.status = 500}, {.body = "no", .body_len = 2}, {.fault = HF_FAULT_RESET}};
    char org_id[16];
    hf_conn conns[3];

    hf_flag_service_set_reply(service, &replies[step % COUNT(replies)]);
    for (unsigned i = 0; i < COUNT(conns); i++) {
        snprintf(org_id, sizeof(org_id), "%u", step * 3 + i);
        conns[i] = hf_test_connect_to(plugin, hf_flag_service_url(service), 0, org_id);
    }
    CHECK(HF_WAIT_UNTIL(
        is_answered(conns[0]) && is_answered(conns[1]) && is_answered(conns[2]), BOUND_MS));
    CHECK(hf_test_connect(plugin, "bad name") == HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "full.example") == HF_NO_CONN);
    for (unsigned i = 0; i < COUNT(conns); i++)
        plugin->on_disconnect(conns[i]);
    if (step % 5 == 0)
        CHECK_INT_EQ(hf_test_reload(plugin,
                         "flags = a, b\nallow_http = loopback\nmax_hosts = 3\nlinger = %s\n",
                         step % 2 ? "0" : "1h"),
            HF_OK);
}

static void test_counters(void)
{
    enum { STEPS = 40 };
    struct watch about = {.over = false};
    pthread_t thread;

    start_service();
    start_cache("max_hosts = 3\n");
    about.before = read_metrics();
    pthread_create(&thread, NULL, watch, &about);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t goal = atomic_load(&about.looks) + 2;

        live(step);
        CHECK(HF_WAIT_UNTIL(atomic_load(&about.looks) >= goal, BOUND_MS));
    }
    atomic_store(&about.over, true);
    pthread_join(thread, NULL);
    free(about.before);
    CHECK_INT_EQ(metric("hostflags_rejected_connections_total", "reason=\"name\""), STEPS);
    CHECK_INT_EQ(metric("hostflags_rejected_connections_total", "reason=\"hosts_full\""), STEPS);
    CHECK(metric("hostflags_evictions_total", "") > 0);
    CHECK(metric("hostflags_requests_total", "outcome=\"ok\"") >= STEPS / 4);
    CHECK(metric("hostflags_requests_total", "outcome=\"parse\"") >= STEPS / 4);
    CHECK(metric("hostflags_requests_total", "outcome=\"connect\"") >= STEPS / 4);
    stop_all();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"metrics without hosts, and switched off: promtool finds nothing to say", test_no_hosts},
        {"metrics of 64 flags under the longest names, with every byte that is allowed",
            test_names},
        {"counters of the process never fall, while hosts fail, leave and are evicted",
            test_counters},
    };

    return run_tests("prometheus", tests, COUNT(tests), argc, argv);
}

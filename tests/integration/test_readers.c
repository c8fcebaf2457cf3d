/* SPDX-License-Identifier: PostgreSQL
 *
 * What readers see while answers arrive: all of an old answer or all of a new one; the default at
 * once where nothing is known; the last value at once where it is old.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define READERS 8
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct hf_plugin *plugin;
static struct hf_flag_service *service;
static pthread_barrier_t gate;
static atomic_bool stop;

static void for_readers(void *(*run)(void *), pthread_t threads[READERS])
{
    atomic_store(&stop, false);
    pthread_barrier_init(&gate, NULL, READERS);
    for (size_t i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, run, NULL);
}

static void join_readers(pthread_t threads[READERS])
{
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&gate);
}

/* ---- C51 ---- */

#define FLAGS 64
#define STRIDE 9 /* no divisor of FLAGS: the flags are read in this order */
#define TTL_MS 100
#define PUBLISHES 25
#define HOSTS 4

static hf_conn hosts[HOSTS];

/* "f0,f1,…" */
static void make_names(char *names, size_t size)
{
    size_t length = 0;

    for (int i = 0; i < FLAGS; i++)
        length += (size_t)snprintf(names + length, size - length, "%sf%d", i ? "," : "", i);
}

static void make_document(char *document, size_t size, const char *value)
{
    size_t length = (size_t)snprintf(document, size, "{\"flags\":[");

    for (int i = 0; i < FLAGS; i++)
        length += (size_t)snprintf(document + length, size - length,
            "%s{\"name\":\"f%d\",\"value\":\"%s\"}", i ? "," : "", i, value);
    snprintf(document + length, size - length, "]}");
}

/* Every flag once, over the whole word again and again. Two publishes of a host are 80 ms apart at
 * least (0.80 of the TTL), so that reads which took less than half of that may see one change and
 * not a second. */
static void read_all_flags(hf_conn conn)
{
    int64_t started_ms = hf_wait_now_ms();
    int changes = 0, last = plugin->is_enabled(conn, 0);

    for (uint32_t i = 0; i < FLAGS; i++) {
        int now = plugin->is_enabled(conn, i * STRIDE % FLAGS);

        changes += now != last;
        last = now;
    }
    if (hf_wait_now_ms() - started_ms < TTL_MS * 4 / 10)
        hf_thread_check(changes <= 1);
}

static void *read_publishes(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        for (size_t i = 0; i < HOSTS; i++)
            read_all_flags(hosts[i]);
    }
    return NULL;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* In the text of each host (which begins with its scheme), all flags are on or all are off. */
static void check_status(void)
{
    static const char begin[] = "{\"scheme\":";
    char *text = hf_test_status(plugin, HF_STATUS_JSON), *host = strstr(text, begin), *next;
    size_t seen = 0;

    for (; host; host = next, seen++) {
        size_t on, off;

        next = strstr(host + 1, begin);
        if (next)
            next[-1] = '\0';
        on = count_of(host, "\"enabled\":true");
        off = count_of(host, "\"enabled\":false");
        CHECK_INT_EQ(on + off, FLAGS);
        CHECK(on == 0 || off == 0);
    }
    CHECK_INT_EQ(seen, HOSTS);
    free(text);
}

static void test_publish_is_whole(void)
{
    pthread_t threads[READERS];
    char on[4096], off[4096], names[512], org_id[8];

    make_names(names, sizeof(names));
    make_document(on, sizeof(on), "true");
    make_document(off, sizeof(off), "false");
    service = hf_flag_service_start(NULL);
    hf_flag_service_set_body(service, on);
    CHECK_INT_EQ(
        hf_test_init(plugin, "flags = %s\nttl_min = %dms\nttl = %dms\nallow_http = loopback\n",
            names, TTL_MS, TTL_MS),
        HF_OK);
    for (size_t i = 0; i < HOSTS; i++) {
        snprintf(org_id, sizeof(org_id), "%zu", i + 1);
        hosts[i] = hf_test_connect_to(plugin, hf_flag_service_url(service), 0, org_id);
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[i], 0) == 1, BOUND_MS));
    }
    for_readers(read_publishes, threads);
    for (size_t i = 1; i <= PUBLISHES; i++) {
        hf_flag_service_set_body(service, i % 2 ? off : on);
        for (size_t k = 0; k < HOSTS; k++) {
            CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[k], 0) == (i % 2 ? 0 : 1), BOUND_MS));
            check_status();
        }
    }
    join_readers(threads);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* ---- C52 ---- */

#define ANSWER_AFTER_MS (2000 + hf_wait_slow_ms(500))

static atomic_size_t cold_reads;
static _Atomic hf_conn cold_conns[READERS];

/* The flag is on: whoever had waited for the answer would read on. */
static void *read_cold(void *arg)
{
    hf_conn conn = hf_test_connect(plugin, hf_flag_service_url(service));

    (void)arg;
    pthread_barrier_wait(&gate);
    hf_thread_check(plugin->is_enabled(conn, 0) == 0);
    atomic_store(&cold_conns[atomic_fetch_add(&cold_reads, 1)], conn);
    return NULL;
}

static void check_cold(const char *prefetch)
{
    pthread_t threads[READERS];

    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_delay(service, ANSWER_AFTER_MS);
    CHECK_INT_EQ(
        hf_test_init(plugin,
            "flags = a\nallow_http = loopback\nrequest_timeout = 5min\nprefetch = %s\n", prefetch),
        HF_OK);
    atomic_store(&cold_reads, 0);
    for_readers(read_cold, threads);
    join_readers(threads);
    CHECK_INT_EQ(atomic_load(&cold_reads), READERS);
    CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_in_flight(service), 1);
    for (size_t i = 0; i < READERS; i++)
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(atomic_load(&cold_conns[i]), 0) == 1, BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", 0, "references"), READERS);
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_cold(void)
{
    check_cold("on");
}

static void test_cold_at_first_read(void)
{
    check_cold("off");
}

/* ---- C53 ---- */

static hf_conn stale_conn;

static void *read_stale(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&gate);
    for (int i = 0; i < 1000; i++)
        hf_thread_check(plugin->is_enabled(stale_conn, 0) == 1);
    return NULL;
}

static bool is_stale_in_flight(void)
{
    struct hf_answer answer = hf_test_explain(plugin, stale_conn, 0);

    return answer.state == HF_STATE_STALE && answer.next_refresh_ms == 0 &&
        hf_flag_service_in_flight(service) == 1;
}

static void test_stale(void)
{
    pthread_t threads[READERS];
    struct hf_answer answer;

    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_ttl(service, NULL);
    CHECK_INT_EQ(hf_test_init(plugin,
                     "flags = a\nallow_http = loopback\nrequest_timeout = 5min\n"
                     "ttl_min = 200ms\nttl = 200ms\n"),
        HF_OK);
    stale_conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(stale_conn, 0) == 1, BOUND_MS));
    hf_flag_service_set_flag(service, "a", false);
    hf_flag_service_set_fault(service, HF_FAULT_SILENCE);
    if (CHECK(HF_WAIT_UNTIL(is_stale_in_flight(), BOUND_MS))) {
        for_readers(read_stale, threads);
        join_readers(threads);
        answer = hf_test_explain(plugin, stale_conn, 0);
        CHECK_INT_EQ(answer.enabled, 1);
        CHECK_INT_EQ(answer.reason, HF_REASON_STALE);
        CHECK_INT_EQ(answer.state, HF_STATE_STALE);
    }
    plugin->fini();
    hf_flag_service_stop(service);
}

static const struct hf_test tests[] = {
    {"C51 readers see all of the old answer or all of the new one", test_publish_is_whole},
    {"C52 readers of a cold host: the default at once, one request, then its result", test_cold},
    {"C52 the same where the first read asks (prefetch = off)", test_cold_at_first_read},
    {"C53 readers of a stale host: the last value at once, while it is asked", test_stale},
};

int main(int argc, char **argv)
{
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("readers", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * refreshes.c: what the worker costs, how fast it fills an empty cache, and what readers notice of
 * its publishing.
 */
#include "tests/bench/measure.h"
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"
#include "tests/bench/worker.h"
#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#include <stdio.h>
#include <stdlib.h>

enum { FEW = 100, MANY = 10000, PAIR_MS = 2000, WAIT_MS = 120000 };

#define EVEN "%s\nttl = %dms\nttl_min = 100ms\nmax_hosts = %d\nmax_connections = %d\n"

/* ---- the CPU of a refresh ---- */

/* Few hosts and many, each in a plugin of its own with a service of its own, at the same time: a
 * pair is one stretch of time in which both workers run, so that whatever disturbs one disturbs the
 * other as well. A host is asked again after 0.875 TTL, the mean of what the schedule draws: with
 * these TTLs both make the same number of requests in a second. The hosts are connected evenly over
 * that time, so that their refreshes do not come in waves: a worker that does more at a time does
 * it for less. */
struct scheme {
    bool tls;
    const char *name, *few_key, *many_key, *ratio_key;
    int few_ttl_ms;
};

static const struct scheme schemes[] = {
    {false, "http", "refresh_cpu_us_http_100", "refresh_cpu_us_http_10000",
        "refresh_cpu_http_10000_vs_100", 100},
    {true, "https", "refresh_cpu_us_https_100", "refresh_cpu_us_https_10000",
        "refresh_cpu_https_10000_vs_100", 400},
};

struct side {
    const struct hf_plugin *plugin;
    struct hf_bench_service *service;
    int hosts, ttl_ms, worker;
    hf_conn *conns;
    double cpu_ns; /* at the beginning of a stretch of time */
    long requests;
    double us[HF_BENCH_PAIRS], rates[HF_BENCH_PAIRS]; /* of a refresh; in a second */
};

/* Without the worker of the other side, 0: there is none yet. */
static void connect_evenly(struct side *side, int other_worker)
{
    int64_t began_ms = hf_wait_now_ms(), over_ms = (int64_t)(side->ttl_ms * 0.875);

    side->conns = malloc((size_t)side->hosts * sizeof(side->conns[0]));
    if (side->conns == NULL)
        hf_bench_die("no memory for %d connections", side->hosts);
    for (int i = 0; i < side->hosts; i++) {
        int64_t at_ms = began_ms + over_ms * i / side->hosts;
        if (i % 500 == 0)
            hf_bench_progress("%d of %d hosts are connected", i, side->hosts);
        if (!HF_WAIT_UNTIL(hf_wait_now_ms() >= at_ms, WAIT_MS))
            hf_bench_die("the clock stands still");
        side->conns[i] = hf_bench_connect(side->plugin, (uint32_t)i);
    }
    hf_bench_wait_on(side->plugin, side->conns, (size_t)side->hosts);
    side->worker = hf_bench_worker_find(other_worker);
}

static void look(struct side *side)
{
    side->requests = hf_bench_service_count(side->service);
    side->cpu_ns = hf_bench_worker_cpu_ns(side->worker);
}

static void look_again(struct side *side, int pair, double seconds)
{
    struct side before = *side;

    look(side);
    if (side->requests <= before.requests)
        hf_bench_die("%d hosts are not refreshed any more", side->hosts);
    side->us[pair] =
        (side->cpu_ns - before.cpu_ns) / 1000 / (double)(side->requests - before.requests);
    side->rates[pair] = (double)(side->requests - before.requests) / seconds;
}

static void end(struct side *side)
{
    hf_bench_disconnect_all(side->plugin, side->conns, (size_t)side->hosts);
    side->plugin->fini();
    hf_bench_service_stop(side->service);
}

/* Who is looked at first changes from pair to pair. */
static void measure_pairs(const char *name, struct side *few, struct side *many, double *ratios)
{
    if (!HF_WAIT_UNTIL(hf_bench_service_count(many->service) >= 2 * many->hosts, WAIT_MS))
        hf_bench_die("%d hosts are not refreshed", many->hosts);
    for (int i = 0; i < HF_BENCH_PAIRS; i++) {
        struct side *first = i % 2 == 0 ? few : many, *second = i % 2 == 0 ? many : few;
        int64_t began_ms = hf_wait_now_ms();

        hf_bench_progress("%s: pair %d of %d", name, i + 1, HF_BENCH_PAIRS);
        look(first);
        look(second);
        if (!HF_WAIT_UNTIL(hf_wait_now_ms() >= began_ms + PAIR_MS, WAIT_MS))
            hf_bench_die("the clock stands still");
        double seconds = (double)(hf_wait_now_ms() - began_ms) / 1000;
        look_again(first, i, seconds);
        look_again(second, i, seconds);
        ratios[i] = many->us[i] / few->us[i];
    }
}

static void report_refresh(const struct scheme *scheme, struct side *side)
{
    char what[128];

    snprintf(what, sizeof(what), "CPU of one refresh, %s, %s hosts", scheme->name,
        side->hosts == FEW ? "100" : "10,000");
    hf_bench_figure(side->hosts == FEW ? scheme->few_key : scheme->many_key, what,
        hf_bench_median(side->us, HF_BENCH_PAIRS), "us", REPORTED, "at %.0f a second",
        hf_bench_median(side->rates, HF_BENCH_PAIRS));
}

static void measure_refreshes(const struct scheme *scheme)
{
    struct hf_bench_service_options options = {.tls = scheme->tls};
    struct side few = {.plugin = hf_bench_hostflags, .hosts = FEW, .ttl_ms = scheme->few_ttl_ms};
    struct side many = {
        .plugin = hf_bench_beside, .hosts = MANY, .ttl_ms = scheme->few_ttl_ms * (MANY / FEW)};
    double ratios[HF_BENCH_PAIRS];
    char what[128];

    few.service = hf_bench_service_start(&options);
    many.service = hf_bench_service_start(&options);
    hf_bench_init(EVEN, hf_bench_service_settings(few.service), few.ttl_ms, FEW, FEW);
    hf_bench_init_beside(EVEN, hf_bench_service_settings(many.service), many.ttl_ms, MANY, MANY);
    connect_evenly(&few, 0);
    connect_evenly(&many, few.worker);
    measure_pairs(scheme->name, &few, &many, ratios);
    report_refresh(scheme, &few);
    report_refresh(scheme, &many);
    snprintf(what, sizeof(what), "the same, 10,000 hosts against 100, %s", scheme->name);
    hf_bench_figure(scheme->ratio_key, what, hf_bench_median(ratios, HF_BENCH_PAIRS), "x",
        AT_MOST(1.2), "%s", "");
    end(&many);
    end(&few);
}

/* ---- filling an empty cache ---- */

#define COLD_DELAY_MS 20
#define COLD_IN_FLIGHT 32

static void measure_cold_start(void)
{
    struct hf_bench_service *service = hf_bench_service_start(
        &(struct hf_bench_service_options){.delay_ms = COLD_DELAY_MS, .ttl = "900"});
    double ideal_ms = (double)MANY * COLD_DELAY_MS / COLD_IN_FLIGHT;
    int64_t began, took;
    hf_conn *conns;

    hf_bench_init("%s\nmax_in_flight = %d\nmax_hosts = %d\nmax_connections = %d\n",
        hf_bench_service_settings(service), COLD_IN_FLIGHT, MANY, MANY);
    began = hf_wait_now_ms();
    conns = hf_bench_connect_all(hf_bench_hostflags, MANY, MANY);
    hf_bench_wait_on(hf_bench_hostflags, conns, MANY);
    took = hf_wait_now_ms() - began;
    hf_bench_figure("cold_10000_vs_ideal",
        "10,000 cold hosts, 32 at a time, 20 ms each, against 6.25 s", (double)took / ideal_ms, "x",
        AT_MOST(1.2), "%.2f s", (double)took / 1000);
    hf_bench_disconnect_all(hf_bench_hostflags, conns, MANY);
    hf_bench_hostflags->fini();
    hf_bench_service_stop(service);
}

/* ---- readers beside publishing ---- */

/* Read for two rounds of refreshes at a time: hosts that were asked together stay together. */
enum { PUBLISHED = 1300, READ_NS = 1750000000 };

#define BUSY "%s\nttl = 1s\nttl_min = 1s\nmax_hosts = 1300\n"
#define QUIET "%s\nttl = 1h\nttl_min = 1s\nmax_hosts = 1300\n"

static void read_in_turn(void *arg, unsigned thread, long calls)
{
    const struct hf_plugin *plugin = hf_bench_hostflags;
    const hf_conn *conns = arg;
    long on = 0;

    (void)thread;
    for (long i = 0, at = 0; i < calls; i++) {
        on += plugin->is_enabled(conns[at], 0);
        at = at + 1 < PUBLISHED ? at + 1 : 0;
    }
    if (on != calls)
        hf_bench_die("%ld of %ld reads said on", on, calls);
}

/* With a TTL of 1 s, 1,300 hosts are asked up to 1,480 times in a second; with one of an hour not
 * at all once each has been asked a last time. */
static void make_busy(struct hf_bench_service *service)
{
    long before = hf_bench_service_count(service);

    if (hf_test_reload(hf_bench_hostflags, BUSY, hf_bench_service_settings(service)) != HF_OK)
        hf_bench_die("reload failed: %s", hf_test_error());
    hf_bench_hostflags->refresh(NULL);
    if (!HF_WAIT_UNTIL(hf_bench_service_count(service) - before >= 2 * PUBLISHED, WAIT_MS))
        hf_bench_die("nothing is published");
}

static void make_quiet(struct hf_bench_service *service)
{
    int64_t give_up_ms = hf_wait_now_ms() + WAIT_MS;
    long seen;

    if (hf_test_reload(hf_bench_hostflags, QUIET, hf_bench_service_settings(service)) != HF_OK)
        hf_bench_die("reload failed: %s", hf_test_error());
    do {
        seen = hf_bench_service_count(service);
        if (hf_wait_now_ms() > give_up_ms)
            hf_bench_die("hosts are still asked, with a TTL of an hour");
    } while (!HF_STAYS(hf_bench_service_count(service) == seen, 1100));
}

static double read_quiet(
    struct hf_bench_service *service, const struct hf_bench_load *load, long calls)
{
    make_quiet(service);
    return hf_bench_cpu_ns(load, calls);
}

/* *rate: answers in a second meanwhile. */
static double read_busy(
    struct hf_bench_service *service, const struct hf_bench_load *load, long calls, double *rate)
{
    int64_t began_ms;
    long before;
    double ns;

    make_busy(service);
    began_ms = hf_wait_now_ms();
    before = hf_bench_service_count(service);
    ns = hf_bench_cpu_ns(load, calls);
    *rate = (double)(hf_bench_service_count(service) - before) * 1000 /
        (double)(hf_wait_now_ms() - began_ms);
    return ns;
}

static void measure_publishing(void)
{
    struct hf_bench_service *service =
        hf_bench_service_start(&(struct hf_bench_service_options){0});
    double ratios[HF_BENCH_PAIRS], rates[HF_BENCH_PAIRS];
    struct hf_bench_load load = {read_in_turn, NULL, 1, 0};
    double quiet_ns = 0, busy_ns;
    hf_conn *conns;
    long calls;

    hf_bench_init(QUIET, hf_bench_service_settings(service));
    conns = hf_bench_connect_all(hf_bench_hostflags, PUBLISHED, PUBLISHED);
    hf_bench_wait_on(hf_bench_hostflags, conns, PUBLISHED);
    load.arg = conns;
    calls = (long)(READ_NS / hf_bench_cpu_ns(&load, 1000000));
    for (int i = 0; i < HF_BENCH_PAIRS; i++) {
        hf_bench_progress("pair %d of %d", i + 1, HF_BENCH_PAIRS);
        if (i % 2 == 0)
            quiet_ns = read_quiet(service, &load, calls);
        busy_ns = read_busy(service, &load, calls, &rates[i]);
        if (i % 2 != 0)
            quiet_ns = read_quiet(service, &load, calls);
        ratios[i] = busy_ns / quiet_ns;
    }
    hf_bench_figure("reads_beside_publishing_vs_quiet",
        "is_enabled while 1,000 answers a second are published",
        hf_bench_median(ratios, HF_BENCH_PAIRS), "x", AT_MOST(1.1), "%s", "");
    hf_bench_figure("answers_in_a_second", "answers in a second meanwhile",
        hf_bench_median(rates, HF_BENCH_PAIRS), "", AT_LEAST(1000), "as the service counts");
    hf_bench_disconnect_all(hf_bench_hostflags, conns, PUBLISHED);
    hf_bench_hostflags->fini();
    hf_bench_service_stop(service);
}

void hf_bench_refreshes(void)
{
    hf_bench_heading("refreshing");
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        measure_refreshes(&schemes[i]);
    measure_cold_start();
    measure_publishing();
}

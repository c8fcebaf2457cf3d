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

enum { FEW = 100, MANY = 10000, WINDOWS = 5, WAIT_MS = 120000 };

/* ---- the CPU of a refresh ---- */

/* A host is asked again after 0.875 TTL, the mean of what the schedule draws: with these TTLs it
 * makes the same number of requests in a second, whatever the number of hosts. */
struct scheme {
    bool tls;
    const char *name, *few_key, *many_key, *ratio_key;
    int requests; /* measured at a time: about two seconds' */
    int few_ttl_ms;
};

static const struct scheme schemes[] = {
    {false, "http", "refresh_cpu_us_http_100", "refresh_cpu_us_http_10000",
        "refresh_cpu_http_10000_vs_100", 2000, 100},
    {true, "https", "refresh_cpu_us_https_100", "refresh_cpu_us_https_10000",
        "refresh_cpu_https_10000_vs_100", 600, 400},
};

static double cpu_us_of_refresh(const struct scheme *scheme, int hosts)
{
    struct hf_bench_service *service =
        hf_bench_service_start(&(struct hf_bench_service_options){.tls = scheme->tls});
    double windows[WINDOWS];
    hf_conn *conns;

    hf_bench_init("%s\nttl = %dms\nttl_min = 100ms\nmax_hosts = %d\nmax_connections = %d\n",
        hf_bench_service_settings(service), scheme->few_ttl_ms * (hosts / FEW), hosts, hosts);
    conns = hf_bench_connect_all(hf_bench_hostflags, (size_t)hosts, (uint32_t)hosts);
    hf_bench_wait_on(conns, (size_t)hosts);
    for (int i = 0; i < WINDOWS; i++) {
        long first = hf_bench_service_count(service), last;
        double began = hf_bench_worker_cpu_ns();
        hf_bench_progress("%s, %d hosts: window %d of %d", scheme->name, hosts, i + 1, WINDOWS);
        if (!HF_WAIT_UNTIL(hf_bench_service_count(service) - first >= scheme->requests, WAIT_MS))
            hf_bench_die("%d hosts are not refreshed any more", hosts);
        last = hf_bench_service_count(service);
        windows[i] = (hf_bench_worker_cpu_ns() - began) / 1000 / (double)(last - first);
    }
    hf_bench_disconnect_all(hf_bench_hostflags, conns, (size_t)hosts);
    hf_bench_hostflags->fini();
    hf_bench_service_stop(service);
    return hf_bench_median(windows, WINDOWS);
}

static void measure_refreshes(const struct scheme *scheme)
{
    double few = cpu_us_of_refresh(scheme, FEW), many = cpu_us_of_refresh(scheme, MANY);
    char what[128];

    snprintf(what, sizeof(what), "CPU of one refresh, %s, 100 hosts", scheme->name);
    hf_bench_figure(scheme->few_key, what, few, "us", REPORTED, "%s", "");
    snprintf(what, sizeof(what), "CPU of one refresh, %s, 10,000 hosts", scheme->name);
    hf_bench_figure(scheme->many_key, what, many, "us", REPORTED, "%s", "");
    snprintf(what, sizeof(what), "the same, 10,000 hosts against 100, %s", scheme->name);
    hf_bench_figure(scheme->ratio_key, what, many / few, "x", AT_MOST(1.2), "%s", "");
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
    hf_bench_wait_on(conns, MANY);
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

static void measure_publishing(void)
{
    struct hf_bench_service *service =
        hf_bench_service_start(&(struct hf_bench_service_options){0});
    double ratios[HF_BENCH_PAIRS], rates[HF_BENCH_PAIRS];
    struct hf_bench_load load = {read_in_turn, NULL, 1};
    hf_conn *conns;
    long calls;

    hf_bench_init(QUIET, hf_bench_service_settings(service));
    conns = hf_bench_connect_all(hf_bench_hostflags, PUBLISHED, PUBLISHED);
    hf_bench_wait_on(conns, PUBLISHED);
    load.arg = conns;
    calls = (long)(READ_NS / hf_bench_cpu_ns(&load, 1000000));
    for (int i = 0; i < HF_BENCH_PAIRS; i++) {
        hf_bench_progress("pair %d of %d", i + 1, HF_BENCH_PAIRS);
        make_quiet(service);
        ratios[i] = hf_bench_cpu_ns(&load, calls);
        make_busy(service);
        int64_t began_ms = hf_wait_now_ms();
        long before = hf_bench_service_count(service);
        ratios[i] = hf_bench_cpu_ns(&load, calls) / ratios[i];
        rates[i] = (double)(hf_bench_service_count(service) - before) * 1000 /
            (double)(hf_wait_now_ms() - began_ms);
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

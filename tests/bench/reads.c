/* SPDX-License-Identifier: PostgreSQL
 *
 * reads.c: what is_enabled costs, against a call that does nothing and against the ancestor.
 */
#include "tests/bench/measure.h"
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"

#include <stdlib.h>

enum { THREADS = 2, MANY = 100000, MANY_HOSTS = 10000 };

/* One connection for each thread, which it reads again and again. */
struct hot {
    const struct hf_plugin *plugin;
    hf_conn conns[THREADS];
};

static void read_hot(void *arg, unsigned thread, long calls)
{
    struct hot *hot = arg;
    const struct hf_plugin *plugin = hot->plugin;
    hf_conn conn = hot->conns[thread];
    long on = 0;

    for (long i = 0; i < calls; i++)
        on += plugin->is_enabled(conn, 0);
    if (plugin != hf_bench_empty && on != calls)
        hf_bench_die("%s: %ld of %ld reads said on", plugin->name, on, calls);
}

static struct hot make_hot(const struct hf_plugin *plugin)
{
    return (struct hot){plugin, {hf_bench_connect(plugin, 0), hf_bench_connect(plugin, 0)}};
}

static void end_hot(struct hot *hot)
{
    for (int i = 0; i < THREADS; i++)
        hot->plugin->on_disconnect(hot->conns[i]);
}

/* All connections one after the other, in an order that no cache foresees. */
struct many {
    const struct hf_plugin *plugin;
    hf_conn *conns;
};

static void read_many(void *arg, unsigned thread, long calls)
{
    struct many *many = arg;
    const struct hf_plugin *plugin = many->plugin;
    const hf_conn *conns = many->conns;
    long on = 0;

    (void)thread;
    for (long i = 0, at = 0; i < calls; i++) {
        on += plugin->is_enabled(conns[at], 0);
        at = at + 1 < MANY ? at + 1 : 0;
    }
    if (plugin != hf_bench_empty && on != calls)
        hf_bench_die("%s: %ld of %ld reads said on", plugin->name, on, calls);
}

static void shuffle(hf_conn *conns, uint32_t count)
{
    uint64_t state = 88172645463325252u;

    for (uint32_t i = count - 1; i > 0; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t other = (uint32_t)((state >> 32) * (i + 1) >> 32);
        hf_conn kept = conns[i];
        conns[i] = conns[other];
        conns[other] = kept;
    }
}

static void measure_many(void)
{
    struct many ours = {
        hf_bench_hostflags, hf_bench_connect_all(hf_bench_hostflags, MANY, MANY_HOSTS)};
    struct many empty = {hf_bench_empty, ours.conns};
    struct hf_bench_load our_load = {read_many, &ours, 1, 0}, base = {read_many, &empty, 1, 0};
    struct hf_bench_pair pair;

    shuffle(ours.conns, MANY);
    pair = hf_bench_compare(&our_load, &base);
    hf_bench_figure("is_enabled_many_vs_empty",
        "100,000 connections, 10,000 hosts, random order, against (a)", pair.ratio, "x", REPORTED,
        "%.2f ns, (a) %.2f ns", pair.ours_ns, pair.base_ns);
    hf_bench_disconnect_all(hf_bench_hostflags, ours.conns, MANY);
}

static void measure_against_ancestor(
    const struct hf_bench_load *ours, const struct hf_bench_load *base, unsigned threads)
{
    struct hf_bench_load our_load = *ours, base_load = *base;
    struct hf_bench_pair pair;

    our_load.threads = base_load.threads = threads;
    pair = hf_bench_compare(&our_load, &base_load);
    if (threads == 1)
        hf_bench_figure("ancestor_vs_is_enabled_1_thread",
            "the ancestor (b) against is_enabled, 1 thread", 1 / pair.ratio, "x", AT_LEAST(15),
            "%.2f ns, (b) %.1f ns", pair.ours_ns, pair.base_ns);
    else
        hf_bench_figure("ancestor_vs_is_enabled_2_threads",
            "the ancestor (b) against is_enabled, 2 threads", 1 / pair.ratio, "x", AT_LEAST(40),
            "%.2f ns, (b) %.1f ns", pair.ours_ns, pair.base_ns);
}

void hf_bench_reads(void)
{
    struct hot ours, empty, ancestor;
    struct hf_bench_load one = {read_hot, &ours, 1, 0}, two = {read_hot, &ours, THREADS, 0};
    struct hf_bench_load base = {read_hot, &empty, 1, 0}, ancestors = {read_hot, &ancestor, 1, 0};
    struct hf_bench_pair pair;

    hf_bench_init(
        HF_BENCH_NO_REQUESTS "max_hosts = %d\nmax_connections = %d\n", MANY_HOSTS + 1, MANY + 100);
    ours = make_hot(hf_bench_hostflags);
    empty = make_hot(hf_bench_empty);
    ancestor = make_hot(hf_bench_ancestor);

    hf_bench_heading("is_enabled; (a) is an empty function behind the same vtable");
    pair = hf_bench_compare(&one, &base);
    hf_bench_figure("is_enabled_vs_empty", "one connection, 1 thread, against (a)", pair.ratio, "x",
        AT_MOST(1.5), "%.2f ns, (a) %.2f ns", pair.ours_ns, pair.base_ns);
    pair = hf_bench_compare(&two, &one);
    hf_bench_figure("is_enabled_2_threads_vs_1", "2 threads, per thread, against 1 thread",
        pair.ratio, "x", AT_MOST(1.1), "%.2f ns, 1 thread %.2f ns", pair.ours_ns, pair.base_ns);
    measure_many();
    measure_against_ancestor(&one, &ancestors, 1);
    measure_against_ancestor(&one, &ancestors, THREADS);

    end_hot(&ours);
    end_hot(&ancestor);
    hf_bench_hostflags->fini();
}

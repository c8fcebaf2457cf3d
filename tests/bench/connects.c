/* SPDX-License-Identifier: PostgreSQL
 *
 * connects.c: what on_connect and on_disconnect to a known host cost, against the ancestor.
 */
#include "tests/bench/measure.h"
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"

enum { THREADS = 2 };

struct pairs {
    const struct hf_plugin *plugin;
    bool same_host; /* for all threads */
};

static void connect_and_disconnect(void *arg, unsigned thread, long calls)
{
    struct pairs *pairs = arg;
    const struct hf_plugin *plugin = pairs->plugin;
    uint32_t host = pairs->same_host ? 0 : thread;
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}};
    char name[HF_BENCH_NAME_SIZE];

    hf_bench_name(host, name);
    upstream.host = name;
    for (long i = 0; i < calls; i++)
        plugin->on_disconnect(plugin->on_connect(&upstream));
}

static void measure(
    const char *key, const char *what, unsigned threads, bool same_host, double target)
{
    struct pairs our_pairs = {hf_bench_hostflags, same_host};
    struct pairs base_pairs = {hf_bench_ancestor, same_host};
    struct hf_bench_load ours = {connect_and_disconnect, &our_pairs, threads};
    struct hf_bench_load base = {connect_and_disconnect, &base_pairs, threads};
    struct hf_bench_pair pair = hf_bench_compare(&ours, &base);

    hf_bench_figure(key, what, pair.ratio, "x", AT_MOST(target), "%.1f ns, (b) %.1f ns",
        pair.ours_ns, pair.base_ns);
}

void hf_bench_connects(void)
{
    hf_conn ours[THREADS], theirs[THREADS];

    hf_bench_init("%s", HF_BENCH_NO_REQUESTS);
    for (uint32_t i = 0; i < THREADS; i++) {
        ours[i] = hf_bench_connect(hf_bench_hostflags, i);
        theirs[i] = hf_bench_connect(hf_bench_ancestor, i);
    }
    hf_bench_heading("on_connect + on_disconnect of a known host; (b) is the ancestor");
    measure("connect_vs_ancestor", "1 thread, against (b)", 1, true, 1.0);
    measure("connect_2_threads_2_hosts_vs_ancestor", "2 threads, different hosts, against (b)",
        THREADS, false, 1.0);
    measure("connect_2_threads_1_host_vs_ancestor", "2 threads, the same host, against (b)",
        THREADS, true, 1.5);
    for (uint32_t i = 0; i < THREADS; i++) {
        hf_bench_hostflags->on_disconnect(ours[i]);
        hf_bench_ancestor->on_disconnect(theirs[i]);
    }
    hf_bench_hostflags->fini();
}

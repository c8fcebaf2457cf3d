/* SPDX-License-Identifier: PostgreSQL
 *
 * connects.c: what on_connect and on_disconnect to a known host cost, against the ancestor.
 *
 * Two threads that connect to one host count it in different rows of the registry, or in the same
 * one (references.h): the rows go round, so up to HF_STRIPES threads of a program have one each,
 * and the next ones share. Both cases are measured, and which one it was is read from the handles.
 */
#include "plugin/registry.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"

enum { THREADS = 2 };

struct pairs {
    const struct hf_plugin *plugin;
    bool same_host; /* for all threads */
    uint32_t rows[THREADS]; /* of hostflags: where each thread counted last */
};

static void connect_and_disconnect(void *arg, unsigned thread, long calls)
{
    struct pairs *pairs = arg;
    const struct hf_plugin *plugin = pairs->plugin;
    uint32_t host = pairs->same_host ? 0 : thread;
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}};
    char name[HF_BENCH_NAME_SIZE];
    hf_conn conn = HF_NO_CONN;
    long refused = 0;

    hf_bench_name(host, name);
    upstream.host = name;
    for (long i = 0; i < calls; i++) {
        conn = plugin->on_connect(&upstream);
        refused += conn == HF_NO_CONN;
        plugin->on_disconnect(conn);
    }
    if (refused > 0)
        hf_bench_die("%s refused %ld of %ld connections", plugin->name, refused, calls);
    pairs->rows[thread] = (uint32_t)(conn >> 32) & (HF_STRIPES - 1);
}

/* One line of the table, but for its value. */
struct line {
    const char *key, *what;
    unsigned threads, between; /* as in struct hf_bench_load */
    bool same_host, same_row;
    struct hf_bench_target target;
};

static void measure(const struct line *line)
{
    struct pairs our_pairs = {hf_bench_hostflags, line->same_host, {0}};
    struct pairs base_pairs = {hf_bench_ancestor, line->same_host, {0}};
    struct hf_bench_load ours = {connect_and_disconnect, &our_pairs, line->threads, line->between};
    struct hf_bench_load base = {connect_and_disconnect, &base_pairs, line->threads, line->between};
    struct hf_bench_pair pair = hf_bench_compare(&ours, &base);

    if (line->threads > 1 && (our_pairs.rows[0] == our_pairs.rows[1]) != line->same_row)
        hf_bench_die("two threads counted in rows %u and %u, expected %s", our_pairs.rows[0],
            our_pairs.rows[1], line->same_row ? "the same one" : "different ones");
    hf_bench_figure(line->key, line->what, pair.ratio, "x", line->target, "%.1f ns, (b) %.1f ns",
        pair.ours_ns, pair.base_ns);
}

/* The same calls to a copy of the plugin whose cache is one that processes share. */
static void measure_sharing(void)
{
    struct pairs shared_pairs = {hf_bench_beside, true, {0}};
    struct pairs own_pairs = {hf_bench_hostflags, true, {0}};
    struct hf_bench_load shared = {connect_and_disconnect, &shared_pairs, 1, 0};
    struct hf_bench_load own = {connect_and_disconnect, &own_pairs, 1, 0};
    struct hf_bench_pair pair;
    hf_conn held;

    hf_bench_init_beside("%s\nshare = on\n", HF_BENCH_NO_REQUESTS);
    held = hf_bench_connect(hf_bench_beside, 0);
    pair = hf_bench_compare(&shared, &own);
    hf_bench_figure("connect_shared_vs_not", "1 thread, share = on against share = off", pair.ratio,
        "x", REPORTED, "%.1f ns, off %.1f ns", pair.ours_ns, pair.base_ns);
    hf_bench_beside->on_disconnect(held);
    hf_bench_beside->fini();
}

void hf_bench_connects(void)
{
    static const struct line lines[] = {
        {"connect_vs_ancestor", "1 thread, against (b)", 1, 0, true, true, AT_MOST(1.0)},
        {"connect_2_threads_2_hosts_vs_ancestor", "2 threads, different hosts, against (b)",
            THREADS, 0, false, false, AT_MOST(1.0)},
        {"connect_2_threads_1_host_vs_ancestor", "2 threads, the same host, against (b)", THREADS,
            0, true, false, AT_MOST(1.5)},
        {"connect_2_threads_1_row_vs_ancestor", "the same, 2 of 5 threads or more that share a row",
            THREADS, HF_STRIPES - 1, true, true, REPORTED},
    };
    hf_conn ours[THREADS], theirs[THREADS];

    hf_bench_init("%s", HF_BENCH_NO_REQUESTS);
    for (uint32_t i = 0; i < THREADS; i++) {
        ours[i] = hf_bench_connect(hf_bench_hostflags, i);
        theirs[i] = hf_bench_connect(hf_bench_ancestor, i);
    }
    hf_bench_heading("on_connect + on_disconnect of a known host; (b) is the ancestor");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        measure(&lines[i]);
    measure_sharing();
    for (uint32_t i = 0; i < THREADS; i++) {
        hf_bench_hostflags->on_disconnect(ours[i]);
        hf_bench_ancestor->on_disconnect(theirs[i]);
    }
    hf_bench_hostflags->fini();
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * instructions.c: instructions per call, counted by callgrind: the same on every machine, whatever
 * its neighbours do. This program runs itself under valgrind for that, and reads what valgrind
 * wrote. The few instructions of the loop around a call are counted as well.
 */
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"
#include "tests/support/tmpdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { CALLS = 2000 };

static void read_again(const struct hf_plugin *plugin)
{
    hf_conn conn = hf_bench_connect(plugin, 0);
    long on = 0;

    plugin->is_enabled(conn, 0);
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < CALLS; i++)
        on += plugin->is_enabled(conn, 0);
    CALLGRIND_DUMP_STATS_AT(plugin->name);
    if (plugin != hf_bench_empty && on != CALLS)
        hf_bench_die("%s: %ld of %d reads said on", plugin->name, on, CALLS);
    plugin->on_disconnect(conn);
}

static void connect_again(const struct hf_plugin *plugin, const char *key)
{
    hf_conn held = hf_bench_connect(plugin, 0);
    long refused = 0;
    char name[HF_BENCH_NAME_SIZE];
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}, .host = name};

    hf_bench_name(0, name);
    plugin->on_disconnect(plugin->on_connect(&upstream));
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < CALLS; i++) {
        hf_conn conn = plugin->on_connect(&upstream);
        refused += conn == HF_NO_CONN;
        plugin->on_disconnect(conn);
    }
    CALLGRIND_DUMP_STATS_AT(key);
    if (refused > 0)
        hf_bench_die("%s refused %ld of %d connections", plugin->name, refused, CALLS);
    plugin->on_disconnect(held);
}

void hf_bench_be_counted(void)
{
    hf_bench_init("%s", HF_BENCH_NO_REQUESTS);
    read_again(hf_bench_empty);
    read_again(hf_bench_hostflags);
    read_again(hf_bench_ancestor);
    connect_again(hf_bench_hostflags, "connect");
    connect_again(hf_bench_ancestor, "connect ancestor");
    hf_bench_hostflags->fini();
}

/* ---- the program outside ---- */

static void run_under_valgrind(const char *out)
{
    char self[512], file[600];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int status;
    pid_t child;

    self[length > 0 ? length : 0] = '\0';
    snprintf(file, sizeof(file), "--callgrind-out-file=%s", out);
    child = fork();
    if (child == 0) {
        execlp("valgrind", "valgrind", "--quiet", "--tool=callgrind", file, self, "--counted",
            (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        hf_bench_die("valgrind did not run, or what ran under it failed");
}

/* The number of one of valgrind's files, if it is that of the key; -1: it is another one's. */
static double instructions_in(const char *file, const char *key)
{
    char line[512], wanted[128];
    double number = -1;
    bool found = false;
    FILE *stream = fopen(file, "r");

    if (stream == NULL)
        return -1;
    snprintf(wanted, sizeof(wanted), "desc: Trigger: Client Request: %s\n", key);
    while (fgets(line, sizeof(line), stream) != NULL) {
        found |= strcmp(line, wanted) == 0;
        sscanf(line, "summary: %lf", &number);
        sscanf(line, "totals: %lf", &number);
    }
    fclose(stream);
    return found ? number / CALLS : -1;
}

static double instructions(const char *out, const char *key)
{
    char file[600];

    for (int i = 1; i <= 10; i++) {
        snprintf(file, sizeof(file), "%s.%d", out, i);
        double number = instructions_in(file, key);
        if (number > 0)
            return number;
    }
    hf_bench_die("valgrind wrote no count for \"%s\"", key);
}

void hf_bench_instructions(void)
{
    char *directory = hf_tmpdir_create();
    char out[512];
    double empty, ours, theirs;

    hf_bench_heading("instructions per call, by callgrind, the loop around it included");
    if (directory == NULL)
        hf_bench_die("no temporary directory");
    snprintf(out, sizeof(out), "%s/out", directory);
    hf_bench_progress("under valgrind");
    run_under_valgrind(out);
    empty = instructions(out, "empty");
    ours = instructions(out, "hostflags");
    theirs = instructions(out, "ancestor");
    hf_bench_figure("is_enabled_instructions", "is_enabled", ours, "", REPORTED,
        "(a) %.0f, (b) %.0f", empty, theirs);
    ours = instructions(out, "connect");
    theirs = instructions(out, "connect ancestor");
    hf_bench_figure("connect_instructions", "on_connect + on_disconnect", ours, "", REPORTED,
        "(b) %.0f", theirs);
    hf_tmpdir_remove(directory);
}

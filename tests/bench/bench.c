/* SPDX-License-Identifier: PostgreSQL
 *
 * bench.c: make bench. Every figure with a target is a ratio of what was measured in this one run,
 * or a count.
 *
 *     bench [SECTION...]     some of reads, connects, instructions, counts, refreshes; else all
 */
#include "tests/bench/report.h"
#include "tests/bench/scene.h"
#include "tests/bench/sections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {
    {"reads", hf_bench_reads},
    {"connects", hf_bench_connects},
    {"instructions", hf_bench_instructions},
    {"counts", hf_bench_counts},
    {"refreshes", hf_bench_refreshes},
};

enum { SECTIONS = sizeof(sections) / sizeof(sections[0]) };

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 1;
}

static bool is_known(const char *name)
{
    for (int i = 0; i < SECTIONS; i++)
        if (strcmp(sections[i].name, name) == 0)
            return true;
    return false;
}

/* The model of the CPUs, how many there are, and whether they are a guest's. */
static int read_cpus(char model[256], bool *is_virtual)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t size = 0;
    int cpus = 0;

    while (file != NULL && getline(&line, &size, file) > 0) {
        cpus += sscanf(line, "model name : %255[^\n]", model) == 1;
        *is_virtual |= strncmp(line, "flags", 5) == 0 && strstr(line, " hypervisor") != NULL;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return cpus;
}

/* What was measured where, on what day. */
static void describe_machine(char *text, size_t size)
{
    char model[256] = "unknown CPU", day[32];
    bool is_virtual = false;
    time_t now = time(NULL);
    int cpus = read_cpus(model, &is_virtual);

    strftime(day, sizeof(day), "%Y-%m-%d", gmtime(&now));
    snprintf(text, size, "On %s, %d x %s%s:", day, cpus, model,
        is_virtual ? " (a virtual machine)" : "");
}

int main(int argc, char **argv)
{
    const char *build = getenv("HF_BUILD");
    char json_file[512], table_file[512], machine[512];

    hf_bench_load_plugins();
    if (argc == 2 && strcmp(argv[1], "--counted") == 0) {
        hf_bench_be_counted();
        return 0;
    }
    for (int i = 1; i < argc; i++)
        if (!is_known(argv[i]))
            hf_bench_die("there is no section \"%s\"; expected reads, connects, instructions, "
                         "counts or refreshes",
                argv[i]);
    snprintf(json_file, sizeof(json_file), "%s/bench.json", build != NULL ? build : "build");
    snprintf(table_file, sizeof(table_file), "%s/bench.md", build != NULL ? build : "build");
    describe_machine(machine, sizeof(machine));
    if (!hf_bench_report_begin(table_file, machine))
        hf_bench_die("%s cannot be written", table_file);
    for (int i = 0; i < SECTIONS; i++)
        if (is_wanted(sections[i].name, argc, argv))
            sections[i].run();
    return hf_bench_report_end(json_file);
}

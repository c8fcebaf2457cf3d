/* SPDX-License-Identifier: PostgreSQL */
#include "tests/bench/worker.h"

#include "tests/bench/scene.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* Opens a file of /proc/self/task/<the worker>. */
static FILE *open_of_worker(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    FILE *file = NULL;
    char path[512], comm[32];

    while (tasks != NULL && file == NULL && (task = readdir(tasks)) != NULL) {
        FILE *candidate;
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
        candidate = fopen(path, "r");
        if (candidate == NULL)
            continue;
        if (fgets(comm, sizeof(comm), candidate) != NULL && strcmp(comm, "hostflags\n") == 0) {
            snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task->d_name, name);
            file = fopen(path, "r");
        }
        fclose(candidate);
    }
    if (tasks != NULL)
        closedir(tasks);
    if (file == NULL)
        hf_bench_die("there is no thread \"hostflags\", or it has no file %s in /proc", name);
    return file;
}

long hf_bench_worker_wake_ups(void)
{
    FILE *file = open_of_worker("status");
    long sum = 0, number;
    char line[256];

    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &number) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %ld", &number) == 1)
            sum += number;
    fclose(file);
    return sum;
}

double hf_bench_worker_cpu_ns(void)
{
    FILE *file = open_of_worker("schedstat");
    double number = 0;

    if (fscanf(file, "%lf", &number) != 1)
        hf_bench_die("schedstat of the worker has no number");
    fclose(file);
    return number;
}

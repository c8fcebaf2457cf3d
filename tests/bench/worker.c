/* SPDX-License-Identifier: PostgreSQL */
#include "tests/bench/worker.h"

#include "tests/bench/scene.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opens a file of /proc/self/task/<the thread>. NULL: it has ended. */
static FILE *open_of(int thread, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", thread, name);
    return fopen(path, "r");
}

static FILE *open_of_worker(int worker, const char *name)
{
    FILE *file = open_of(worker, name);

    if (file == NULL)
        hf_bench_die("the worker's thread has ended, or it has no file %s in /proc", name);
    return file;
}

static bool is_worker(int thread)
{
    FILE *file = open_of(thread, "comm");
    char name[32];
    bool same;

    if (file == NULL)
        return false;
    same = fgets(name, sizeof(name), file) != NULL && strcmp(name, "hostflags\n") == 0;
    fclose(file);
    return same;
}

int hf_bench_worker_find(int other)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int found = 0, count = 0;

    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        int thread = atoi(task->d_name);
        if (thread > 0 && thread != other && is_worker(thread)) {
            found = thread;
            count++;
        }
    }
    if (tasks != NULL)
        closedir(tasks);
    if (count != 1)
        hf_bench_die("there are %d threads \"hostflags\", expected one", count);
    return found;
}

long hf_bench_worker_wake_ups(int worker)
{
    FILE *file = open_of_worker(worker, "status");
    long sum = 0, number;
    char line[256];

    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &number) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %ld", &number) == 1)
            sum += number;
    fclose(file);
    return sum;
}

double hf_bench_worker_cpu_ns(int worker)
{
    FILE *file = open_of_worker(worker, "schedstat");
    double number = 0;

    if (fscanf(file, "%lf", &number) != 1)
        hf_bench_die("schedstat of the worker has no number");
    fclose(file);
    return number;
}

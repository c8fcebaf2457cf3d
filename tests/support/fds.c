/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/fds.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static DIR *open_entries(pid_t pid, const char *what)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", pid ? (int)pid : (int)getpid(), what);
    return opendir(path);
}

/* The next entry that is a number, and not the descriptor which the directory is read through. */
static struct dirent *next_entry(DIR *entries, pid_t pid, bool are_descriptors)
{
    bool ours = are_descriptors && (pid == 0 || pid == getpid());
    struct dirent *entry;

    while ((entry = readdir(entries))) {
        if (entry->d_name[0] != '.' && !(ours && atoi(entry->d_name) == dirfd(entries)))
            break;
    }
    return entry;
}

static int count_entries(pid_t pid, const char *what, bool are_descriptors)
{
    DIR *entries = open_entries(pid, what);
    int count = 0;

    if (!entries)
        return -1;
    while (next_entry(entries, pid, are_descriptors))
        count++;
    closedir(entries);
    return count;
}

int hf_fds_count(pid_t pid)
{
    return count_entries(pid, "fd", true);
}

int hf_fds_threads(pid_t pid)
{
    return count_entries(pid, "task", false);
}

/* "1234 (name) S …". A thread that has just ended has no file. */
static bool is_asleep(int tid)
{
    char path[64], line[256];
    const char *end = NULL;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    file = fopen(path, "re");
    if (!file)
        return true;
    if (fgets(line, sizeof(line), file))
        end = strrchr(line, ')');
    fclose(file);
    return end && strncmp(end, ") S", 3) == 0;
}

bool hf_fds_others_sleep(void)
{
    DIR *entries = open_entries(0, "task");
    struct dirent *entry;
    bool asleep = entries != NULL;

    while (asleep && (entry = next_entry(entries, 0, false)))
        asleep = atoi(entry->d_name) == gettid() || is_asleep(atoi(entry->d_name));
    if (entries)
        closedir(entries);
    return asleep;
}

char *hf_fds_text(pid_t pid)
{
    DIR *entries = open_entries(pid, "fd");
    char *text = NULL;
    size_t size;
    FILE *out = entries ? open_memstream(&text, &size) : NULL;
    struct dirent *entry;

    while (out && (entry = next_entry(entries, pid, true))) {
        char target[256];
        ssize_t len = readlinkat(dirfd(entries), entry->d_name, target, sizeof(target) - 1);

        target[len < 0 ? 0 : len] = '\0';
        fprintf(out, "%s %s\n", entry->d_name, target);
    }
    if (out)
        fclose(out);
    if (entries)
        closedir(entries);
    return text;
}

/* A line "field: N kB" of /proc/PID/status; -1: there is none. */
static long status_kb(pid_t pid, const char *field)
{
    char path[64], line[256];
    size_t len = strlen(field);
    long kb = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", pid ? (int)pid : (int)getpid());
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, field, len) == 0 && sscanf(line + len, ": %ld kB", &kb) == 1)
            break;
    }
    if (file)
        fclose(file);
    return kb;
}

long hf_fds_resident_kb(pid_t pid)
{
    return status_kb(pid, "VmRSS");
}

long hf_fds_peak_kb(void)
{
    return status_kb(0, "VmHWM");
}

bool hf_fds_reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    bool written = file && fputs("5", file) >= 0;

    return file && fclose(file) == 0 && written;
}

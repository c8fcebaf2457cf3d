/* SPDX-License-Identifier: PostgreSQL
 *
 * run_corpus.c: the main of a fuzz target where there is no libFuzzer: runs each file of
 * tests/fuzz/corpus/NAME, or the files that are named as arguments, and says what became of them as
 * the other tests do (suite.h). NAME is what follows "fuzz_" in the program's name.
 *
 * Each file is run in a child, so that one that fails does not hide the others, and so that a leak
 * of memory, which the sanitizer looks for at the end of a process, belongs to a file.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MOST_S = 120 };

static const char *target;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Runs the bytes of the file in a block of exactly their size. */
static bool run_file(const char *path)
{
    FILE *file = fopen(path, "r");
    uint8_t *data = NULL;
    long size = -1;
    bool whole;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0)
        data = malloc(size > 0 ? (size_t)size : 1);
    whole = data != NULL && fseek(file, 0, SEEK_SET) == 0 &&
        fread(data, 1, (size_t)size, file) == (size_t)size;
    if (whole)
        LLVMFuzzerTestOneInput(data, (size_t)size);
    else
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    free(data);
    if (file != NULL)
        fclose(file);
    return whole;
}

/* Whether the child ended well. Its last words are on stderr, before the line for the file. */
static bool try_file(const char *path)
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(FILE_MOST_S);
        exit(run_file(path) ? 0 : 1);
    }
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
        return true;
    printf("FAILED  fuzz: %s: %s: ", target, path);
    if (child < 0 || status == -1)
        printf("no child could be started\n");
    else if (WIFSIGNALED(status))
        printf("ended by signal %d\n", WTERMSIG(status));
    else
        printf("ended with status %d\n", WEXITSTATUS(status));
    return false;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The number of files that failed; *tried counts all. */
static int try_directory(const char *directory, int *tried)
{
    struct dirent **entries = NULL;
    int found = scandir(directory, &entries, is_visible, alphasort), failed = 0;

    for (int i = 0; i < found; i++) {
        char path[1024];

        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        failed += try_file(path) ? 0 : 1;
        free(entries[i]);
    }
    free(entries);
    *tried = found > 0 ? found : 0;
    return failed;
}

int main(int argc, char **argv)
{
    const char *prefix = strstr(program_invocation_short_name, "fuzz_");
    char directory[512];
    int tried = argc - 1, failed = 0;
    int64_t began_ms = now_ms();

    target = prefix == NULL ? program_invocation_short_name : prefix + strlen("fuzz_");
    snprintf(directory, sizeof(directory), "tests/fuzz/corpus/%s", target);
    for (int i = 1; i < argc; i++)
        failed += try_file(argv[i]) ? 0 : 1;
    if (argc <= 1)
        failed = try_directory(directory, &tried);
    if (tried == 0)
        printf("FAILED  fuzz: %s: there is nothing in %s\n", target, directory);
    else if (failed == 0)
        printf("ok      fuzz: %s: all %d inputs of its corpus  (%lld ms)\n", target, tried,
            (long long)(now_ms() - began_ms));
    return tried > 0 && failed == 0 ? 0 : 1;
}

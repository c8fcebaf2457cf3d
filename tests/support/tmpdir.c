/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *hf_tmpdir_create(void)
{
    const char *parent = getenv("TMPDIR");
    char *directory = hf_tmpdir_path(parent && *parent ? parent : "/tmp", "hostflags-XXXXXX");

    if (directory && mkdtemp(directory))
        return directory;
    fprintf(stderr, "cannot make a temporary directory: %s\n", strerror(errno));
    free(directory);
    return NULL;
}

void hf_tmpdir_remove(char *directory)
{
    DIR *entries = directory ? opendir(directory) : NULL;
    struct dirent *entry;

    while (entries && (entry = readdir(entries)))
        unlinkat(dirfd(entries), entry->d_name, 0); /* "." and ".." refuse */
    if (entries)
        closedir(entries);
    if (directory)
        rmdir(directory);
    free(directory);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *position)
{
    (void)facts;
    (void)kind;
    (void)position;
    return remove(path);
}

void hf_tmpdir_remove_tree(const char *directory)
{
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

char *hf_tmpdir_path(const char *directory, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool good = file && fputs(text, file) >= 0;

    if (file && fclose(file) != 0)
        good = false;
    return good;
}

char *hf_tmpdir_write(const char *directory, const char *name, const char *text)
{
    char *path = hf_tmpdir_path(directory, name);
    char *draft = hf_tmpdir_path(directory, ".draft");

    if (path && draft && (!write_file(draft, text) || rename(draft, path) != 0)) {
        fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
        free(path);
        path = NULL;
    }
    free(draft);
    return path;
}

char *hf_tmpdir_read(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;

    if (!file)
        return NULL;
    if (getdelim(&text, &size, '\0', file) < 0) { /* nothing read: an error, or an empty file */
        free(text);
        text = ferror(file) ? NULL : strdup("");
    }
    fclose(file);
    return text;
}

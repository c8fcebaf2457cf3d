/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/name_server.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

#define RESOLV_CONF "nameserver " HF_NAME_SERVER "\n"

static bool covered;

/* Puts a file with this text where path is. */
static int cover(const char *directory, const char *path, const char *name, const char *text)
{
    char *file = hf_tmpdir_write(directory, name, text);
    int result = file ? mount(file, path, "none", MS_BIND, NULL) : -1;

    free(file);
    return result;
}

/* By the program that started this one. */
static bool is_covered_already(void)
{
    char *text = hf_tmpdir_read("/etc/resolv.conf");
    bool ours = text && strcmp(text, RESOLV_CONF) == 0;

    free(text);
    return ours;
}

static const char *cover_files(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        return "mount namespaces are not allowed here";
    if (cover(directory, "/etc/resolv.conf", "resolv.conf", RESOLV_CONF) != 0)
        return "/etc/resolv.conf cannot be covered by another file here";
    if (access("/etc/nsswitch.conf", F_OK) == 0 &&
        cover(directory, "/etc/nsswitch.conf", "nsswitch.conf", "hosts: files dns\n") != 0)
        return "/etc/nsswitch.conf cannot be covered by another file here";
    return NULL;
}

const char *hf_name_server_cover(void)
{
    const char *refused = NULL;
    char *directory;
    int error;

    if (!is_covered_already()) {
        directory = hf_tmpdir_create();
        refused = directory ? cover_files(directory) : "a temporary directory cannot be made";
        error = errno;
        hf_tmpdir_remove(directory); /* the mounts keep what they cover with */
        errno = error;
    }
    covered = refused == NULL;
    return refused;
}

bool hf_name_server_is_covered(void)
{
    return covered;
}

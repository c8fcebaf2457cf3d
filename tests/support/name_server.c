/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/name_server.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

static bool covered;

/* Puts a file with this text where path is. */
static int cover(const char *directory, const char *path, const char *name, const char *text)
{
    char *file = hf_tmpdir_write(directory, name, text);
    int result = file ? mount(file, path, NULL, MS_BIND, NULL) : -1;

    free(file);
    return result;
}

static const char *cover_files(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return "mount namespaces are not allowed here";
    if (cover(directory, "/etc/resolv.conf", "resolv.conf", "nameserver " HF_NAME_SERVER "\n") != 0)
        return "/etc/resolv.conf cannot be covered by another file here";
    if (access("/etc/nsswitch.conf", F_OK) == 0 &&
        cover(directory, "/etc/nsswitch.conf", "nsswitch.conf", "hosts: files dns\n") != 0)
        return "/etc/nsswitch.conf cannot be covered by another file here";
    return NULL;
}

const char *hf_name_server_cover(void)
{
    char *directory = hf_tmpdir_create();
    const char *refused =
        directory ? cover_files(directory) : "a temporary directory cannot be made";

    hf_tmpdir_remove(directory); /* the mounts keep what they cover with */
    covered = refused == NULL;
    return refused;
}

bool hf_name_server_is_covered(void)
{
    return covered;
}

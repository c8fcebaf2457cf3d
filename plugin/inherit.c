/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/inherit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MARK_BYTES 13 /* no other pair of sockets has exactly these waiting */

/* Whether fd is a Unix stream socket without close-on-exec. */
static bool is_inheritable(int fd)
{
    int flags = fcntl(fd, F_GETFD), type = 0, domain = 0;
    socklen_t size = sizeof(int);

    return flags >= 0 && (flags & FD_CLOEXEC) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Whether exactly mark is waiting there. */
static bool has_mark(int fd, const void *mark)
{
    char waiting[MARK_BYTES];
    int bytes = 0;

    return is_inheritable(fd) && ioctl(fd, FIONREAD, &bytes) == 0 && bytes == MARK_BYTES &&
        recv(fd, waiting, MARK_BYTES, MSG_PEEK | MSG_DONTWAIT) == MARK_BYTES &&
        memcmp(waiting, mark, MARK_BYTES) == 0;
}

/* The first open descriptor for which is(fd, what) holds, or -1. */
static int find(bool (*is)(int fd, const void *what), const void *what)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *item;
    int found = -1;

    if (directory == NULL)
        return -1;
    while (found < 0 && (item = readdir(directory)) != NULL) {
        int fd = atoi(item->d_name);
        if (item->d_name[0] != '.' && is(fd, what))
            found = fd;
    }
    closedir(directory);
    return found;
}

void hf_inherit_no_wake_pair(void (*wake)(void *arg), void *arg)
{
    char ones[MARK_BYTES], mark[MARK_BYTES + 1] = "hostflagspair";
    int near, far;

    memset(ones, 1, sizeof(ones));
    for (int i = 0; i < MARK_BYTES; i++)
        wake(arg);
    near = find(has_mark, ones);
    if (near < 0)
        return;
    fcntl(near, F_SETFD, FD_CLOEXEC);
    if (send(near, mark, MARK_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL) != MARK_BYTES)
        return;
    far = find(has_mark, mark);
    if (far < 0)
        return;
    fcntl(far, F_SETFD, FD_CLOEXEC);
    if (recv(far, mark, MARK_BYTES, MSG_DONTWAIT) != MARK_BYTES)
        return;
}

/* The two ends of a pair are made by one call: their inode numbers follow each other. */
static bool is_twin(int fd, const void *end)
{
    const struct stat *first = end;
    struct stat other;

    return is_inheritable(fd) && fstat(fd, &other) == 0 && other.st_ino == first->st_ino + 1;
}

void hf_inherit_no_pair(int end)
{
    struct stat first;
    int twin;

    if (!is_inheritable(end) || fstat(end, &first) != 0)
        return;
    fcntl(end, F_SETFD, FD_CLOEXEC);
    twin = find(is_twin, &first);
    if (twin >= 0)
        fcntl(twin, F_SETFD, FD_CLOEXEC);
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/inherit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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
static bool has_mark(int fd, const char *mark)
{
    char waiting[MARK_BYTES];
    int bytes = 0;

    return is_inheritable(fd) && ioctl(fd, FIONREAD, &bytes) == 0 && bytes == MARK_BYTES &&
        recv(fd, waiting, MARK_BYTES, MSG_PEEK | MSG_DONTWAIT) == MARK_BYTES &&
        memcmp(waiting, mark, MARK_BYTES) == 0;
}

static int find_mark(const char *mark)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *item;
    int found = -1;

    if (directory == NULL)
        return -1;
    while (found < 0 && (item = readdir(directory)) != NULL) {
        int fd = atoi(item->d_name);
        if (item->d_name[0] != '.' && has_mark(fd, mark))
            found = fd;
    }
    closedir(directory);
    return found;
}

/* near: one end of a pair of which nobody reads the other end. */
static void keep_pair(int near)
{
    static const char mark[MARK_BYTES + 1] = "hostflagspair";
    int far;

    fcntl(near, F_SETFD, FD_CLOEXEC);
    if (send(near, mark, MARK_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL) != MARK_BYTES)
        return;
    far = find_mark(mark);
    if (far >= 0)
        fcntl(far, F_SETFD, FD_CLOEXEC);
}

void hf_inherit_no_wake_pair(void (*wake)(void *arg), void *arg)
{
    char ones[MARK_BYTES];
    int near;

    memset(ones, 1, sizeof(ones));
    for (int i = 0; i < MARK_BYTES; i++)
        wake(arg);
    near = find_mark(ones);
    if (near >= 0)
        keep_pair(near);
}

void hf_inherit_no_pair(int end)
{
    if (is_inheritable(end))
        keep_pair(end);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * full_queue.h: a socket that listens and whose queue is full: further connections are neither
 * taken nor refused.
 *
 *     struct full full;
 *     if (full_open(&full, 0)) …
 *     full_close(&full);
 *
 * Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_FULL_QUEUE_H
#define HOSTFLAGS_TESTS_INTEGRATION_FULL_QUEUE_H

#include <poll.h>

#include "tests/integration/cache_fixture.h"

#define FILLERS 32

struct full {
    int listen_fd, fds[FILLERS];
    size_t count;
};

FIXTURE bool connects(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};

    return poll(&wait, 1, 500) == 1;
}

/* On 127.0.0.1; port 0: any. False: the queue has no end here. To be closed in any case. */
FIXTURE bool full_open(struct full *full, uint16_t port)
{
    *full = (struct full){.listen_fd = hf_net_listen("127.0.0.1", port)};
    if (full->listen_fd < 0 || listen(full->listen_fd, 0) != 0)
        abort();
    while (full->count < FILLERS) {
        full->fds[full->count] = hf_net_connect("127.0.0.1", hf_net_port(full->listen_fd));
        if (!connects(full->fds[full->count++]))
            return true;
    }
    return false;
}

FIXTURE void full_close(struct full *full)
{
    for (size_t i = 0; i < full->count; i++)
        close(full->fds[i]);
    close(full->listen_fd);
}

#endif

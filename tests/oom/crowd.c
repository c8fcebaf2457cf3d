/* SPDX-License-Identifier: PostgreSQL
 *
 * The services are addresses of one listening socket; they read and never answer.
 */
#include "tests/oom/crowd.h"

#include "tests/oom/allocations.h"
#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BOUND_S = 20, SHORT_MS = 500 };

static int listen_everywhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        listen(fd, 2 * HF_CROWD) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        abort();
    *port = ntohs(address.sin_port);
    return fd;
}

/* Until a request has come; it is never answered. */
static unsigned take_request(int listener)
{
    char byte;

    return recv(accept(listener, NULL, NULL), &byte, 1, 0) == 1;
}

static void connect_to(const struct hf_plugin *plugin, unsigned number, uint16_t port)
{
    char host[64];

    snprintf(host, sizeof(host), "http://127.0.0.%u:%u", 10 + number, port);
    (void)hf_test_connect(plugin, host);
}

void hf_crowd_live(const struct hf_plugin *plugin, struct hf_crowd *crowd)
{
    struct hf_host quiet = hf_test_host();
    uint16_t port;
    int listener = listen_everywhere(&port);
    int64_t began_ms;

    crowd->fini_ms = -1; /* not yet */
    quiet.log = NULL; /* the one of the tests allocates */
    alarm((unsigned)hf_wait_slow_ms(BOUND_S));
    if (hf_test_init_with(plugin, &quiet, "flags = a\nallow_http = loopback\n") != HF_OK)
        return;
    for (unsigned i = 0; i < HF_CROWD; i++)
        connect_to(plugin, i, port);
    while (crowd->waiting < HF_CROWD)
        crowd->waiting += take_request(listener);
    hf_allocations_refuse(HF_BY_THREADS, 1, true);
    connect_to(plugin, HF_CROWD, port); /* wakes the worker */
    (void)HF_STAYS(hf_allocations_refused() < 1000000, SHORT_MS);
    crowd->refused = hf_allocations_refused();
    began_ms = hf_wait_now_ms();
    plugin->fini();
    crowd->fini_ms = hf_wait_now_ms() - began_ms;
    hf_allocations_refuse_none();
}

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000

/* Whatever has been read when the other side ends, by a reset too; NULL: it did not end. */
static char *read_to_end(int fd)
{
    size_t length = 0;
    char *text = calloc(1, 1);

    while (text && hf_net_wait(fd, POLLIN, -1, hf_wait_slow_ms(BOUND_MS)) == 1) {
        char bytes[4096], *grown;
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return text;
        if (got < 0)
            continue;
        grown = realloc(text, length + (size_t)got + 1);
        if (!grown)
            abort();
        text = grown;
        memcpy(text + length, bytes, (size_t)got);
        length += (size_t)got;
        text[length] = '\0';
    }
    free(text);
    return NULL;
}

char *hf_exchange(uint16_t port, const char *request)
{
    int fd = hf_net_connect("127.0.0.1", port);
    ssize_t length = (ssize_t)strlen(request);
    char *text = NULL;

    if (fd >= 0 && hf_net_wait(fd, POLLOUT, -1, hf_wait_slow_ms(BOUND_MS)) == 1 &&
        send(fd, request, (size_t)length, MSG_NOSIGNAL) == length)
        text = read_to_end(fd);
    if (fd >= 0)
        close(fd);
    return text;
}

char *hf_exchange_tls(uint16_t port, const char *request, const char *arguments, int *status)
{
    const char *const argv[] = {"sh", "-c",
        "printf %s \"$0\" | openssl s_client -quiet -ign_eof -connect 127.0.0.1:$1 $2", request,
        NULL, arguments, NULL};
    const char *filled[sizeof(argv) / sizeof(argv[0])];
    char number[8], *text = NULL;

    memcpy(filled, argv, sizeof(argv));
    snprintf(number, sizeof(number), "%u", port);
    filled[4] = number;
    *status = hf_process_run(filled, BOUND_MS, &text);
    return text;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * value.h: the kinds of values that the configuration file has, from text. Pure functions, any
 * thread. But for the last, each returns HF_OK or HF_E_INVALID, and sets its result only on HF_OK.
 */
#ifndef HOSTFLAGS_PROXY_VALUE_H
#define HOSTFLAGS_PROXY_VALUE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "127.0.0.1:5432", "[::1]:5432", "db.example.com:5432". */
struct hf_address {
    char host[256]; /* without brackets */
    uint16_t port;
    bool literal; /* host is a literal address, and socket below is set */
    struct sockaddr_storage socket;
};

/* A whole decimal number from min to max. */
int hf_value_integer(const char *text, int64_t min, int64_t max, int64_t *value);

/* A duration from min_ms to max_ms, as in postgresql.conf: a whole number and ms, s, min, h or d.
 * 0 needs no unit. */
int hf_value_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *value_ms);

/* One of error, warning, info, debug: HF_LOG_ERROR to HF_LOG_DEBUG. */
int hf_value_log_level(const char *text, int64_t *level);

/* A host and a port, which may be 0 only where listen is true: then the host is a literal address,
 * and port 0 stands for a free one. */
int hf_value_address(const char *text, bool listen, struct hf_address *address);

/* What of a value may be shown to people: from its last '@' on, where there is one. Before it stand
 * the user and password of a URL. */
const char *hf_value_shown(const char *text);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * fault_table.h: the rows of the fault matrix, and what each of its columns has to answer. All of
 * it is as README promises it. Part of test_fault_matrix.c.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_FAULT_TABLE_H
#define HOSTFLAGS_TESTS_INTEGRATION_FAULT_TABLE_H

#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/dns_server.h"

enum how {
    REPLY, /* the service sends the reply */
    REFUSE, /* nobody listens */
    FULL, /* a queue that takes no more connections */
    MUTE, /* the connection is taken, and nothing is read or said */
    OTHER_CERT, /* the service has another certificate */
    NO_TLS, /* the service speaks plain http */
    NAME /* the name server gives the answer; the service goes on */
};

enum group { BY_STATUS, BY_CONNECTION, BY_TLS, BY_NAME, BY_QUEUE, BY_TIME }; /* a test each */

/* One row of the matrix: what fails, and what has to be said of it. */
struct fault {
    const char *name;
    enum group group;
    enum how how;
    struct hf_flag_reply reply;
    enum hf_cert cert;
    enum hf_dns_answer dns;
    bool https_only;
    const char *word; /* last_error in status() */
    int32_t last_error, http_status;
    enum { AT_ONCE, CONNECT_TIMEOUT, REQUEST_TIMEOUT } takes; /* at least */
    int64_t wait_least_ms, wait_most_ms; /* until it is asked again */
};

enum scheme { HTTP, HTTPS, SCHEMES };
enum age { COLD, FRESH, OLD, AGES };

#define BACKOFF .wait_least_ms = 2500, .wait_most_ms = 5000 /* 5 s x U(0.5, 1.0) */
#define REFUSAL .wait_least_ms = 900000, .wait_most_ms = 990000 /* 15 min x U(1.0, 1.1) */
#define A_MINUTE .wait_least_ms = 60000, .wait_most_ms = 90000 /* 60 s x U(1.0, 1.5) */
#define SAYS_HTTP(code) .word = "http", .last_error = HF_FETCH_HTTP, .http_status = (code)
#define SAYS_CONNECT .word = "connect", .last_error = HF_FETCH_CONNECT
#define SAYS_TLS .word = "tls", .last_error = HF_FETCH_TLS
#define SAYS_DNS .word = "dns", .last_error = HF_FETCH_DNS
#define SAYS_TIMEOUT .word = "timeout", .last_error = HF_FETCH_TIMEOUT

static const struct fault faults[] = {
    {"400", BY_STATUS, .reply = {.status = 400}, SAYS_HTTP(400), BACKOFF},
    {"401", BY_STATUS, .reply = {.status = 401}, SAYS_HTTP(401), REFUSAL},
    {"403", BY_STATUS, .reply = {.status = 403}, SAYS_HTTP(403), REFUSAL},
    {"404", BY_STATUS, .reply = {.status = 404}, SAYS_HTTP(404), REFUSAL},
    {"429", BY_STATUS, .reply = {.status = 429}, SAYS_HTTP(429), BACKOFF},
    {"429, Retry-After: 60", BY_STATUS, .reply = {.status = 429, .headers = "Retry-After: 60"},
        SAYS_HTTP(429), A_MINUTE},
    {"500", BY_STATUS, .reply = {.status = 500}, SAYS_HTTP(500), BACKOFF},
    {"502", BY_STATUS, .reply = {.status = 502}, SAYS_HTTP(502), BACKOFF},
    {"503", BY_STATUS, .reply = {.status = 503}, SAYS_HTTP(503), BACKOFF},
    {"504", BY_STATUS, .reply = {.status = 504}, SAYS_HTTP(504), BACKOFF},

    {"refused", BY_CONNECTION, .how = REFUSE, SAYS_CONNECT, BACKOFF},
    {"reset", BY_CONNECTION, .reply = {.fault = HF_FAULT_RESET}, SAYS_CONNECT, BACKOFF},
    {"closed, no answer", BY_CONNECTION, .reply = {.fault = HF_FAULT_CLOSE}, SAYS_CONNECT, BACKOFF},
    {"closed within the body", BY_CONNECTION, .reply = {.fault = HF_FAULT_TRUNCATE}, SAYS_CONNECT,
        .http_status = 200, BACKOFF},

    {"bad TLS: self-signed", BY_TLS, .how = OTHER_CERT, .cert = HF_CERT_SELF_SIGNED, SAYS_TLS,
        .https_only = true, BACKOFF},
    {"bad TLS: unknown CA", BY_TLS, .how = OTHER_CERT, .cert = HF_CERT_UNKNOWN_CA, SAYS_TLS,
        .https_only = true, BACKOFF},
    {"bad TLS: wrong name", BY_TLS, .how = OTHER_CERT, .cert = HF_CERT_WRONG_NAME, SAYS_TLS,
        .https_only = true, BACKOFF},
    {"bad TLS: expired", BY_TLS, .how = OTHER_CERT, .cert = HF_CERT_EXPIRED, SAYS_TLS,
        .https_only = true, BACKOFF},
    {"bad TLS: none spoken", BY_TLS, .how = NO_TLS, SAYS_TLS, .https_only = true, BACKOFF},

    {"DNS: no such name", BY_NAME, .how = NAME, .dns = HF_DNS_UNKNOWN, SAYS_DNS, BACKOFF},
    {"DNS: server failure", BY_NAME, .how = NAME, .dns = HF_DNS_FAILURE, SAYS_DNS, BACKOFF},
    {"DNS: a black hole", BY_NAME, .how = NAME, .dns = HF_DNS_SILENCE, SAYS_TIMEOUT,
        .takes = CONNECT_TIMEOUT, BACKOFF},

    {"never connected", BY_QUEUE, .how = FULL, SAYS_TIMEOUT, .takes = CONNECT_TIMEOUT, BACKOFF},
    {"connected, never read", BY_TIME, .how = MUTE, SAYS_TIMEOUT, .takes = CONNECT_TIMEOUT,
        BACKOFF},
    {"never answered", BY_TIME, .reply = {.fault = HF_FAULT_SILENCE}, SAYS_TIMEOUT,
        .takes = REQUEST_TIMEOUT, BACKOFF},
    {"a byte a second", BY_TIME, .reply = {.fault = HF_FAULT_DRIP, .interval_ms = 1000},
        SAYS_TIMEOUT, .http_status = 200, .takes = REQUEST_TIMEOUT, BACKOFF},
};

static const struct expected {
    const char *word; /* of the reason */
    int32_t reason, state, a, b;
} expected[AGES] = {
    [COLD] = {"default", HF_REASON_DEFAULT, HF_STATE_UNKNOWN, .a = 0, .b = 1},
    [FRESH] = {"static", HF_REASON_STATIC, HF_STATE_FRESH, .a = 1, .b = 0},
    [OLD] = {"stale", HF_REASON_STALE, HF_STATE_STALE, .a = 1, .b = 0},
};

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * fetch.h: HTTP GETs, many at a time, by libcurl's multi interface. The only file that starts
 * transfers of libcurl.
 *
 * One thread owns a fetcher: create, start, run, destroy. Only wake may be called by others, and
 * not concurrently with destroy.
 *
 * HTTPS is verified, TLS >= 1.2. No redirects are followed. Each transfer has a connection of its
 * own, which is closed afterwards, and sends its request once. Descriptors are close-on-exec.
 * libcurl's resolver threads are not waited for: they end with their look-up.
 */
#ifndef HOSTFLAGS_FETCH_H
#define HOSTFLAGS_FETCH_H

#include "plugin/headers.h"
#include "plugin/terms.h"

struct hf_fetcher;

/* For all requests of a fetcher. Strings are borrowed until destroy. */
struct hf_fetch_options {
    int64_t connect_timeout_ms, request_timeout_ms;
    int64_t max_response_bytes; /* of a decoded body */
    const char *ca_file; /* PEM; NULL: libcurl's own */
    const char *client_cert_file, *client_key_file; /* PEM; NULL: none */
    const char *proxy; /* NULL: as the environment says */
    const char *user_agent;
};

#define HF_FETCH_FIELDS 3

/* One request. Strings are borrowed for the call. */
struct hf_fetch_request {
    const char *url; /* http or https */
    const char *fields[HF_FETCH_FIELDS]; /* more header lines; NULL: none */
    bool direct; /* never through a proxy: for loopback */
    void *tag; /* handed back with the result */
};

/* How it ended. Strings and body are borrowed until the callback returns. */
struct hf_fetch_result {
    void *tag;
    enum hf_outcome outcome; /* OK: a 200 with a body */
    uint16_t http_status; /* 0: no answer */
    const char *message; /* what went wrong, for people; "" after OK */
    const struct hf_headers *headers; /* of the answer; without one all is "" */
    const char *certificate; /* the names in a certificate that is somebody else's; "" otherwise */
    bool hung_up; /* the service ended it after the TLS handshake, before any answer */
    bool bad_client_files; /* the certificate or the key cannot be used, for what message says */
    const char *body; /* not NUL-terminated; NULL when length is 0 */
    size_t length;
};

/* Called by run, on its thread. May start new requests. */
typedef void hf_fetch_done(void *arg, const struct hf_fetch_result *result);

/* Once per process, before the first create, and once after the last destroy. libcurl counts them;
 * a host program that uses libcurl as well is not disturbed. 0, or -1. */
int hf_fetch_global_init(void) __attribute__((warn_unused_result));
void hf_fetch_global_cleanup(void);

/* NULL, or a constant text that says which libcurl is needed, where the one that is loaded now will
 * not do. */
const char *hf_fetch_check_library(void);

/* NULL: out of memory or descriptors. */
struct hf_fetcher *hf_fetcher_create(
    const struct hf_fetch_options *options, hf_fetch_done *done, void *arg);

/* Abandons what is in flight, without calling done, and without waiting for a name server. */
void hf_fetcher_destroy(struct hf_fetcher *fetcher); /* NULL is fine */

/* 0, or -1: out of memory; done is not called for this request. */
int hf_fetcher_start(struct hf_fetcher *fetcher, const struct hf_fetch_request *request)
    __attribute__((warn_unused_result));

/* Moves all transfers on and reports those that ended; waits for something to happen for at most
 * wait_ms (HF_NEVER: no limit), or until woken. */
void hf_fetcher_run(struct hf_fetcher *fetcher, int64_t wait_ms);

/* Makes the current or the next run return early. Any thread. */
void hf_fetcher_wake(struct hf_fetcher *fetcher);

#endif

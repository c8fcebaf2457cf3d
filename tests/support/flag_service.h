/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_service.h: a flag service to test against, on libmicrohttpd, inside the test program.
 *
 *     struct hf_flag_service *service = hf_flag_service_start(NULL);
 *     hf_flag_service_set_flag(service, "telemetry", true);
 *     … connect to hf_flag_service_host(service) …
 *     CHECK(hf_flag_service_wait_requests(service, 1, 5000));
 *     CHECK_STR_EQ(hf_flag_service_request(service, 0)->path, "/api/2.0/…");
 *     hf_flag_service_stop(service);
 *
 * What it answers is a *reply*. The standing reply answers everybody, until replies are scripted:
 * these are used up first, one per request, in order. The standing reply at the start is status 200
 * with the flag document below. Everything can be changed while requests run; a request that has
 * begun keeps the reply it began with.
 *
 * The flag document has the form of Databricks' connector service:
 *     {"flags":[{"name":"telemetry","value":"true"}],"ttl_seconds":900}
 *
 * Threads: every function may be called from any thread; stop and whatever runs beside it is the
 * caller's to order. Each HTTP connection has a thread of its own, so a delayed answer delays
 * nobody else. Ownership: everything passed in is copied; everything given out belongs to the
 * service and lives until stop. Times are CLOCK_MONOTONIC milliseconds.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FLAG_SERVICE_H
#define HOSTFLAGS_TESTS_SUPPORT_FLAG_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_flag_service;

struct hf_flag_service_options {
    const char *address; /* a literal such as "127.0.0.7" or "::1"; NULL: "127.0.0.1" */
    uint16_t port; /* 0: any that is free */
    const char *cert_file, *key_file; /* PEM files (see certs.h); NULL: plain http */
    const char *client_ca_file; /* a client without a certificate that this authority signed is
                                   refused in the handshake, by an alert, before any request. In TLS
                                   1.3 it may have sent one already, and see a reset instead. NULL:
                                   not asked for */
    const char *tls_priority; /* GnuTLS' priority string, such as HF_TLS_1_1_ONLY; NULL: NORMAL */
};

/* Clients must want it badly: openssl speaks it with -cipher ALL:@SECLEVEL=0 only. */
#define HF_TLS_1_1_ONLY "NORMAL:-VERS-ALL:+VERS-TLS1.1"

/* What goes wrong with an answer, if anything. */
enum hf_fault {
    HF_FAULT_NONE = 0,
    HF_FAULT_CLOSE, /* the connection is closed without an answer */
    HF_FAULT_RESET, /* the same with a TCP reset */
    HF_FAULT_SILENCE, /* never answered; ends when the client leaves */
    HF_FAULT_DRIP, /* headers at once, then the body byte by byte, interval_ms before each */
    HF_FAULT_TRUNCATE, /* Content-Length promises the whole body, half of it is sent, closed */
    HF_FAULT_BOMB /* the body is bomb_mib MiB of spaces, gzip-compressed (1 MiB: 6.6 kB) */
};

/* All zero: 200 with the flag document as it is when the request arrives. */
struct hf_flag_reply {
    unsigned status; /* 0: 200 */
    const void *body; /* any bytes; NULL: the flag document */
    size_t body_len; /* bytes; ignored when body is NULL */
    const char *headers; /* lines "Name: value\n…", the last newline optional; NULL: none. A Date or
                            Location among them is sent as it is */
    int64_t delay_ms; /* before the answer, or before the fault */
    enum hf_fault fault;
    int64_t interval_ms; /* HF_FAULT_DRIP */
    unsigned bomb_mib; /* HF_FAULT_BOMB */
};

/* One request, logged when its header was complete. */
struct hf_flag_request {
    const char *method;
    const char *path; /* as sent: not decoded, with the query */
    const char *client; /* the client's literal address, without its port */
    int64_t time_ms;
    int64_t began_ms; /* the first of a connection: when that was accepted; others: time_ms */
    size_t header_count;
    const char **header_names, **header_values; /* in order of arrival */
};

/* options: NULL for http on 127.0.0.1 and a free port. NULL: could not start; the reason is on
 * stderr. */
struct hf_flag_service *hf_flag_service_start(const struct hf_flag_service_options *options);

/* Breaks what is in flight, whatever its delay, and frees everything. NULL is fine. */
void hf_flag_service_stop(struct hf_flag_service *service);

uint16_t hf_flag_service_port(const struct hf_flag_service *service);

/* For struct hf_upstream: "127.0.0.1:4711" or "[::1]:4711". */
const char *hf_flag_service_host(const struct hf_flag_service *service);

/* "http://127.0.0.1:4711" or "https://…". */
const char *hf_flag_service_url(const struct hf_flag_service *service);

/* The flag document. Names hold nothing that JSON would escape. */
void hf_flag_service_set_flag(struct hf_flag_service *service, const char *name, bool on);
/* json: the value as it stands in the document, "42", "null", "\"yes\"", … */
void hf_flag_service_set_flag_json(
    struct hf_flag_service *service, const char *name, const char *json);
void hf_flag_service_remove_flag(struct hf_flag_service *service, const char *name);
/* json: the value of ttl_seconds as it stands in the document, "900" at the start; NULL: leave the
 * member out. */
void hf_flag_service_set_ttl(struct hf_flag_service *service, const char *json);

/* The standing reply. NULL: as at the start. */
void hf_flag_service_set_reply(struct hf_flag_service *service, const struct hf_flag_reply *reply);
/* Replies for the next count requests, after those that are scripted already. */
void hf_flag_service_script(
    struct hf_flag_service *service, const struct hf_flag_reply *replies, size_t count);

/* Each changes one thing of the standing reply and leaves the rest. */
void hf_flag_service_set_status(struct hf_flag_service *service, unsigned status);
void hf_flag_service_set_body(struct hf_flag_service *service, const char *text); /* NULL: flags */
void hf_flag_service_set_headers(struct hf_flag_service *service, const char *headers);
void hf_flag_service_set_delay(struct hf_flag_service *service, int64_t delay_ms);
void hf_flag_service_set_fault(struct hf_flag_service *service, enum hf_fault fault);
/* Status 303 with that Location. */
void hf_flag_service_set_redirect(struct hf_flag_service *service, const char *url);

/* Conditional requests. Every 200 carries that ETag from now on (with its quotes, byte for byte),
 * and a request whose If-None-Match is the same bytes gets a 304 without a body. A 200 with a fault
 * carries it too, but is never a 304. NULL, as at the start: neither. */
void hf_flag_service_set_etag(struct hf_flag_service *service, const char *etag);
/* Whether a 304 carries the ETag too; true at the start. */
void hf_flag_service_set_etag_on_304(struct hf_flag_service *service, bool on);
/* How many requests were answered 304 for their If-None-Match, since the start. */
size_t hf_flag_service_not_modified(struct hf_flag_service *service);

/* The log. Requests are numbered from 0 since the start or the latest clear. */
size_t hf_flag_service_count(struct hf_flag_service *service);
/* NULL: no such request. Stays valid until stop, even after a clear. */
const struct hf_flag_request *hf_flag_service_request(struct hf_flag_service *service, size_t i);
/* The value of a header, by its name in any case; NULL: not sent. */
const char *hf_flag_request_header(const struct hf_flag_request *request, const char *name);
void hf_flag_service_clear_log(struct hf_flag_service *service);
/* Waits until the log has at least count requests; bounded, see wait_until.h. */
bool hf_flag_service_wait_requests(
    struct hf_flag_service *service, size_t count, int64_t timeout_ms);

/* Requests whose header has arrived and whose answer is not complete, and whose client is still
 * there (a client that leaves during a delay is noticed at once): now, and the most ever. */
size_t hf_flag_service_in_flight(struct hf_flag_service *service);
size_t hf_flag_service_max_in_flight(struct hf_flag_service *service);

#endif

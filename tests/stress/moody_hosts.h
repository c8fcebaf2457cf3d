/* SPDX-License-Identifier: PostgreSQL
 *
 * moody_hosts.h: flag services that misbehave at random, half of them over https. Part of
 * test_threads.c.
 *
 * What is true of a host never changes: flags a and d are on if and only if its number is odd. A
 * *lie* says the contrary, and is never a valid answer: its status is an error's, or it is too
 * large, cut off, or no JSON. So whoever answers a = on for an even host, or d = off for an odd one
 * (the defaults are a = off, d = on), has taken a lie, or another host's truth.
 *
 * What each host is going to send is drawn before it starts, so that verdict.h can look up what the
 * n-th request was answered.
 *
 * Threads: the main thread starts and stops them; addresses may be read by all.
 */
#ifndef HOSTFLAGS_TESTS_STRESS_MOODY_HOSTS_H
#define HOSTFLAGS_TESTS_STRESS_MOODY_HOSTS_H

#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/chance.h"

enum { HOSTS = 12, SAID_TTL_MS = 1000 /* by a service that says one */ };

FIXTURE uint64_t seed; /* of all that is drawn; each thread goes its own way from there */

/* ---- what is sent ---- */

enum mood {
    GOOD, /* the truth */
    GARBAGE, /* a 200 with a lie that is no document; a 304 where the request has an ETag */
    UNASKED_304, /* whatever was asked */
    LATER, /* 429 or 503 with Retry-After */
    BAD /* anything else */
};

struct moody_host {
    struct hf_flag_service *service;
    enum mood *moods; /* of each reply in turn */
    int64_t *retry_after_ms; /* where it is LATER */
    int64_t *ttl_ms; /* where it is GOOD: as it says; 0: it does not */
    size_t planned; /* replies; what comes after them is good */
    size_t judged; /* requests */
};

FIXTURE struct moody_host hosts[HOSTS];
FIXTURE struct hf_certs *certs;

FIXTURE bool is_odd(int host)
{
    return host % 2 == 1;
}

#define FLAGS_FORMAT \
    "{\"flags\":[{\"name\":\"a\",\"value\":\"%s\"},{\"name\":\"d\",\"value\":\"%s\"}]"

/* For the caller to free. tail: what follows the flags. */
FIXTURE char *document(bool on, const char *tail)
{
    const char *value = on ? "true" : "false";
    char *text;

    if (asprintf(&text, FLAGS_FORMAT "%s", value, value, tail) < 0)
        abort();
    return text;
}

/* More than max_response_size. */
FIXTURE const char *much(void)
{
    static char text[10000];

    if (text[0] == '\0') {
        memset(text, ' ', sizeof(text) - 1);
        text[sizeof(text) - 2] = '}';
    }
    return text;
}

/* The truth, with the TTL that holds or with none. For the caller to free. */
FIXTURE char *draw_truth(int host, int64_t *ttl_ms)
{
    static const struct {
        const char *tail;
        int64_t ttl_ms;
    } rows[] = {{"}", 0}, {",\"ttl_seconds\":1}", SAID_TTL_MS}, {",\"ttl_seconds\":-1}", 0}};
    uint32_t dice = draw(COUNT(rows));

    *ttl_ms = rows[dice].ttl_ms;
    return document(is_odd(host), rows[dice].tail);
}

/* The body is the caller's to free. */
FIXTURE enum mood draw_failure(int host, struct hf_flag_reply *reply, char **body)
{
    static const unsigned statuses[] = {201, 303, 400, 410, 500, 502, 503};
    static const char *const broken[] = {"}garbage", "", ",}", "],\"flags\":null}", "]}"};
    static const enum hf_fault faults[] = {HF_FAULT_CLOSE, HF_FAULT_RESET, HF_FAULT_SILENCE,
        HF_FAULT_TRUNCATE, HF_FAULT_DRIP, HF_FAULT_BOMB};
    uint32_t dice = draw(12);

    *body = NULL;
    if (dice < 5) {
        *body = document(!is_odd(host), dice < 4 ? broken[draw(COUNT(broken))] : much());
        return GARBAGE;
    }
    *body = document(!is_odd(host), "}");
    if (dice < 7) {
        reply->status = statuses[draw(COUNT(statuses))];
        reply->headers = draw(2) ? "ETag: \"bad\"" : NULL;
    } else {
        reply->fault = faults[draw(COUNT(faults))];
        reply->interval_ms = hf_wait_slow_ms(60); /* longer than request_timeout for all of it */
        reply->bomb_mib = 1;
    }
    return BAD;
}

FIXTURE enum mood draw_later(struct hf_flag_reply *reply, char **headers, int64_t *retry_after_ms)
{
    uint32_t seconds = 1 + draw(3);

    if (asprintf(headers, "Retry-After: %u", seconds) < 0)
        abort();
    *retry_after_ms = seconds * 1000;
    reply->status = draw(2) ? 429 : 503;
    reply->headers = *headers;
    return LATER;
}

/* Gives the number-th reply to the service, which copies it. */
FIXTURE void draw_reply(int host, size_t number)
{
    struct hf_flag_reply reply = {.delay_ms = draw(3) ? 0 : draw(300)};
    uint32_t dice = draw(100);
    char *body = NULL, *headers = NULL;
    enum mood mood = GOOD;

    if (dice < 60) {
        body = draw_truth(host, &hosts[host].ttl_ms[number]);
    } else if (dice < 65) {
        body = strdup("");
        reply.status = 304;
        mood = UNASKED_304;
    } else if (dice < 75) {
        body = document(!is_odd(host), "}");
        mood = draw_later(&reply, &headers, &hosts[host].retry_after_ms[number]);
    } else {
        mood = draw_failure(host, &reply, &body);
    }
    reply.body = body;
    reply.body_len = strlen(body);
    hosts[host].moods[number] = mood;
    hf_flag_service_script(hosts[host].service, &reply, 1);
    free(body);
    free(headers);
}

/* ---- hosts ---- */

FIXTURE bool is_tls(int host)
{
    return host % 4 >= 2;
}

/* The others' garbage also comes to those who have values. */
FIXTURE bool has_etag(int host)
{
    return host % 4 == 1 || host % 4 == 2;
}

FIXTURE const char *url_of(int host)
{
    return hf_flag_service_url(hosts[host].service);
}

FIXTURE uint16_t port_of(int host)
{
    return hf_flag_service_port(hosts[host].service);
}

FIXTURE void start_host(int host, size_t planned)
{
    struct hf_flag_service_options options = {.address = NULL};
    struct moody_host *one = &hosts[host];

    if (is_tls(host)) {
        options.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD);
        options.key_file = hf_certs_key_file(certs);
    }
    one->service = hf_flag_service_start(&options);
    one->planned = planned;
    one->moods = calloc(planned, sizeof(*one->moods));
    one->retry_after_ms = calloc(planned, sizeof(*one->retry_after_ms));
    one->ttl_ms = calloc(planned, sizeof(*one->ttl_ms));
    if (!one->service || !one->moods || !one->retry_after_ms || !one->ttl_ms)
        abort();
    hf_flag_service_set_flag(one->service, "a", is_odd(host));
    hf_flag_service_set_flag(one->service, "d", is_odd(host));
    hf_flag_service_set_ttl(one->service, "1");
    if (has_etag(host))
        hf_flag_service_set_etag(one->service, "\"x\"");
    for (size_t i = 0; i < planned; i++)
        draw_reply(host, i);
}

FIXTURE void start_hosts(size_t planned)
{
    certs = hf_certs_create();
    if (!certs)
        abort();
    for (int host = 0; host < HOSTS; host++)
        start_host(host, planned);
}

FIXTURE void stop_hosts(void)
{
    for (int host = 0; host < HOSTS; host++) {
        hf_flag_service_stop(hosts[host].service);
        free(hosts[host].moods);
        free(hosts[host].retry_after_ms);
        free(hosts[host].ttl_ms);
    }
    hf_certs_destroy(certs);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * verdict.h: whether each host was asked only when it had to be. Part of test_threads.c.
 *
 * From what a request was answered follows when the next one may come without an excuse:
 *
 *     after a good answer, or a 304 to an ETag   0.8 TTL later: that which the values came with, or
 *                                                else that of the settings when they came
 *     after Retry-After                          when that time is over
 *     after any other failure                    2.5 s later, the shortest backoff
 *     after a 304 to no ETag                     at once; the second one in a row is a failure
 *
 * One that comes sooner is excused by an event, which must lie between the two (the first of them
 * counts from when its connection began, since a TLS handshake takes its time, and else from when
 * it had arrived):
 *
 *     another life of the cache                  excuses all: everything is forgotten
 *     a refresh() that said HF_OK                all but Retry-After
 *     a connection where nobody held the host    what follows a good answer: that may be forgotten,
 *                                                or was asked for by the life of the host before
 *     a reload while the first of the two was under way   Retry-After: it was never heard
 *
 * So a host is asked no more often than 1 + time / (0.8 TTL) + such events, and while it fails no
 * more often than 1 + time / 2.5 s + lives + refreshes.
 *
 * Threads: events are added by all, the rest is the main thread's, while the others rest.
 */
#ifndef HOSTFLAGS_TESTS_STRESS_VERDICT_H
#define HOSTFLAGS_TESTS_STRESS_VERDICT_H

#include <pthread.h>

#include "tests/stress/moody_hosts.h"

enum { ALL_HOSTS = -1 };
enum { AFTER_BAD_MS = 2500, DELAY_MOST_MS = 300 };
enum { CLOCK_MS = 20 }; /* connections are made by a clock as coarse as the kernel's tick */

enum { LATE_MS = 1000 }; /* from when an answer should be sent until it is understood, at most */
enum { PRINTED = 3 }; /* of each host's requests without an excuse */

/* ---- events ---- */

enum cause { LIFE, REFRESH, MADE, RELOAD, NO_EXCUSE, CAUSES };

struct event {
    enum cause cause;
    int host; /* or ALL_HOSTS */
    int64_t from_ms, to_ms;
    int64_t ttl_ms; /* of the settings from then on; 0: as before */
};

FIXTURE pthread_mutex_t events_mutex = PTHREAD_MUTEX_INITIALIZER;
FIXTURE struct event *events;
FIXTURE size_t event_count, event_room;

/* ttl_ms: of the settings that came with it; 0: none did. It ends now. */
FIXTURE void add_settings_event(enum cause cause, int host, int64_t from_ms, int64_t ttl_ms)
{
    pthread_mutex_lock(&events_mutex);
    if (event_count == event_room) {
        event_room = event_room ? 2 * event_room : 1024;
        events = realloc(events, event_room * sizeof(*events));
        if (!events)
            abort();
    }
    events[event_count++] = (struct event){cause, host, from_ms, hf_wait_now_ms(), ttl_ms};
    pthread_mutex_unlock(&events_mutex);
}

FIXTURE void add_event(enum cause cause, int host, int64_t from_ms)
{
    add_settings_event(cause, host, from_ms, 0);
}

/* One that began before to_ms and ended after from_ms. */
FIXTURE bool has_event(enum cause cause, int host, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < event_count; i++) {
        const struct event *event = &events[i];
        if (event->cause == cause && (event->host == ALL_HOSTS || event->host == host) &&
            event->from_ms <= to_ms + CLOCK_MS && event->to_ms >= from_ms - CLOCK_MS)
            return true;
    }
    return false;
}

/* The shortest of the settings' that held at some time between the two. One thread changes
 * settings, so these events are in the order of time. */
FIXTURE int64_t shortest_ttl_ms(int64_t from_ms, int64_t to_ms)
{
    int64_t shortest_ms = INT64_MAX;

    for (size_t i = 0; i < event_count; i++) {
        if (events[i].ttl_ms == 0 || events[i].from_ms > to_ms)
            continue;
        if (events[i].to_ms < from_ms || events[i].ttl_ms < shortest_ms)
            shortest_ms = events[i].ttl_ms;
    }
    return shortest_ms;
}

/* ---- what the n-th request was answered ---- */

FIXTURE int64_t time_of(int host, size_t number)
{
    return hf_flag_service_request(hosts[host].service, number)->time_ms;
}

FIXTURE bool asks_by_etag(int host, size_t number)
{
    const struct hf_flag_request *request = hf_flag_service_request(hosts[host].service, number);

    return hf_flag_request_header(request, "If-None-Match") != NULL;
}

FIXTURE enum mood mood_of(int host, size_t number)
{
    enum mood mood = number < hosts[host].planned ? hosts[host].moods[number] : GOOD;

    return asks_by_etag(host, number) && (mood == GARBAGE || mood == UNASKED_304) ? GOOD : mood;
}

/* The one that brought the values which are confirmed by that good answer: a 304 has none. */
FIXTURE size_t source_of(int host, size_t number)
{
    while (number > 0 && (mood_of(host, number) != GOOD || asks_by_etag(host, number)))
        number--;
    return number;
}

/* Of what a good answer brought or confirmed. */
FIXTURE int64_t ttl_after_ms(int host, size_t number)
{
    size_t source = source_of(host, number);
    int64_t said_ms = source < hosts[host].planned ? hosts[host].ttl_ms[source] : SAID_TTL_MS;
    int64_t from_ms = time_of(host, source);

    return said_ms != 0 ? said_ms
                        : shortest_ttl_ms(from_ms - CLOCK_MS, from_ms + DELAY_MOST_MS + LATE_MS);
}

FIXTURE bool is_second_304(int host, size_t number)
{
    return number > 0 && mood_of(host, number - 1) == UNASKED_304 &&
        time_of(host, number) - time_of(host, number - 1) < AFTER_BAD_MS;
}

/* How long after it the next one may come. */
FIXTURE int64_t pause_after_ms(int host, size_t number)
{
    switch (mood_of(host, number)) {
    case GOOD:
        return ttl_after_ms(host, number) * 8 / 10;
    case UNASKED_304:
        return is_second_304(host, number) ? AFTER_BAD_MS : 0;
    case LATER:
        return hosts[host].retry_after_ms[number];
    case GARBAGE:
    case BAD:
        break;
    }
    return AFTER_BAD_MS;
}

/* ---- judging ---- */

FIXTURE struct judged {
    size_t requests, early[CAUSES];
} judged[HOSTS];

FIXTURE enum cause excuse_of(int host, size_t number)
{
    int64_t began_ms = hf_flag_service_request(hosts[host].service, number)->began_ms;
    int64_t from_ms = time_of(host, number), to_ms = time_of(host, number + 1);
    enum mood mood = mood_of(host, number);

    if (has_event(LIFE, host, began_ms, to_ms))
        return LIFE;
    if (mood != LATER && has_event(REFRESH, host, from_ms, to_ms))
        return REFRESH;
    if (mood == GOOD && has_event(MADE, host, began_ms, to_ms))
        return MADE;
    if (mood == LATER && has_event(RELOAD, host, from_ms, from_ms + DELAY_MOST_MS + LATE_MS))
        return RELOAD;
    return NO_EXCUSE;
}

enum { NEAR_MS = 2000 };

/* What happened before and between them: to tell a fault of the plugin from one of this file. */
FIXTURE void print_events(int host, size_t number)
{
    static const char *const names[] = {[LIFE] = "another life",
        [REFRESH] = "refresh()",
        [MADE] = "made anew",
        [RELOAD] = "reload"};
    int64_t from_ms = time_of(host, number), to_ms = time_of(host, number + 1);

    for (size_t i = 0; i < event_count; i++) {
        const struct event *event = &events[i];
        if ((event->host == ALL_HOSTS || event->host == host) && event->from_ms <= to_ms &&
            event->to_ms >= from_ms - NEAR_MS)
            printf("          %s from %lld to %lld ms after the first of them\n",
                names[event->cause], (long long)(event->from_ms - from_ms),
                (long long)(event->to_ms - from_ms));
    }
}

/* The request after that number. */
FIXTURE void judge_next(int host, size_t number)
{
    static const char *const answers[] = {[GOOD] = "a good answer",
        [GARBAGE] = "garbage",
        [UNASKED_304] = "a second 304 that answers nothing",
        [LATER] = "Retry-After",
        [BAD] = "a failure"};
    int64_t gap_ms = time_of(host, number + 1) - time_of(host, number);
    int64_t pause_ms = pause_after_ms(host, number);
    enum cause cause;

    if (gap_ms + CLOCK_MS >= pause_ms)
        return;
    cause = excuse_of(host, number);
    judged[host].early[cause]++;
    if (cause != NO_EXCUSE || judged[host].early[cause] > PRINTED)
        return;
    printf("        host %d (%s): request %zu came %lld ms after one that got %s, and without an "
           "excuse not before %lld ms\n",
        host, url_of(host), number + 1, (long long)gap_ms, answers[mood_of(host, number)],
        (long long)pause_ms);
    print_events(host, number);
}

/* False: some request had no excuse. */
FIXTURE bool judge(int host)
{
    size_t count = hf_flag_service_count(hosts[host].service);

    for (size_t i = hosts[host].judged; i + 1 < count; i++) {
        judge_next(host, i);
        hosts[host].judged = i + 1;
    }
    judged[host].requests = count;
    return judged[host].early[NO_EXCUSE] == 0;
}

FIXTURE void print_judged(void)
{
    for (int host = 0; host < HOSTS; host++) {
        const struct judged *one = &judged[host];
        printf("        host %2d %-5s %4zu requests, early: %zu in another life, %zu by refresh(), "
               "%zu made anew, %zu by reload, %zu without excuse\n",
            host, is_tls(host) ? "https" : "http", one->requests, one->early[LIFE],
            one->early[REFRESH], one->early[MADE], one->early[RELOAD], one->early[NO_EXCUSE]);
    }
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * demo.c: the whole of hostflags at work, on loopback, in under a minute. Part one, with 20 hosts
 * and 1,000 clients, in acts, each of which waits until what it is about was really observed, and
 * fails otherwise:
 *
 *     arrive    one request per host, 1,000 references, flags on
 *     use       sessions end, each with a telemetry line
 *     flip      one service switches the flag off; the sessions of that host leave no line any more
 *     fail      all services answer 503: values stay (stale), few requests, bytes still flow
 *     recover   values are fresh again
 *     leave     connections close, references go to 0, hosts leave
 *
 * Part two: processes.c.
 */
#include "tests/demo/processes.h"
#include "tests/demo/stage.h"

#include <stdio.h>
#include <string.h>

#define FLIPPED 2 /* the host whose flag is switched off: 127.0.0.3 */
#define TTL "4"
#define LINGER "2s"

/* ---- what is awaited ---- */

static bool flipped_is_off(void)
{
    const struct cache_row *row = cache_view_find(&stage.view, stage.addresses[FLIPPED]);

    return row != NULL && !row->enabled;
}

static bool all_stale(void)
{
    return cache_view_count_state(&stage.view, "stale") == HOSTS;
}

static bool all_fresh(void)
{
    return cache_view_count_state(&stage.view, "fresh") == HOSTS;
}

static bool all_left(void)
{
    return stage.view.count == 0;
}

static int64_t hold_until_ms;

static bool held(void)
{
    return hf_wait_now_ms() >= hold_until_ms;
}

/* ---- the acts ---- */

static void act_arrive(void)
{
    screen_act(&stage.screen, "%d connections arrive at %d hosts", CONNECTIONS, HOSTS);
    stage_start_load();
    stage_check_bytes("arrival", 0);
    await(all_connected, "1,000 references");
    await(all_on_and_fresh, "every host's flag, from its own service: on");
    if (services_asked() > 2 * HOSTS)
        give_up("%zu requests for %d hosts", services_asked(), HOSTS);
    screen_note(&stage.screen, "%zu requests for %d connections", services_asked(), CONNECTIONS);
}

static void act_use(void)
{
    screen_act(&stage.screen, "sessions end: where the flag is on, each leaves a telemetry line");
    stage_close_sessions(100);
    await(lines_for_all_closed, "100 sessions ended, 100 telemetry lines");
}

static void act_flip(void)
{
    size_t lines, flipped_lines;
    char upstream[32];

    screen_act(&stage.screen, "the service of %s switches the flag off", stage.addresses[FLIPPED]);
    snprintf(upstream, sizeof(upstream), "\"warehouse%d\"", FLIPPED + 1);
    hf_flag_service_set_flag(stage.services[FLIPPED], FLAG, false);
    await(flipped_is_off, "the table shows it off at 127.0.0.3, with the next refresh");
    lines = stage.telemetry_lines;
    flipped_lines = count_lines(upstream);
    stage_close_sessions(2 * HOSTS); /* two of each host */
    if (!HF_WAIT_UNTIL(count_lines("\"upstream\"") == lines + 2 * (HOSTS - 1), BOUND_MS))
        give_up("%d sessions with the flag on ended, but %zu telemetry lines came", 2 * (HOSTS - 1),
            count_lines("\"upstream\"") - lines);
    if (count_lines(upstream) != flipped_lines)
        give_up("a session of 127.0.0.3 left a telemetry line though its flag is off");
    screen_note(&stage.screen,
        "two sessions of each host ended: %d lines, none of them of 127.0.0.3", 2 * (HOSTS - 1));
    look(true);
}

static void act_fail(void)
{
    size_t asked = services_asked();
    int on = 0;

    screen_act(&stage.screen, "every flag service fails: 503");
    for (int i = 0; i < HOSTS; i++)
        hf_flag_service_set_status(stage.services[i], 503);
    await(all_stale, "all values are past their TTL: stale, and still answered");
    hold_until_ms = hf_wait_now_ms() + 3000;
    await(held, "three more seconds of outage");
    for (int i = 0; i < stage.view.count; i++)
        on += stage.view.rows[i].enabled;
    if (on != HOSTS - 1)
        give_up("%d hosts are on, expected %d: an outage changed an answer", on, HOSTS - 1);
    if (services_asked() - asked > 3 * HOSTS)
        give_up("%zu requests during the outage", services_asked() - asked);
    screen_note(&stage.screen, "answers stay: %d on, 1 off; %zu requests of %d hosts in the outage",
        on, services_asked() - asked, HOSTS);
    hf_load_send_round(stage.load);
    stage_check_bytes("during the outage", 0);
}

static void act_recover(void)
{
    screen_act(&stage.screen, "the services are back");
    for (int i = 0; i < HOSTS; i++)
        hf_flag_service_set_status(stage.services[i], 200);
    await(all_fresh, "all hosts fresh again, each after its own backoff");
}

static void act_leave(void)
{
    screen_act(&stage.screen, "connections close, hosts leave after " LINGER);
    stage_close_sessions(SIZE_MAX);
    await(all_left, "no connection, no entry");
    stage_end_proxy();
}

static void play_one_process(void)
{
    stage_open(&(struct stage_options){.hosts = HOSTS,
        .ttl = TTL,
        .proxy_lines = "",
        .plugin_lines = "ttl_min = 1s\nlinger = " LINGER "\n"});
    act_arrive();
    act_use();
    act_flip();
    act_fail();
    act_recover();
    act_leave();
    printf("\n%d connections, %zu reads, %zu requests; one cache per connection would have made "
           "%lld.\n",
        CONNECTIONS, stage.closed, services_asked(), (long long)stage.requests_alone);
    fflush(stdout);
    stage_close();
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    play_one_process();
    printf("\n");
    play_processes();
    return 0;
}

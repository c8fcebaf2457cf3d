/* SPDX-License-Identifier: PostgreSQL
 *
 * processes.c: 1,000 clients at a proxy of four processes with one cache. Acts:
 *
 *     arrive    20 hosts, 20 requests
 *     kill      the process that refreshes is killed: its references come back, another takes over
 *     go on     a host that nobody has asked yet is asked, by the one that took over
 *     leave     all processes end
 */
#include "tests/demo/processes.h"

#include "tests/demo/stage.h"

#include <signal.h>
#include <stdio.h>

#define NEW_HOST HOSTS /* the upstream after those that the clients go to */

static int64_t killed_ms, took_over_ms;
static int64_t references_lost;

static bool four_have_joined(void)
{
    return stage.view.processes == 4 && stage.view.refresher_pid > 0;
}

static bool another_refreshes(void)
{
    if (stage.view.take_overs == 0)
        return false;
    if (took_over_ms == 0)
        took_over_ms = hf_wait_now_ms();
    return true;
}

static bool references_are_back(void)
{
    return stage.view.returned > 0 && stage.view.references + stage.view.returned == CONNECTIONS;
}

static bool new_host_is_on(void)
{
    const struct cache_row *row = cache_view_find(&stage.view, stage.addresses[NEW_HOST]);

    return row != NULL && row->enabled;
}

static void act_arrive(void)
{
    screen_act(&stage.screen, "%d connections arrive at 4 processes with one cache", CONNECTIONS);
    stage_start_load();
    stage_check_bytes("arrival", 0);
    await(all_connected, "1,000 references, of all four processes");
    await(all_on_and_fresh, "every host's flag, from its own service: on");
    await(four_have_joined, "4 processes share the cache, and one of them refreshes");
    if (services_asked() != HOSTS)
        give_up("%zu requests for %d hosts, expected one for each", services_asked(), HOSTS);
    screen_note(&stage.screen, "%d requests for %d connections in 4 processes", HOSTS, CONNECTIONS);
}

static void act_kill(void)
{
    screen_act(&stage.screen, "the process that refreshes is killed");
    killed_ms = hf_wait_now_ms();
    kill((pid_t)stage.view.refresher_pid, SIGKILL);
    await(another_refreshes, "another process refreshes");
    await(references_are_back, "the references of the dead are gone, those of the living stay");
    references_lost = stage.view.returned;
    hf_load_send_round(stage.load);
    stage_check_bytes("afterwards", (size_t)references_lost);
    if (!all_on_and_fresh() || services_asked() != HOSTS)
        give_up("the death changed an answer, or made a request");
    screen_note(&stage.screen, "%lld clients lost their process; all answers stand, no request",
        (long long)references_lost);
}

static void act_go_on(void)
{
    struct hf_load *client;

    screen_act(&stage.screen, "a client of a host that nobody has asked yet");
    client = stage_start_client(NEW_HOST);
    await(new_host_is_on, "asked, and on: by one request");
    hf_load_stop(client);
    if (services_asked() != HOSTS + 1)
        give_up("%zu requests for %d hosts", services_asked(), HOSTS + 1);
}

static void act_leave(void)
{
    screen_act(&stage.screen, "the proxy ends");
    stage_close_sessions(SIZE_MAX);
    stage_end_proxy();
}

void play_processes(void)
{
    stage_open(&(struct stage_options){.hosts = HOSTS + 1,
        .ttl = "900",
        .proxy_lines = "processes = 4\n",
        .plugin_lines = "share = on\n"});
    act_arrive();
    act_kill();
    act_go_on();
    act_leave();
    printf("\n4 processes, %d connections, %d requests; the process that refreshed was killed, and "
           "another did so after %.1f s.\n",
        CONNECTIONS, HOSTS, (double)(took_over_ms - killed_ms) / 1000);
    fflush(stdout);
    stage_close();
}

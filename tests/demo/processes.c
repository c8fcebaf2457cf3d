/* SPDX-License-Identifier: PostgreSQL
 *
 * processes.c: 1,000 clients at a proxy of four processes with one cache. Acts:
 *
 *     arrive    20 hosts, 20 requests
 *     kill      the process that refreshes is killed: its references come back, another takes over
 *     return    the clients it had come again, also to the process that was started in its place
 *     go on     a flag is switched off, and seen: the one that took over refreshes
 *     leave     sessions end, each with a telemetry line; all processes end
 *
 * The 20 hosts have so long a TTL that none of them is asked a second time. What shows refreshes is
 * one more host, with a short one.
 */
#include "tests/demo/processes.h"

#include "tests/demo/stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES 4
#define STARTED " of 4 is pid " /* in the proxy's log, for each process */
#define NEW_HOST HOSTS /* the upstream after those that the clients go to */

static pid_t refresher; /* as it was seen last */
static pid_t killed;
static int64_t killed_ms, took_over_ms;
static struct hf_load *returned;

/* ---- what is awaited ---- */

static bool four_have_joined(void)
{
    refresher = (pid_t)stage.view.refresher_pid;
    return stage.view.processes == PROCESSES && refresher > 0;
}

static bool another_refreshes(void)
{
    pid_t pid = (pid_t)stage.view.refresher_pid;

    if (stage.view.take_overs != 1 || pid <= 0 || pid == killed)
        return false;
    if (took_over_ms == 0)
        took_over_ms = hf_wait_now_ms();
    return true;
}

static bool references_are_back(void)
{
    return stage.view.returned > 0 && stage.view.references + stage.view.returned == CONNECTIONS;
}

static bool started_in_its_place(void)
{
    return hf_process_count(stage.proxy, HF_STDERR, " accepts clients") == PROCESSES + 1;
}

static const struct cache_row *new_host(void)
{
    return cache_view_find(&stage.view, stage.addresses[NEW_HOST]);
}

static bool new_host_is_on(void)
{
    return new_host() != NULL && new_host()->enabled;
}

static bool new_host_is_off(void)
{
    return new_host() != NULL && new_host()->requests > 1 && !new_host()->enabled;
}

/* ---- what must hold ---- */

/* The hosts that the clients go to were asked once each, in all. */
static void check_requests(const char *when)
{
    size_t asked = services_asked() - hf_flag_service_count(stage.services[NEW_HOST]);

    if (asked != HOSTS)
        give_up("%s: %zu requests for %d hosts, expected one for each", when, asked, HOSTS);
}

/* Whatever has that pid now, it is not one of the proxy's processes. */
static bool has_ended(long pid)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fgets(name, sizeof(name), file) == NULL)
        name[0] = '\0';
    fclose(file);
    return strcmp(name, "hostflags-host\n") != 0;
}

static void check_all_ended(void)
{
    char *log = hf_process_output(stage.proxy, HF_STDERR);
    int started = 0;

    for (char *at = log; at != NULL && (at = strstr(at, STARTED)) != NULL; started++) {
        at += strlen(STARTED);
        if (!has_ended(strtol(at, NULL, 10)))
            give_up("the process with pid %ld did not end", strtol(at, NULL, 10));
    }
    free(log);
    if (started != PROCESSES + 1)
        give_up("%d processes were started, expected %d", started, PROCESSES + 1);
}

/* ---- the acts ---- */

static void act_arrive(void)
{
    screen_act(&stage.screen, "%d connections arrive at %d processes with one cache", CONNECTIONS,
        PROCESSES);
    stage_start_load();
    stage_check_bytes("arrival", 0);
    await(all_connected, "1,000 references, of all four processes");
    await(all_on_and_fresh, "every host's flag, from its own service: on");
    await(four_have_joined, "4 processes share the cache, and one of them refreshes");
    check_requests("arrival");
    screen_note(&stage.screen, "%d requests for %d connections in %d processes", HOSTS, CONNECTIONS,
        PROCESSES);
}

static void act_kill(void)
{
    screen_act(&stage.screen, "the process that refreshes is killed");
    killed = refresher;
    killed_ms = hf_wait_now_ms();
    kill(killed, SIGKILL);
    await(another_refreshes, "another process refreshes");
    await(references_are_back, "the references of the dead are gone, those of the living stay");
    hf_load_send_round(stage.load);
    stage_check_bytes("afterwards", (size_t)stage.view.returned);
    if (!all_on_and_fresh())
        give_up("the death changed an answer");
    check_requests("the death");
    screen_note(&stage.screen, "%lld clients lost their process; all answers stand, no request",
        (long long)stage.view.returned);
}

static void act_return(void)
{
    int64_t lost = stage.view.returned;

    screen_act(&stage.screen, "the clients of the dead process come again");
    await(started_in_its_place, "a process was started in its place");
    returned = stage_add_clients(0, HOSTS, (size_t)lost);
    await(all_connected, "1,000 references again");
    await(four_have_joined, "4 processes share the cache again");
    if (!all_on_and_fresh() || stage.view.take_overs != 1 || stage.view.returned != lost)
        give_up("the return changed an answer, or somebody else died");
    check_requests("the return");
    screen_note(&stage.screen, "%lld clients are back, and no request was made", (long long)lost);
}

static void act_go_on(void)
{
    struct hf_load *client;

    screen_act(&stage.screen, "one more host, %s, with a TTL of 2 s", stage.addresses[NEW_HOST]);
    hf_flag_service_set_ttl(stage.services[NEW_HOST], "2");
    client = stage_add_clients(NEW_HOST, 1, 1);
    await(new_host_is_on, "the process that took over asked it: on");
    hf_flag_service_set_flag(stage.services[NEW_HOST], FLAG, false);
    await(new_host_is_off, "its service switched the flag off: seen with the next refresh");
    check_requests("the refreshes of another host");
    hf_load_stop(client);
}

static void act_leave(void)
{
    screen_act(&stage.screen, "sessions end, and the proxy");
    stage_close_sessions(SIZE_MAX);
    stage.closed += hf_load_close_first(returned, SIZE_MAX);
    await(lines_for_all_closed, "1,000 sessions ended, 1,000 telemetry lines: all had it on");
    hf_load_stop(returned);
    stage_end_proxy();
    check_all_ended();
    screen_note(&stage.screen, "none of its processes is left");
    screen_draw(&stage.screen, &stage.view, services_asked(), stage.telemetry_lines, false);
}

void play_processes(void)
{
    stage_open(&(struct stage_options){.hosts = HOSTS + 1,
        .ttl = "900",
        .proxy_lines = "processes = 4\n",
        .plugin_lines = "share = on\nttl_min = 1s\n"});
    act_arrive();
    act_kill();
    act_return();
    act_go_on();
    act_leave();
    printf("\n%d processes, %d connections, %d requests; the refresher was killed, another "
           "took over after %.1f s.\n",
        PROCESSES, CONNECTIONS, HOSTS, (double)(took_over_ms - killed_ms) / 1000);
    fflush(stdout);
    stage_close();
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * load.h: what the processes that share a cache do while they are killed, and what they tell about
 * it on a board that all can see. Part of test_kills.c.
 *
 * Numbers that make up a bound are raised before the call that they stand for, and taken back when
 * it turns out not to count: who is killed in the middle leaves it counted, never forgotten. What a
 * process holds is the other way round: raised after on_connect, taken back before on_disconnect.
 * So nothing is said to be held that is not.
 */
#ifndef HOSTFLAGS_TESTS_STRESS_LOAD_H
#define HOSTFLAGS_TESTS_STRESS_LOAD_H

#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "tests/integration/cache_fixture.h"
#include "tests/stress/phases.h"
#include "tests/support/chance.h"

enum { HOSTS = 8, CHILDREN = 6, HELD_MOST = 100, MAX_CONNECTIONS = 20000 };
enum { TTL_MS = 2000, EARLY_MS = TTL_MS * 8 / 10, LINGER_MS = 300, BUSY_MS = 100 };
enum { REST_MS = 4000 }; /* enough for the dead's references to return, and for the linger */

#define SETTINGS \
    "flags = a, b\nallow_http = loopback\nshare = on\nttl = 2s\nttl_min = 100ms\n" \
    "linger = 300ms\nmax_hosts = 8\nmax_connections = 20000\n"

/* One per child, written by it alone while it lives. */
struct ledger {
    _Atomic int held[HOSTS];
    _Atomic int unread; /* HOLD: how many of its handles do not answer as their service does */
    _Atomic enum phase reached;
};

FIXTURE struct board {
    _Atomic uint16_t ports[HOSTS];
    _Atomic uint64_t asked[HOSTS]; /* as the services count */
    _Atomic uint64_t early[HOSTS]; /* of these: sooner than 0.8 TTL after the one before */
    _Atomic uint64_t made[HOSTS]; /* connections that may have made the host anew */
    _Atomic int64_t made_ms[HOSTS]; /* when the latest of these began */
    _Atomic uint64_t refreshes[HOSTS]; /* that said HF_OK */
    _Atomic uint64_t reloads, leaves;
    _Atomic enum phase phase;
    struct ledger ledgers[CHILDREN];
} * board;

/* ---- what all know ---- */

FIXTURE const char *url_of(int host)
{
    static char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", (unsigned)board->ports[host]);
    return url;
}

FIXTURE int64_t held(int host)
{
    int64_t sum = 0;

    for (int i = 0; i < CHILDREN; i++)
        sum += board->ledgers[i].held[host];
    return sum;
}

/* ---- a child ---- */

struct holder {
    struct ledger *ledger;
    hf_conn conns[HELD_MOST];
    int hosts[HELD_MOST];
    int count;
};

/* Whether the host cannot have left within half its linger from now on: somebody holds it, or it
 * was made less than half its linger ago, and that is counted already. Where it leaves sooner since
 * its values are older than their TTL, the request for the new ones is none that is early. */
FIXTURE bool is_there(int host, int64_t now)
{
    int64_t made_ms = board->made_ms[host];

    return held(host) > 0 || (now >= made_ms && now - made_ms < LINGER_MS / 2);
}

FIXTURE hf_conn connect_counted(int host)
{
    int64_t began_ms = hf_wait_now_ms();
    bool there;
    hf_conn conn;

    board->made[host]++;
    there = is_there(host, began_ms);
    if (!there)
        board->made_ms[host] = began_ms;
    conn = hf_test_connect(plugin, url_of(host));
    if (there && hf_wait_now_ms() - began_ms < LINGER_MS / 2)
        board->made[host]--;
    return conn;
}

FIXTURE void connect_one(struct holder *holder)
{
    int host = (int)draw(HOSTS);
    hf_conn conn;

    if (holder->count == HELD_MOST || host == resting_host(HOSTS, REST_MS))
        return;
    conn = connect_counted(host);
    if (conn == HF_NO_CONN)
        return;
    holder->conns[holder->count] = conn;
    holder->hosts[holder->count++] = host;
    holder->ledger->held[host]++;
}

FIXTURE void disconnect_one(struct holder *holder, int which)
{
    holder->ledger->held[holder->hosts[which]]--;
    plugin->on_disconnect(holder->conns[which]);
    holder->count--;
    holder->conns[which] = holder->conns[holder->count];
    holder->hosts[which] = holder->hosts[holder->count];
}

/* host: that host's alone; -1: all. */
FIXTURE void let_go(struct holder *holder, int host)
{
    for (int i = holder->count - 1; i >= 0; i--) {
        if (host < 0 || holder->hosts[i] == host)
            disconnect_one(holder, i);
    }
}

FIXTURE int count_unread(const struct holder *holder)
{
    int unread = 0;

    for (int i = 0; i < holder->count; i++)
        unread += plugin->is_enabled(holder->conns[i], A) != 1;
    return unread;
}

FIXTURE void refresh_one(void)
{
    int host = (int)draw(HOSTS);

    board->refreshes[host]++;
    if (plugin->refresh(url_of(host)) != HF_OK)
        board->refreshes[host]--;
}

FIXTURE void reload(void)
{
    board->reloads++;
    if (hf_test_reload(plugin, SETTINGS) != HF_OK)
        _exit(2);
}

FIXTURE _Noreturn void leave(void)
{
    board->leaves++;
    plugin->fini();
    _exit(0);
}

FIXTURE void act_once(struct holder *holder)
{
    uint32_t dice = draw(10000);

    if (dice < 4500)
        connect_one(holder);
    else if (dice < 8500 && holder->count > 0)
        disconnect_one(holder, (int)draw((uint32_t)holder->count));
    else if (dice < 9990 && holder->count > 0)
        (void)plugin->is_enabled(holder->conns[draw((uint32_t)holder->count)], A);
    else if (dice == 9990 && draw(40) == 0)
        refresh_one();
    else if (dice == 9996 && draw(10) == 0)
        reload();
    else if (dice == 9997)
        free(hf_test_status(plugin, HF_STATUS_JSON));
    else if (dice == 9998 && draw(4) == 0)
        leave();
}

/* Once, and forgets the handles. */
FIXTURE void fill(struct ledger *ledger)
{
    if (ledger != board->ledgers || ledger->reached == FILL)
        return;
    while (hf_test_connect(plugin, url_of(0)) != HF_NO_CONN)
        ledger->held[0]++;
}

FIXTURE void take_part(struct holder *holder, enum phase phase)
{
    switch (phase) {
    case LOAD:
        let_go(holder, resting_host(HOSTS, REST_MS));
        for (int i = 0; i < 50 && board->phase == LOAD; i++)
            act_once(holder);
        break;
    case HOLD:
        holder->ledger->unread = count_unread(holder);
        break;
    case LET_GO:
    case GO_HOME:
        let_go(holder, -1);
        break;
    case FILL:
        fill(holder->ledger);
        break;
    }
    holder->ledger->reached = phase;
}

FIXTURE _Noreturn void be_child(int number, uint64_t seed)
{
    struct holder holder = {.ledger = &board->ledgers[number]};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    random_state = seed;
    for (;;) {
        take_part(&holder, board->phase);
        hf_wait_nap(INT64_MAX);
    }
}

/* ---- the services ---- */

FIXTURE int64_t arrival_ms(struct hf_flag_service *of, size_t number)
{
    return hf_flag_service_request(of, number)->time_ms;
}

FIXTURE void count_requests(struct hf_flag_service *of, int host)
{
    size_t count = hf_flag_service_count(of);

    for (size_t i = board->asked[host]; i < count; i++) {
        if (i > 0 && arrival_ms(of, i) - arrival_ms(of, i - 1) < EARLY_MS)
            board->early[host]++;
    }
    board->asked[host] = count;
}

FIXTURE _Noreturn void be_services(void)
{
    struct hf_flag_service *all[HOSTS];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < HOSTS; i++) {
        all[i] = hf_flag_service_start(NULL);
        if (all[i] == NULL)
            _exit(1);
        hf_flag_service_set_flag(all[i], "a", true);
        hf_flag_service_set_ttl(all[i], NULL);
        hf_flag_service_set_delay(all[i], BUSY_MS);
        board->ports[i] = hf_flag_service_port(all[i]);
    }
    while (hf_wait_nap(INT64_MAX)) {
        for (int i = 0; i < HOSTS; i++)
            count_requests(all[i], i);
    }
    _exit(0);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * crew.h: the threads that call the plugin, all of its functions but init, reload and fini, in
 * random order, with handles that are held, given back, of an earlier life, or made up. Part of
 * test_threads.c.
 *
 * A life of the cache has an even number, and an odd one stands for the time between two: what a
 * call says is judged only if the life was the same before and after it. Handles of an earlier life
 * are forgotten by whoever notices; one that was made while lives changed is given back at once, so
 * it counts in none.
 *
 * What a member holds is raised after on_connect and taken back before on_disconnect: nothing is
 * said to be held that is not.
 */
#ifndef HOSTFLAGS_TESTS_STRESS_CREW_H
#define HOSTFLAGS_TESTS_STRESS_CREW_H

#include <stdatomic.h>

#include "tests/stress/phases.h"
#include "tests/stress/verdict.h"

enum { MEMBERS = 6, HELD_MOST = 60, STALE_MOST = 32, OPS_AT_ONCE = 50 };
enum { D = 2, FLAGS = 3 }; /* a and b are in cache_fixture.h */
enum { LINGER_MS = 300, REST_MS = 450, LIES_PRINTED = 5 };

struct member {
    pthread_t thread;
    uint64_t seed;
    _Atomic unsigned life; /* that the handles are of */
    _Atomic int held[HOSTS];
    _Atomic int unread; /* HOLD: how many of the handles do not answer as their service does */
    _Atomic enum phase reached;
    hf_conn conns[HELD_MOST], stale[STALE_MOST];
    int hosts[HELD_MOST], count;
    uint32_t stale_count; /* ever */
};

FIXTURE struct member crew[MEMBERS];
FIXTURE _Atomic unsigned life = 1;
FIXTURE _Atomic enum phase phase = LET_GO;
FIXTURE atomic_size_t calls;

/* By the living, in this life. */
FIXTURE int64_t held(int host)
{
    int64_t sum = 0;

    for (int i = 0; i < MEMBERS; i++)
        sum += crew[i].life == life ? crew[i].held[host] : 0;
    return sum;
}

/* Whether that life was there all the time since its number was read. */
FIXTURE bool is_still(unsigned number)
{
    return number % 2 == 0 && life == number;
}

/* ---- connections ---- */

FIXTURE void remember_stale(struct member *member, hf_conn conn)
{
    member->stale[member->stale_count++ % STALE_MOST] = conn;
}

FIXTURE void forget_earlier_life(struct member *member, unsigned now)
{
    if (member->life == now)
        return;
    for (int i = 0; i < member->count; i++)
        remember_stale(member, member->conns[i]);
    member->count = 0;
    for (int host = 0; host < HOSTS; host++)
        member->held[host] = 0;
    member->life = now;
}

FIXTURE hf_conn connect_to_host(int host)
{
    int64_t from_ms = hf_wait_now_ms();
    bool held_before = held(host) > 0;
    hf_conn conn = hf_test_connect(plugin, url_of(host));

    if (!held_before || hf_wait_now_ms() - from_ms >= LINGER_MS / 2)
        add_event(MADE, host, from_ms);
    return conn;
}

FIXTURE void connect_one(struct member *member)
{
    unsigned number = life;
    int host = (int)draw(HOSTS);
    hf_conn conn;

    forget_earlier_life(member, number);
    if (host == resting_host(HOSTS, REST_MS) || member->count == HELD_MOST)
        return;
    conn = connect_to_host(host);
    if (!is_still(number)) {
        plugin->on_disconnect(conn);
        return remember_stale(member, conn);
    }
    if (!hf_thread_check(conn != HF_NO_CONN))
        return;
    member->conns[member->count] = conn;
    member->hosts[member->count++] = host;
    member->held[host]++;
}

FIXTURE void disconnect_one(struct member *member, int which)
{
    hf_conn conn = member->conns[which];

    member->held[member->hosts[which]]--;
    plugin->on_disconnect(conn);
    remember_stale(member, conn);
    member->count--;
    member->conns[which] = member->conns[member->count];
    member->hosts[which] = member->hosts[member->count];
}

/* host: that host's alone; ALL_HOSTS. */
FIXTURE void let_go(struct member *member, int host)
{
    for (int i = member->count - 1; i >= 0; i--) {
        if (host == ALL_HOSTS || member->hosts[i] == host)
            disconnect_one(member, i);
    }
}

/* Given back before, of an earlier life, or of none. */
FIXTURE void abuse(struct member *member)
{
    hf_conn made_up = (hf_conn)draw(UINT32_MAX) << 32 | draw(100);
    hf_conn stale = member->stale[draw(STALE_MOST)];
    unsigned number = life;

    hf_thread_check(plugin->is_enabled(stale, A) == 0 || !is_still(number));
    plugin->on_disconnect(stale);
    plugin->on_disconnect(HF_NO_CONN);
    if (draw(100) == 0) {
        (void)plugin->is_enabled(made_up, draw(UINT32_MAX));
        (void)hf_test_explain(plugin, stale, draw(FLAGS + 1));
    }
}

/* ---- reading ---- */

FIXTURE void report_lie(int host, const char *flag, int32_t answer)
{
    static atomic_int reported;

    if (atomic_fetch_add(&reported, 1) < LIES_PRINTED)
        printf(
            "        host %d (%s): %s is answered %d, which its service never said; HF_SEED=%llu\n",
            host, url_of(host), flag, answer, (unsigned long long)seed);
}

/* The lie of the one kind of host is a = on, that of the other d = off; after fini all are off. */
FIXTURE void check_truth(int host, unsigned number, int32_t a, int32_t d)
{
    if (!is_odd(host) && !hf_thread_check(a == 0))
        report_lie(host, "a", a);
    if (is_odd(host) && is_still(number) && !hf_thread_check(d == 1))
        report_lie(host, "d", d);
}

FIXTURE void read_one(struct member *member)
{
    unsigned number = member->life;
    int which = (int)draw((uint32_t)member->count);
    hf_conn conn = member->conns[which];
    int32_t a = plugin->is_enabled(conn, A), d = plugin->is_enabled(conn, D);

    check_truth(member->hosts[which], number, a, d);
    (void)plugin->is_enabled(conn, B);
    hf_thread_check(plugin->is_enabled(conn, FLAGS + draw(100)) == 0);
}

FIXTURE void explain_one(struct member *member)
{
    unsigned number = member->life;
    int which = (int)draw((uint32_t)member->count);
    struct hf_answer a = hf_test_explain(plugin, member->conns[which], A);
    struct hf_answer d = hf_test_explain(plugin, member->conns[which], D);

    if (!is_still(number))
        return;
    hf_thread_check(a.hdr.magic == HF_ABI_MAGIC && d.hdr.magic == HF_ABI_MAGIC); /* it is ours */
    check_truth(member->hosts[which], number, a.enabled, d.enabled);
    hf_thread_check((a.reason == HF_REASON_DEFAULT || a.reason == HF_REASON_DISABLED) ==
        (a.state == HF_STATE_UNKNOWN || a.state == HF_STATE_EXPIRED ||
            a.reason == HF_REASON_DISABLED));
}

FIXTURE int count_unread(const struct member *member)
{
    int unread = 0;

    for (int i = 0; i < member->count; i++) {
        int32_t on = is_odd(member->hosts[i]);
        int32_t a = plugin->is_enabled(member->conns[i], A);
        int32_t d = plugin->is_enabled(member->conns[i], D);
        check_truth(member->hosts[i], member->life, a, d);
        unread += a != on || d != on;
    }
    return unread;
}

/* ---- questions and kicks ---- */

FIXTURE void ask_status(void)
{
    int32_t format = draw(2) ? HF_STATUS_JSON : HF_STATUS_PROMETHEUS;
    unsigned number = life;
    char *text = hf_test_status(plugin, format), small[16];
    size_t length;

    memset(small, 'x', sizeof(small));
    length = plugin->status(format, small, sizeof(small) - 1);
    hf_thread_check(memchr(small, '\0', sizeof(small) - 1) && small[sizeof(small) - 1] == 'x');
    if (is_still(number)) {
        hf_thread_check(length > sizeof(small) && strncmp(small, text, strlen(small)) == 0);
        hf_thread_check(text[0] == (format == HF_STATUS_JSON ? '{' : '#'));
        hf_thread_check(plugin->flag_index("d") == D || !is_still(number));
    }
    free(text);
}

/* host: ALL_HOSTS, or one. */
FIXTURE void refresh(int host)
{
    int64_t from_ms = hf_wait_now_ms();

    if (plugin->refresh(host == ALL_HOSTS ? NULL : url_of(host)) == HF_OK)
        add_event(REFRESH, host, from_ms);
}

/* ---- a thread ---- */

FIXTURE void act_once(struct member *member)
{
    uint32_t dice = draw(10000);

    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (dice < 3500)
        connect_one(member);
    else if (dice < 5000)
        abuse(member);
    else if (dice >= 9980)
        ask_status();
    else if (member->count == 0)
        return;
    else if (dice < 8000)
        disconnect_one(member, (int)draw((uint32_t)member->count));
    else if (dice < 9900)
        read_one(member);
    else
        explain_one(member);
}

FIXTURE void load(struct member *member)
{
    let_go(member, resting_host(HOSTS, REST_MS));
    for (int i = 0; i < OPS_AT_ONCE && phase == LOAD; i++)
        act_once(member);
    if (draw(2500) == 0)
        refresh((int)draw(HOSTS));
}

FIXTURE void take_part(struct member *member, enum phase now)
{
    switch (now) {
    case LOAD:
        load(member);
        break;
    case HOLD:
        forget_earlier_life(member, life);
        member->unread = count_unread(member);
        break;
    case LET_GO:
    case FILL:
    case GO_HOME:
        let_go(member, ALL_HOSTS);
        break;
    }
    member->reached = now;
}

FIXTURE void *be_member(void *arg)
{
    struct member *member = arg;
    enum phase now;

    random_state = member->seed;
    do {
        now = phase;
        take_part(member, now);
        hf_wait_nap(INT64_MAX);
    } while (now != GO_HOME);
    return NULL;
}

FIXTURE void start_crew(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        crew[i].seed = (uint64_t)draw(UINT32_MAX) << 32 | 1;
        crew[i].reached = LET_GO;
        if (pthread_create(&crew[i].thread, NULL, be_member, &crew[i]) != 0)
            abort();
    }
}

FIXTURE void send_crew_home(void)
{
    phase = GO_HOME;
    for (int i = 0; i < MEMBERS; i++)
        pthread_join(crew[i].thread, NULL);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * Threads under load: six of them mix all calls (crew.h), while this one reloads, refreshes, and
 * ends the cache and begins it anew, all at random, against services that misbehave at random
 * (moody_hosts.h). Every ten seconds or so the load pauses, and:
 *
 *   - each host has exactly the references that the threads say they hold, and all together are the
 *     number of connections;
 *   - each host that is held gets through to its service: none is stuck;
 *   - each handle answers as its service does;
 *   - once all is given back, no connection and no host is left;
 *   - after fini there are as many descriptors and threads as before;
 *   - no request came before its time without an excuse (verdict.h);
 *   - no more memory is in use than at the first pause, but for GROWTH_KB and what the services
 *     log; that takes two rounds, and is left out with a word where there is but one.
 *
 * At any time: no flag is answered that the service of that host never sent.
 *
 * HF_STRESS_SECONDS is how long (60), HF_SEED repeats the decisions of a run (not its timing).
 */
#include <malloc.h>

#include "tests/stress/crew.h"
#include "tests/support/fds.h"
#include "tests/support/tsan_meant.h"

enum { ROUND_S = 10, SETTLE_MS = 10000, RECOVERY_MS = 60000, UNDISTURBED_MS = 3000 };
enum { CALM_TTL_S = 1 };
enum { GROWTH_KB = 128, LOG_KB = 2 }; /* the latter for each request: the services log it */

static int64_t seconds, lives, reloads;
static int rounds, round_count, descriptors, threads;

/* ---- lives ---- */

/* What stays the same; then what reloads change. */
#define BOUNDS \
    "flags = a, b, d\nallow_http = loopback\nca_file = %s\nttl_min = 100ms\nlinger = 300ms\n" \
    "max_response_size = 4kB\nconnect_timeout = %lldms\nrequest_timeout = %lldms\n"
#define CHANGED "ttl = %ds\n%s"
#define CALM "defaults = d=on\n"

#define BOUND_VALUES \
    hf_certs_ca_file(certs), (long long)hf_wait_slow_ms(2000), (long long)hf_wait_slow_ms(2000)

/* Sockets of the services end when they notice that their clients have left. */
static void check_nothing_left(void)
{
    if (CHECK(HF_WAIT_UNTIL(hf_fds_count(0) == descriptors, SETTLE_MS)) &&
        CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == threads, SETTLE_MS)))
        return;
    printf("        %d descriptors, before %d; %d threads, before %d; HF_SEED=%llu\n",
        hf_fds_count(0), descriptors, hf_fds_threads(0), threads, (unsigned long long)seed);
}

static void begin_life(int64_t from_ms)
{
    CHECK_INT_EQ(hf_test_init(plugin, BOUNDS CHANGED, BOUND_VALUES, CALM_TTL_S, CALM), HF_OK);
    life++;
    lives++;
    add_settings_event(LIFE, ALL_HOSTS, from_ms, CALM_TTL_S * 1000);
}

static void end_life(void)
{
    life++;
    plugin->fini();
    check_nothing_left();
}

static void change_lives(void)
{
    int64_t from_ms = hf_wait_now_ms();

    end_life();
    begin_life(from_ms);
}

/* ---- reloads ---- */

static void reload_to(int ttl_s, const char *lines)
{
    int64_t from_ms = hf_wait_now_ms();

    if (!CHECK_INT_EQ(hf_test_reload(plugin, BOUNDS CHANGED, BOUND_VALUES, ttl_s, lines), HF_OK))
        printf("        %s\n", hf_test_error());
    add_settings_event(RELOAD, ALL_HOSTS, from_ms, ttl_s * 1000);
}

/* All of these only say what b is, or when something is asked later, or hide what is known. */
static void reload_at_random(void)
{
    static const char *const others[] = {CALM, CALM "enabled = off\n", CALM "overrides = b=on\n",
        CALM "overrides = b=off\n", "defaults = d=on, b=on\n", CALM "max_stale = 1s\n",
        CALM "max_in_flight = 3\n"};
    static const int ttls_s[] = {1, 2, 5};

    reload_to(ttls_s[draw(COUNT(ttls_s))], others[draw(COUNT(others))]);
    reloads++;
}

static void reload_badly(void)
{
    CHECK_INT_EQ(hf_test_reload(plugin, BOUNDS "ttl = soon\n", BOUND_VALUES), HF_E_INVALID);
}

static void disturb(void)
{
    uint32_t dice = draw(10000);

    if (dice < 8)
        reload_at_random();
    else if (dice == 8)
        reload_badly();
    else if (dice < 12)
        change_lives();
    else if (dice == 12)
        refresh(ALL_HOSTS);
    else if (dice < 30)
        hf_flag_service_set_etag_on_304(hosts[draw(HOSTS)].service, draw(2));
}

/* At last without a disturbance: a reload would set free whoever is stuck. */
static void put_load_on(int64_t duration_ms)
{
    int64_t end_ms = hf_wait_now_ms() + duration_ms;

    reload_to(
        2 + rounds % 2, CALM); /* so that also a short run has TTLs that chance may not bring */
    phase = LOAD;
    while (hf_wait_nap(end_ms))
        disturb();
    reload_to(CALM_TTL_S, CALM);
    end_ms = hf_wait_now_ms() + UNDISTURBED_MS;
    while (hf_wait_nap(end_ms))
        ;
}

/* ---- what must hold ---- */

static bool all_reached(enum phase wanted)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (crew[i].reached != wanted)
            return false;
    }
    return true;
}

static void pause_in(enum phase wanted)
{
    phase = wanted;
    CHECK(HF_WAIT_UNTIL(all_reached(wanted), BOUND_MS));
}

static int64_t fact(int host, const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", port_of(host), name);
}

static int64_t references(int host)
{
    int64_t counted = fact(host, "references");

    return counted == HF_TEST_NO_VALUE ? 0 : counted;
}

static void check_references(void)
{
    int64_t sum = 0;

    for (int host = 0; host < HOSTS; host++) {
        sum += held(host);
        if (!CHECK_INT_EQ(references(host), held(host)))
            printf("        host %d: %lld held, %lld references; HF_SEED=%llu\n", host,
                (long long)held(host), (long long)references(host), (unsigned long long)seed);
    }
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), sum);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 0);
}

static bool is_confirmed_since(int host, int64_t time_ms)
{
    int64_t age_ms = fact(host, "age_ms");

    return held(host) == 0 || (age_ms >= 0 && age_ms <= hf_wait_now_ms() - time_ms);
}

/* Each that somebody holds was seen to be due at a time to come: what is due and never asked, or
 * in flight for ever, is not. Nobody has helped it by a refresh(). */
static bool all_planned(bool planned[HOSTS])
{
    bool all = true;

    for (int host = 0; host < HOSTS; host++) {
        planned[host] |= held(host) == 0 || fact(host, "next_refresh_ms") > 0;
        all &= planned[host];
    }
    return all;
}

/* The services go on as before: refresh() gets through to a good answer some time. */
static bool all_confirmed_since(int64_t time_ms)
{
    bool all = true;

    for (int host = 0; host < HOSTS; host++) {
        if (is_confirmed_since(host, time_ms))
            continue;
        refresh(host);
        all = false;
    }
    return all;
}

static void print_stuck(int64_t time_ms)
{
    for (int host = 0; host < HOSTS; host++) {
        if (!is_confirmed_since(host, time_ms))
            printf("        host %d (%s) is stuck: due in %lld ms, %lld failures; HF_SEED=%llu\n",
                host, url_of(host), (long long)fact(host, "next_refresh_ms"),
                (long long)fact(host, "failures_in_a_row"), (unsigned long long)seed);
    }
}

static int unread(void)
{
    int sum = 0;

    for (int i = 0; i < MEMBERS; i++)
        sum += crew[i].unread;
    return sum;
}

static void check_hold(void)
{
    bool planned[HOSTS] = {false};
    int64_t paused_ms;

    pause_in(HOLD);
    check_references();
    paused_ms = hf_wait_now_ms();
    CHECK(HF_WAIT_UNTIL(all_planned(planned), SETTLE_MS));
    if (!CHECK(HF_WAIT_UNTIL(all_confirmed_since(paused_ms), RECOVERY_MS)))
        print_stuck(paused_ms);
    if (!CHECK(HF_WAIT_UNTIL(unread() == 0, SETTLE_MS)))
        printf("        %d handles answer not as their services do; HF_SEED=%llu\n", unread(),
            (unsigned long long)seed);
    check_references();
}

static void check_let_go(void)
{
    pause_in(LET_GO);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
    if (!CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "hosts") == 0, SETTLE_MS)))
        printf("        hosts that are left: %lld; HF_SEED=%llu\n",
            (long long)hf_test_status_total(plugin, "hosts"), (unsigned long long)seed);
}

static void check_requests(void)
{
    bool good = true;

    for (int host = 0; host < HOSTS; host++) {
        CHECK(hf_flag_service_count(hosts[host].service) > 0);
        good = CHECK(judge(host)) && good;
    }
    if (!good)
        printf("        HF_SEED=%llu\n", (unsigned long long)seed);
    if (!good || rounds == round_count)
        print_judged();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCATOR_TELLS false
#else
#define ALLOCATOR_TELLS true
#endif

/* Of all arenas, but for what this test itself keeps of events. */
static long in_use_kb(void)
{
    struct mallinfo2 info = mallinfo2();

    return (long)((info.uordblks + info.hblkhd - event_room * sizeof(*events)) / 1024);
}

static size_t logged_requests(void)
{
    size_t logged = 0;

    for (int host = 0; host < HOSTS; host++)
        logged += judged[host].requests;
    return logged;
}

/* After fini, while the threads rest: what is in use can only be what the services have logged. The
 * first round is what the later ones are compared with, since libraries keep some of it. */
static void check_memory(void)
{
    static long before_kb;
    static size_t logged_before;
    size_t logged = logged_requests();
    long now_kb, most_kb;

    hf_test_log_clear();
    now_kb = in_use_kb();
    if (rounds == 1) {
        before_kb = now_kb;
        logged_before = logged;
    }
    most_kb = before_kb + GROWTH_KB + LOG_KB * (long)(logged - logged_before);
    printf("        %zu calls, %lld lives, %lld reloads, %zu requests\n", (size_t)calls,
        (long long)lives, (long long)reloads, logged);
    if (!ALLOCATOR_TELLS)
        printf("        memory is not looked at: a sanitizer's allocator does not tell\n");
    else if (round_count == 1)
        printf("        memory is not looked at: that takes two rounds, more than %d s\n", ROUND_S);
    else
        printf("        %ld kB in use, at most %ld\n", now_kb, most_kb);
    if (ALLOCATOR_TELLS && !CHECK_INT_BETWEEN(now_kb, 0, most_kb))
        printf("        HF_SEED=%llu\n", (unsigned long long)seed);
}

/* ---- the program ---- */

static void start_all(void)
{
    start_hosts((size_t)(64 + 4 * (seconds + 2 * RECOVERY_MS / 1000)));
    start_crew();
    descriptors = hf_fds_count(0);
    threads = hf_fds_threads(0);
}

static void run_round(void)
{
    int64_t from_ms = hf_wait_now_ms();

    if (rounds++ == 0)
        start_all();
    begin_life(from_ms);
    put_load_on(seconds * 1000 / round_count);
    check_hold();
    check_let_go();
    end_life();
    check_requests();
    check_memory();
}

static void stop_all_threads(void)
{
    send_crew_home();
    stop_hosts();
    free(events);
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("HF_STRESS_SECONDS"), *chosen = getenv("HF_SEED");
    struct hf_test *tests;
    int status;

    seconds = wanted == NULL ? 60 : atoll(wanted);
    if (seconds < 1)
        seconds = 1;
    round_count = (int)((seconds + ROUND_S - 1) / ROUND_S);
    tests = calloc((size_t)round_count, sizeof(*tests));
    for (int i = 0; tests && i < round_count; i++) {
        char *title = NULL;
        if (asprintf(&title, "C05 C07 C57 C62 C77 C80 all calls at random, part %d", i + 1) < 0)
            abort();
        tests[i] = (struct hf_test){title, run_round};
    }
    if (!tests)
        return 1;
    seed = chosen == NULL ? (uint64_t)hf_wait_now_ms() * 2654435761u | 1
                          : strtoull(chosen, NULL, 10) | 1;
    random_state = seed;
    printf("stress_threads: HF_SEED=%llu\n", (unsigned long long)seed);
    status = run_tests("stress_threads", tests, (size_t)round_count, argc, argv);
    if (rounds > 0)
        stop_all_threads();
    for (int i = 0; i < round_count; i++)
        free((char *)tests[i].title);
    free(tests);
    return status;
}

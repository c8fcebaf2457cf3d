/* SPDX-License-Identifier: PostgreSQL
 *
 * Random deaths under load: processes that share a cache connect, read, disconnect, ask for
 * refreshes, reload and leave at random, and are killed at random, one in three times the one that
 * refreshes. Each test is a life of the cache with a tenth of all kills. Then all pause, and:
 *
 *   - each host has exactly the references that the living say they hold;
 *   - each host that is held is fresh again, within 10 s: none is stuck;
 *   - no service was asked more often than promised, that is, for each host
 *
 *         1 + time / (0.8 TTL)        the plan
 *           + deaths of refreshers    each may lose one request, which is made once more
 *           + reloads                 likewise, where it was the refresher that reloaded
 *           + refresh()               that said HF_OK
 *
 * HF_STRESS_KILLS is how many in all (1000), HF_SEED repeats the decisions of a run (not its
 * timing). This process forks all others, has no thread and no connection; the services are in a
 * process of their own.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/integration/cache_fixture.h"
#include "tests/support/fds.h"

enum { HOSTS = 8, CHILDREN = 6, HELD_MOST = 100, ROUNDS = 10, TTL_MS = 1000 };
enum { SETTLE_MS = 10000 };

#define SETTINGS \
    "flags = a, b\nallow_http = loopback\nshare = on\nttl = 1s\nttl_min = 100ms\nlinger = 1h\n" \
    "max_hosts = 8\nmax_connections = 1000\n"

/* One per child, written by it alone; what it holds is counted after the fact. */
struct ledger {
    _Atomic int held[HOSTS];
    _Atomic bool paused;
};

/* Shared by all processes of the test. */
static struct board {
    _Atomic uint16_t ports[HOSTS];
    _Atomic uint64_t asked[HOSTS]; /* as the services count */
    _Atomic uint64_t refreshes[HOSTS], reloads;
    _Atomic bool pause;
    struct ledger ledgers[CHILDREN];
} * board;

static pid_t children[CHILDREN], services;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

static const char *url_of(int host)
{
    static char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", (unsigned)board->ports[host]);
    return url;
}

/* ---- the services ---- */

static _Noreturn void be_services(void)
{
    struct hf_flag_service *all[HOSTS];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < HOSTS; i++) {
        all[i] = hf_flag_service_start(NULL);
        hf_flag_service_set_flag(all[i], "a", true);
        hf_flag_service_set_ttl(all[i], NULL);
        hf_flag_service_set_delay(all[i], 30);
        board->ports[i] = hf_flag_service_port(all[i]);
    }
    while (hf_wait_nap(INT64_MAX)) {
        for (int i = 0; i < HOSTS; i++)
            board->asked[i] = hf_flag_service_count(all[i]);
    }
    _exit(0);
}

/* ---- a process of the host program's ---- */

struct holder {
    struct ledger *ledger;
    hf_conn conns[HELD_MOST];
    int hosts[HELD_MOST];
    int count;
};

static void connect_one(struct holder *holder)
{
    int host = (int)draw(HOSTS);
    hf_conn conn;

    if (holder->count == HELD_MOST)
        return;
    conn = hf_test_connect(plugin, url_of(host));
    if (conn == HF_NO_CONN)
        return;
    holder->conns[holder->count] = conn;
    holder->hosts[holder->count++] = host;
    holder->ledger->held[host]++;
}

static void disconnect_one(struct holder *holder)
{
    int which;

    if (holder->count == 0)
        return;
    which = (int)draw((uint32_t)holder->count);
    plugin->on_disconnect(holder->conns[which]);
    holder->ledger->held[holder->hosts[which]]--;
    holder->count--;
    holder->conns[which] = holder->conns[holder->count];
    holder->hosts[which] = holder->hosts[holder->count];
}

static void act_once(struct holder *holder)
{
    uint32_t dice = draw(10000);
    int host = (int)draw(HOSTS);

    if (dice < 4500)
        connect_one(holder);
    else if (dice < 8500)
        disconnect_one(holder);
    else if (dice < 9990)
        (void)(holder->count > 0 && plugin->is_enabled(holder->conns[0], A));
    else if (dice < 9996 && plugin->refresh(url_of(host)) == HF_OK)
        board->refreshes[host]++;
    else if (dice == 9996 && hf_test_reload(plugin, SETTINGS) == HF_OK)
        board->reloads++;
    else if (dice == 9997)
        free(hf_test_status(plugin, HF_STATUS_JSON));
    else if (dice == 9998 && draw(4) == 0) {
        plugin->fini();
        _exit(0);
    }
}

static _Noreturn void be_child(int number, uint64_t seed)
{
    struct holder holder = {.ledger = &board->ledgers[number]};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    random_state = seed;
    for (;;) {
        for (int i = 0; i < 50 && !board->pause; i++)
            act_once(&holder);
        holder.ledger->paused = board->pause;
        hf_wait_nap(INT64_MAX);
    }
}

/* ---- their parent ---- */

static void start_child(int number)
{
    uint64_t seed = (uint64_t)draw(UINT32_MAX) << 32 | 1;

    memset(&board->ledgers[number], 0, sizeof(board->ledgers[number]));
    fflush(NULL);
    children[number] = fork();
    if (children[number] == 0)
        be_child(number, seed);
    if (children[number] < 0)
        abort();
}

/* Whoever has left by itself is replaced. */
static void replace_gone(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;
        if (waitpid(children[i], &status, WNOHANG) != children[i])
            continue;
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        start_child(i);
    }
}

static void kill_child(int number)
{
    kill(children[number], SIGKILL);
    waitpid(children[number], NULL, 0);
    start_child(number);
}

static int64_t sharing(const char *name)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON), wanted[64], *found;
    int64_t value;

    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    found = strstr(text, "\"sharing\":");
    found = found == NULL ? NULL : strstr(found, wanted);
    value = found == NULL ? HF_TEST_NO_VALUE : atoll(found + strlen(wanted));
    free(text);
    return value;
}

static int victim(void)
{
    int64_t refresher = draw(3) == 0 ? sharing("refresher_pid") : 0;

    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] == refresher)
            return i;
    }
    return (int)draw(CHILDREN);
}

static void kill_at_random(int kills)
{
    for (int i = 0; i < kills; i++) {
        int64_t end = hf_wait_now_ms() + (int64_t)draw(120);
        while (hf_wait_nap(end))
            replace_gone();
        kill_child(victim());
    }
}

/* ---- what must hold ---- */

static bool all_paused(void)
{
    replace_gone();
    for (int i = 0; i < CHILDREN; i++) {
        if (!board->ledgers[i].paused)
            return false;
    }
    return true;
}

static int64_t held(int host)
{
    int64_t sum = 0;

    for (int i = 0; i < CHILDREN; i++)
        sum += board->ledgers[i].held[host];
    return sum;
}

static int64_t fact(int host, const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", board->ports[host], name);
}

static bool references_are_right(void)
{
    int64_t sum = 0;

    for (int host = 0; host < HOSTS; host++) {
        int64_t counted = fact(host, "references");
        if (held(host) != (counted == HF_TEST_NO_VALUE ? 0 : counted))
            return false;
        sum += held(host);
    }
    return hf_test_status_total(plugin, "connections") == sum;
}

static bool all_fresh(void)
{
    for (int host = 0; host < HOSTS; host++) {
        int64_t age_ms = fact(host, "age_ms");
        if (held(host) > 0 && (age_ms < 0 || age_ms > TTL_MS))
            return false;
    }
    return true;
}

static void check_requests(int64_t began_ms, int64_t changes)
{
    int64_t planned = 1 + (hf_wait_now_ms() - began_ms) * 10 / (8 * TTL_MS);

    for (int host = 0; host < HOSTS; host++) {
        int64_t most =
            planned + changes + (int64_t)board->reloads + (int64_t)board->refreshes[host];
        if (!CHECK_INT_BETWEEN(board->asked[host], 1, most))
            fprintf(stderr,
                "host %d: %lld planned, %lld changes of the refresher, %llu reloads, "
                "%llu refreshes\n",
                host, (long long)planned, (long long)changes, (unsigned long long)board->reloads,
                (unsigned long long)board->refreshes[host]);
    }
}

static void stop_everybody(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    kill(services, SIGKILL);
    waitpid(services, NULL, 0);
}

static void run_round(void)
{
    const char *wanted = getenv("HF_STRESS_KILLS");
    int kills = (wanted == NULL ? 1000 : atoi(wanted)) / ROUNDS;
    int64_t began_ms = hf_wait_now_ms();
    int descriptors = hf_fds_count(0);

    memset(board, 0, sizeof(*board));
    services = fork();
    if (services == 0)
        be_services();
    CHECK(HF_WAIT_UNTIL(board->ports[HOSTS - 1] != 0, BOUND_MS));
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    for (int i = 0; i < CHILDREN; i++)
        start_child(i);
    kill_at_random(kills);
    board->pause = true;
    CHECK(HF_WAIT_UNTIL(all_paused(), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(references_are_right(), SETTLE_MS));
    CHECK(HF_WAIT_UNTIL(all_fresh(), SETTLE_MS));
    CHECK(references_are_right());
    CHECK_INT_BETWEEN(hf_test_status_total(plugin, "host_slots"), 1, HOSTS);
    check_requests(began_ms, sharing("take_overs"));
    printf("        %d kills, %lld take-overs, %lld references returned, %lld held at the end\n",
        kills, (long long)sharing("take_overs"), (long long)sharing("returned_references"),
        (long long)hf_test_status_total(plugin, "connections"));
    stop_everybody();
    plugin->fini();
    CHECK_INT_EQ(hf_fds_count(0), descriptors);
}

int main(int argc, char **argv)
{
    static const char *const titles[ROUNDS] = {"C91 C92 C93 random kills, 1 of 10",
        "C91 C92 C93 random kills, 2 of 10", "C91 C92 C93 random kills, 3 of 10",
        "C91 C92 C93 random kills, 4 of 10", "C91 C92 C93 random kills, 5 of 10",
        "C91 C92 C93 random kills, 6 of 10", "C91 C92 C93 random kills, 7 of 10",
        "C91 C92 C93 random kills, 8 of 10", "C91 C92 C93 random kills, 9 of 10",
        "C91 C92 C93 random kills, 10 of 10"};
    struct hf_test tests[ROUNDS];
    const char *seed = getenv("HF_SEED");

    for (int i = 0; i < ROUNDS; i++)
        tests[i] = (struct hf_test){titles[i], run_round};
    random_state =
        seed == NULL ? (uint64_t)hf_wait_now_ms() * 2654435761u | 1 : strtoull(seed, NULL, 10) | 1;
    printf("kills: HF_SEED=%llu\n", (unsigned long long)random_state);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    return run_tests("kills", tests, ROUNDS, argc, argv);
}

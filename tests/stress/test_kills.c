/* SPDX-License-Identifier: PostgreSQL
 *
 * Random deaths under load: processes that share a cache connect, read, disconnect, ask for
 * refreshes, reload and leave at random, and are killed at random, one in three times the one that
 * refreshes. All tests are the life of one and the same cache; after each hundred kills or so the
 * load pauses, and:
 *
 *   - each host has exactly the references that the living say they hold;
 *   - each host that is held is asked again, within its TTL and 5 s: none is stuck;
 *   - each handle of the living answers as its service does;
 *   - once all is given back, all hosts leave, and at the end one process can take all connections;
 *   - this process has no more descriptors than before, and no dead child;
 *   - no service was asked more often than promised. The plan has no request sooner than 0.8 TTL
 *     after the one before, so it has no more than 1 + time / (0.8 TTL). Of those that came sooner
 *     there are, since the start, for each host and for all together, no more than
 *
 *         made anew            connections to a host that nobody held
 *           + refresh()        that said HF_OK
 *           + lost requests    that a service counted, but of which the cache has seen no end; for
 *                              each host at most one per end of a refresher: kill, reload or fini
 *
 * HF_STRESS_KILLS is how many in all (1000), HF_SEED repeats the decisions of a run (not its
 * timing). This process forks all others, has no thread and no connection; the services are in a
 * process of their own.
 */
#include <json-c/json.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/stress/load.h"
#include "tests/support/fds.h"

enum { ROUNDS_MOST = 10, ROUND = 100, SETTLE_MS = 5000 };

static pid_t children[CHILDREN], services;
static int64_t kills, kills_wanted;
static int rounds, round_count, descriptors;

/* ---- processes ---- */

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

/* Children leave, or are killed; any other end is an error of the plugin's. */
static void check_end(int number, int status)
{
    bool left = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;

    if (!CHECK(left || killed))
        fprintf(stderr, "child %d ended with status 0x%x\n", number, (unsigned)status);
}

/* Whoever has left by itself is replaced. */
static void replace_gone(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;
        if (waitpid(children[i], &status, WNOHANG) != children[i])
            continue;
        check_end(i, status);
        start_child(i);
    }
}

static void kill_child(int number)
{
    int status = 0;

    kill(children[number], SIGKILL);
    CHECK_INT_EQ(waitpid(children[number], &status, 0), children[number]);
    check_end(number, status);
    kills++;
    start_child(number);
}

/* ---- what the cache says ---- */

/* The sum of an object's members, or one of them alone. */
static int64_t inner(const char *object_name, const char *wanted)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_object *status = json_tokener_parse(text), *object = NULL;
    int64_t sum = 0;

    if (!CHECK(json_object_object_get_ex(status, object_name, &object)))
        return HF_TEST_NO_VALUE;
    json_object_object_foreach(object, name, value)
    {
        if (wanted == NULL || strcmp(name, wanted) == 0)
            sum += json_object_get_int64(value);
    }
    json_object_put(status);
    free(text);
    return sum;
}

static int64_t fact(int host, const char *name)
{
    return hf_test_status_int(plugin, "127.0.0.1", board->ports[host], name);
}

/* ---- the load ---- */

static int victim(void)
{
    int64_t refresher = draw(3) == 0 ? inner("sharing", "refresher_pid") : 0;

    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] == refresher)
            return i;
    }
    return (int)draw(CHILDREN);
}

static void kill_at_random(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t end = hf_wait_now_ms() + (int64_t)draw(120);
        while (hf_wait_nap(end))
            replace_gone();
        kill_child(victim());
    }
}

static void start_all(void)
{
    descriptors = hf_fds_count(0);
    services = fork();
    if (services == 0)
        be_services();
    CHECK(HF_WAIT_UNTIL(board->ports[HOSTS - 1] != 0, BOUND_MS));
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    for (int i = 0; i < CHILDREN; i++)
        start_child(i);
}

/* ---- what must hold ---- */

static bool all_reached(enum phase phase)
{
    replace_gone();
    for (int i = 0; i < CHILDREN; i++) {
        if (board->ledgers[i].reached != phase)
            return false;
    }
    return true;
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

/* A wait that was in vain says who is wrong. */
static void print_references(void)
{
    for (int host = 0; host < HOSTS; host++)
        fprintf(stderr, "host %d: %lld held, %lld references, age %lld ms, next in %lld ms\n", host,
            (long long)held(host), (long long)fact(host, "references"),
            (long long)fact(host, "age_ms"), (long long)fact(host, "next_refresh_ms"));
}

static bool all_asked_since(int64_t time_ms)
{
    for (int host = 0; host < HOSTS; host++) {
        int64_t age_ms = fact(host, "age_ms");
        if (held(host) > 0 && (age_ms < 0 || age_ms > hf_wait_now_ms() - time_ms))
            return false;
    }
    return true;
}

static int unread(void)
{
    int sum = 0;

    for (int i = 0; i < CHILDREN; i++)
        sum += board->ledgers[i].unread;
    return sum;
}

static void check_hold(void)
{
    int64_t paused_ms;

    board->phase = HOLD;
    CHECK(HF_WAIT_UNTIL(all_reached(HOLD), BOUND_MS));
    paused_ms = hf_wait_now_ms();
    if (!CHECK(HF_WAIT_UNTIL(references_are_right(), SETTLE_MS)) ||
        !CHECK(HF_WAIT_UNTIL(all_asked_since(paused_ms), TTL_MS + SETTLE_MS)))
        print_references();
    CHECK(HF_WAIT_UNTIL(unread() == 0, SETTLE_MS));
    CHECK(references_are_right());
    CHECK_INT_BETWEEN(hf_test_status_total(plugin, "host_slots"), 1, HOSTS);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 0);
    CHECK_INT_BETWEEN(
        inner("sharing", "processes"), 1, CHILDREN); /* the latest may not have joined */
}

static void check_let_go(void)
{
    board->phase = LET_GO;
    CHECK(HF_WAIT_UNTIL(all_reached(LET_GO), BOUND_MS));
    if (!CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "hosts") == 0, SETTLE_MS)))
        print_references();
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 0);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* No connection was lost on the way: that would be one that nobody can take. */
static void check_fill(void)
{
    board->phase = FILL;
    CHECK(HF_WAIT_UNTIL(all_reached(FILL), BOUND_MS));
    CHECK_INT_EQ(held(0), MAX_CONNECTIONS);
    CHECK_INT_EQ(fact(0, "references"), MAX_CONNECTIONS);
}

struct requests {
    int64_t asked, early, made, refreshes;
};

static struct requests requests_of(int host)
{
    return (struct requests){(int64_t)board->asked[host], (int64_t)board->early[host],
        (int64_t)board->made[host], (int64_t)board->refreshes[host]};
}

static struct requests requests_of_all(void)
{
    struct requests sum = {0, 0, 0, 0};

    for (int host = 0; host < HOSTS; host++) {
        struct requests one = requests_of(host);
        sum.asked += one.asked;
        sum.early += one.early;
        sum.made += one.made;
        sum.refreshes += one.refreshes;
    }
    return sum;
}

static int64_t lost_requests(void)
{
    int64_t ended = inner("requests_by_outcome", NULL);

    return requests_of_all().asked - ended;
}

/* The table is for the last round, and for one that has found something. */
static void check_early(const char *name, struct requests count, int64_t lost)
{
    int64_t bound = count.made + count.refreshes + lost;

    if (!CHECK_INT_BETWEEN(count.early, 0, bound) || rounds == round_count)
        printf("        %-5s %5lld requests, %4lld early, at most %4lld: %lld made, %lld refresh, "
               "%lld lost\n",
            name, (long long)count.asked, (long long)count.early, (long long)bound,
            (long long)count.made, (long long)count.refreshes, (long long)lost);
}

static void check_requests(void)
{
    int64_t ends = kills + (int64_t)board->reloads + (int64_t)board->leaves;
    int64_t lost = lost_requests();
    char name[32];

    CHECK_INT_BETWEEN(inner("sharing", "take_overs"), 0, ends);
    CHECK(requests_of_all().asked > 0);
    for (int host = 0; host < HOSTS; host++) {
        snprintf(name, sizeof(name), "host %d", host);
        check_early(name, requests_of(host), smaller(lost, ends));
    }
    check_early("all", requests_of_all(), lost);
}

/* Only the children that live, and the services. */
static void check_own_process(void)
{
    CHECK_INT_EQ(hf_fds_count(0), descriptors);
    CHECK_INT_EQ(waitpid(-1, NULL, WNOHANG), 0);
}

static void run_round(void)
{
    if (rounds++ == 0)
        start_all();
    board->phase = LOAD;
    kill_at_random(kills_wanted * rounds / round_count - kills);
    check_hold();
    printf("        %lld kills, %lld take-overs, %lld references returned, %lld held, "
           "%llu reloads, %llu left, %lld requests lost\n",
        (long long)kills, (long long)inner("sharing", "take_overs"),
        (long long)inner("sharing", "returned_references"),
        (long long)hf_test_status_total(plugin, "connections"), (unsigned long long)board->reloads,
        (unsigned long long)board->leaves, (long long)lost_requests());
    check_let_go();
    check_requests();
    check_own_process();
    if (rounds == round_count)
        check_fill();
}

static void stop_all_processes(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    kill(services, SIGKILL);
    waitpid(services, NULL, 0);
    plugin->fini();
}

/* A round for each hundred kills, or ten of equal length. */
static void plan_rounds(void)
{
    const char *wanted = getenv("HF_STRESS_KILLS");

    kills_wanted = wanted == NULL ? 1000 : atoll(wanted);
    if (kills_wanted < 1)
        kills_wanted = 1;
    round_count = (int)smaller(ROUNDS_MOST, (kills_wanted + ROUND - 1) / ROUND);
}

int main(int argc, char **argv)
{
    static const char *const titles[ROUNDS_MOST] = {"C91 C92 C93 random kills, part 1",
        "C91 C92 C93 random kills, part 2", "C91 C92 C93 random kills, part 3",
        "C91 C92 C93 random kills, part 4", "C91 C92 C93 random kills, part 5",
        "C91 C92 C93 random kills, part 6", "C91 C92 C93 random kills, part 7",
        "C91 C92 C93 random kills, part 8", "C91 C92 C93 random kills, part 9",
        "C91 C92 C93 random kills, part 10"};
    struct hf_test tests[ROUNDS_MOST];
    const char *seed = getenv("HF_SEED");
    int status;

    plan_rounds();
    for (int i = 0; i < round_count; i++)
        tests[i] = (struct hf_test){titles[i], run_round};
    random_state =
        seed == NULL ? (uint64_t)hf_wait_now_ms() * 2654435761u | 1 : strtoull(seed, NULL, 10) | 1;
    printf("kills: HF_SEED=%llu\n", (unsigned long long)random_state);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    status = run_tests("kills", tests, (size_t)round_count, argc, argv);
    if (rounds > 0)
        stop_all_processes();
    return status;
}

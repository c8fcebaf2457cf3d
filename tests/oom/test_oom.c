/* SPDX-License-Identifier: PostgreSQL
 *
 * Each allocation of a whole life of the plugin fails in turn, libcurl's, json-c's and the TLS
 * library's included, and so do threads and mapped memory: once alone, once with all that follow
 * until the step's end. Each in a process of its own (life.h), several at a time (pool.h).
 *
 * First a life without failure counts the allocations of a step, and tells which blocks and
 * descriptors libraries keep for good: what is left after a failure is compared with that. Then
 * numbers go up until one beyond that count is not reached; up to it each must be. Not all lives
 * come to as many: of 400 without failure 397 came to 320 allocations by threads in step second,
 * two to 319 and one to 309. So a number of threads' that one life does not reach is looked for in
 * another, of LIVES_MOST at most; the caller's are always the same.
 */
#include "tests/oom/crowd.h"
#include "tests/oom/pool.h"
#include "tests/oom/where.h"
#include "tests/oom/within.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_ITSELF = 0, WITH_REST, MODES, SHOWN_MOST = 10, ROWS_MOST = 64 };
enum { LIVES_MOST = 5, SHORT_MOST = 64 };

/* One row of the table at the end. */
struct row {
    const char *kind, *step;
    enum hf_by by;
    bool rest;
    unsigned count; /* without a failure */
    unsigned survived, lost, shorter, missed, effects[HF_EFFECTS];
};

/* What is being swept. */
struct sweep {
    unsigned last; /* only so many, the last ones; 0: all */
    struct hf_life_result whole; /* of a life without failure */
    bool has_whole, over; /* a number was not reached */
    struct row *row;
    unsigned shown;
    unsigned lives_left; /* for a number that is not reached */
    unsigned unreached[SHORT_MOST], unreached_count; /* and have another life */
};

static struct hf_life life;
static struct row rows[ROWS_MOST];
static size_t row_count;

/* ---- one result ---- */

static unsigned count_in(const struct hf_life_result *result, const struct hf_kept *like)
{
    const struct hf_kept *found =
        bsearch(like, result->kept, result->kept_count, sizeof(result->kept[0]), hf_kept_compare);

    return found ? found->count : 0;
}

/* What a library keeps, or loses, within one of its calls is not held against the plugin, for that
 * reason, and no more of it than that in a life; refused: only where memory was refused there. */
static struct keeper {
    enum hf_kept_kind kind;
    enum hf_within within;
    const char *object, *reason;
    bool refused;
    const char *refused_in; /* a function of the plugin; NULL: any */
    unsigned most; /* 0: any number */
    unsigned lives, count; /* in how many, and how many at most */
} keepers[] = {
    {HF_KEPT_BLOCK, HF_WITHIN_PTHREAD_CREATE, "/ld-linux",
        "glibc keeps a thread's vector of thread-local data with its stack, for the next thread; "
        "here the worker and one that looks up a name",
        false, NULL, 2, 0, 0},
    {HF_KEPT_BLOCK, HF_WITHIN_CURL_GLOBAL_INIT, "/libcrypto.so",
        "OpenSSL is initialised once in a process, and what it had until memory was refused is "
        "neither used nor freed by the next try",
        true, NULL, 0, 0, 0},
    {HF_KEPT_BLOCK, HF_WITHIN_JSON_PARSE, "/libjson-c.so",
        "json_tokener_parse_ex loses a value, and all that is in it, where json_object_object_add "
        "has no memory (lost.h)",
        true, NULL, 0, 0, 0},
    {HF_KEPT_MAPPING, HF_WITHIN_OTHER, "/hostflags.so",
        "fini leaves shared tables mapped for threads that are late, where there are no zero "
        "pages to put in their place; the next life has tables of its own",
        true, "hf_memory_zero", 1, 0, 0},
};
enum { KEEPERS = sizeof(keepers) / sizeof(keepers[0]) };

static bool was_refused(const struct hf_site *site, const struct keeper *keeper)
{
    bool found = site->depth > 0 && site->within == keeper->within && !keeper->refused_in;

    for (int i = 0; !found && keeper->refused_in && i < site->depth; i++)
        found = strstr(hf_where(site->frames[i]), keeper->refused_in) != NULL;
    return found;
}

static struct keeper *keeper_of(const struct hf_life_result *result, const struct hf_kept *kept)
{
    for (size_t i = 0; i < KEEPERS; i++) {
        struct keeper *keeper = &keepers[i];
        if (kept->kind == keeper->kind && kept->within == keeper->within &&
            hf_where_is_in(kept->caller, keeper->object))
            return !keeper->refused || was_refused(&result->site, keeper) ? keeper : NULL;
    }
    return NULL;
}

/* Blocks or mappings that a life without failure does not leave; NULL: there are none. Counts in
 * excused[] those that have a keeper. */
static const struct hf_kept *find_leak(
    const struct sweep *sweep, const struct hf_life_result *result, unsigned excused[KEEPERS])
{
    for (size_t i = 0; i < result->kept_count; i++) {
        const struct hf_kept *kept = &result->kept[i];
        unsigned before = count_in(&sweep->whole, kept);
        struct keeper *keeper = kept->count > before ? keeper_of(result, kept) : NULL;
        if (keeper)
            excused[keeper - keepers] += kept->count - before;
        if (kept->count > before &&
            (!keeper || (keeper->most > 0 && excused[keeper - keepers] > keeper->most)))
            return kept;
    }
    return NULL;
}

static void count_excused(const unsigned excused[KEEPERS])
{
    for (size_t i = 0; i < KEEPERS; i++) {
        keepers[i].lives += excused[i] > 0;
        if (excused[i] > keepers[i].count)
            keepers[i].count = excused[i];
    }
}

/* What is wrong with it; "": nothing. */
static const char *judge(
    const struct sweep *sweep, const struct hf_life_result *result, int wait_status)
{
    static char text[512];
    unsigned excused[KEEPERS] = {0};
    const struct hf_kept *leak;

    if (!result->ended && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGALRM)
        return "it did not end";
    if (!result->ended) {
        snprintf(text, sizeof(text), "it crashed: %s",
            WIFSIGNALED(wait_status) ? strsignal(WTERMSIG(wait_status)) : "exit");
        return text;
    }
    if (result->problem[0] != '\0')
        return result->problem;
    if (result->kept_count > HF_KEPT_MOST)
        return "more is left than HF_KEPT_MOST";
    if (!sweep->has_whole)
        return "";
    if (result->descriptors > sweep->whole.descriptors)
        return "a descriptor is left";
    if (!result->lost.proven) {
        snprintf(text, sizeof(text), "left by json-c's reader: %u value(s) or name(s), it lost %u",
            result->lost.found, result->lost.expected);
        return text;
    }
    leak = find_leak(sweep, result, excused);
    if (!leak) {
        count_excused(excused);
        return "";
    }
    snprintf(text, sizeof(text), "left: %u %s(s) of %zu bytes, without failure %u; from %s",
        leak->count, leak->kind == HF_KEPT_BLOCK ? "block" : "mapping", leak->bytes,
        count_in(&sweep->whole, leak), hf_where(leak->caller));
    return text;
}

static void show(struct sweep *sweep, const struct hf_life_plan *plan,
    const struct hf_life_result *result, const char *problem)
{
    if (sweep->shown++ >= SHOWN_MOST)
        return;
    printf("  %s, allocation %u by %s%s: %s\n", hf_step_name(plan->step), plan->nth,
        plan->by == HF_BY_CALLER ? "the caller" : "a thread",
        plan->rest ? " and all that follow" : "", problem);
    if (result->site.depth > 0) {
        printf("   refused: %s of %zu bytes\n", result->site.what, result->site.bytes);
        hf_where_print(result->site.frames, result->site.depth);
    }
    if (result->crash.depth > 0) {
        printf("   crashed:\n");
        hf_where_print(result->crash.frames, result->crash.depth);
    }
}

static bool gets_another_life(struct sweep *sweep, unsigned nth)
{
    if (sweep->row->by != HF_BY_THREADS || nth > sweep->row->count || sweep->lives_left == 0 ||
        sweep->unreached_count == SHORT_MOST)
        return false;
    sweep->unreached[sweep->unreached_count++] = nth;
    sweep->row->shorter++;
    return true;
}

static void on_done(void *arg, const struct hf_life_plan *plan, const struct hf_life_result *result,
    int wait_status)
{
    struct sweep *sweep = arg;
    const char *problem = judge(sweep, result, wait_status);
    bool missed = plan->nth > 0 && result->effect == HF_NOT_REACHED && result->ended;

    if (problem[0] == '\0' && missed && gets_another_life(sweep, plan->nth))
        return;
    if (problem[0] == '\0' && missed && plan->nth <= sweep->row->count)
        problem = "it was not reached, although a life without failure has it";

    if (problem[0] != '\0') {
        CHECK_STR_EQ(problem, "");
        show(sweep, plan, result, problem);
    }
    if (plan->nth == 0) {
        sweep->whole = *result;
        sweep->has_whole = true;
        return;
    }
    if (missed) {
        sweep->over = sweep->over || plan->nth > sweep->row->count;
        sweep->row->missed += plan->nth <= sweep->row->count;
        return;
    }
    sweep->row->survived += problem[0] == '\0';
    sweep->row->lost += result->lost.expected > 0;
    sweep->row->effects[result->effect]++;
}

/* ---- a step ---- */

static void show_progress(const struct hf_life_plan *plan, unsigned expected)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r  %s%s, %s%s: %u of %u \033[K", hf_step_name(plan->step),
            plan->share ? " (shared)" : "", plan->by == HF_BY_CALLER ? "caller" : "threads",
            plan->rest ? ", and the rest" : "", plan->nth, expected);
}

/* One more life for each number that was not reached. */
static void live_again(struct hf_pool *pool, struct sweep *sweep, struct hf_life_plan plan)
{
    unsigned numbers[SHORT_MOST], count = sweep->unreached_count;

    memcpy(numbers, sweep->unreached, sizeof(numbers));
    sweep->unreached_count = 0;
    sweep->lives_left--;
    for (unsigned i = 0; i < count; i++) {
        plan.nth = numbers[i];
        hf_pool_start(pool, &plan);
    }
    hf_pool_finish(pool);
}

static void sweep_numbers(
    struct hf_pool *pool, struct sweep *sweep, struct hf_life_plan plan, unsigned expected)
{
    const char *only = getenv("HF_OOM_NTH");

    sweep->row = &rows[row_count++];
    *sweep->row = (struct row){.kind = plan.share ? "shared" : "alone",
        .step = hf_step_name(plan.step),
        .by = plan.by,
        .rest = plan.rest,
        .count = expected};
    sweep->over = false;
    plan.nth = sweep->last == 0 || expected < sweep->last ? 1 : expected - sweep->last + 1;
    if (only) {
        plan.nth = (unsigned)atoi(only);
        hf_pool_start(pool, &plan);
    }
    sweep->lives_left = LIVES_MOST - 1;
    for (; !only && !sweep->over && sweep->shown < SHOWN_MOST; plan.nth++) {
        show_progress(&plan, expected);
        hf_pool_start(pool, &plan);
    }
    hf_pool_finish(pool);
    while (sweep->unreached_count > 0)
        live_again(pool, sweep, plan);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

/* Steps that are to have none. */
static const unsigned steps_without = 1u << HF_STEP_EXPLAIN | 1u << HF_STEP_DISCONNECT;

/* Lives of a step with a request are mostly waiting; the others keep the processor busy. */
static int at_a_time(enum hf_step step)
{
    return hf_step_asks(step) ? HF_POOL_MOST : 16;
}

/* modes: a bit for each. */
static void sweep_step(enum hf_step step, bool share, unsigned last, unsigned modes)
{
    static struct sweep sweep;
    struct hf_life_plan plan = {.share = share, .step = step};
    struct hf_pool *pool;

    if (hf_allocations_unavailable())
        return hf_test_skip(hf_allocations_unavailable());
    memset(&sweep, 0, sizeof(sweep));
    sweep.last = last;
    pool = hf_pool_create(&life, at_a_time(step), on_done, &sweep);
    hf_pool_start(pool, &plan);
    hf_pool_finish(pool);
    for (int by = 0; by <= (hf_step_asks(step) ? HF_BY_THREADS : HF_BY_CALLER); by++) {
        for (int mode = 0; sweep.whole.counts[by] > 0 && mode < MODES; mode++) {
            if (!(modes & 1u << mode))
                continue;
            plan.by = (enum hf_by)by;
            plan.rest = mode == WITH_REST;
            sweep_numbers(pool, &sweep, plan, sweep.whole.counts[by]);
        }
    }
    hf_pool_destroy(pool);
    if (steps_without & 1u << step)
        CHECK_INT_EQ(sweep.whole.counts[HF_BY_CALLER], 0);
}

/* libcurl waits for ten descriptors without an allocation; for more, when it fails, not at all. */
static void test_crowd(void)
{
    struct hf_crowd *crowd;
    int status = -1;
    pid_t pid;

    if (hf_allocations_unavailable())
        return hf_test_skip(hf_allocations_unavailable());
    crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(crowd != MAP_FAILED);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hf_crowd_live(life.plugin, crowd);
        _exit(0);
    }
    CHECK_INT_EQ(waitpid(pid, &status, 0), pid);
    CHECK_INT_EQ(status, 0); /* it has come to its end, that is behind fini */
    CHECK_INT_EQ(crowd->waiting, HF_CROWD);
    CHECK_INT_BETWEEN(crowd->refused, 2, 25); /* within half a second */
    CHECK_INT_BETWEEN(crowd->fini_ms, 0, hf_wait_slow_ms(2000));
    munmap(crowd, sizeof(*crowd));
}

#define ALONE (1u << BY_ITSELF)
#define REST (1u << WITH_REST)
#define STEP(function, step, share, last, modes) \
    static void function(void) \
    { \
        sweep_step(step, share, last, modes); \
    }
STEP(test_init, HF_STEP_INIT, false, 0, ALONE)
STEP(test_init_rest, HF_STEP_INIT, false, 0, REST)
STEP(test_connect, HF_STEP_CONNECT, false, 0, ALONE | REST)
STEP(test_status, HF_STEP_STATUS, false, 0, ALONE | REST)
STEP(test_metrics, HF_STEP_METRICS, false, 0, ALONE | REST)
STEP(test_explain, HF_STEP_EXPLAIN, false, 0, ALONE | REST)
STEP(test_reload, HF_STEP_RELOAD, false, 0, ALONE | REST)
STEP(test_second, HF_STEP_SECOND, false, 0, ALONE | REST)
STEP(test_third, HF_STEP_THIRD, false, 0, ALONE | REST)
STEP(test_disconnect, HF_STEP_DISCONNECT, false, 0, ALONE | REST)
STEP(test_fini, HF_STEP_FINI, false, 0, ALONE | REST)
STEP(test_shared_init, HF_STEP_INIT, true, 32,
    ALONE | REST) /* before these it is the same as alone */
STEP(test_shared_connect, HF_STEP_CONNECT, true, 0, ALONE | REST)
STEP(test_shared_fini, HF_STEP_FINI, true, 0, ALONE | REST)

static const struct hf_test tests[] = {
    {"C75 no memory once in init: refused, or nothing is missing; and the next one works",
        test_init},
    {"C75 no memory from a point in init on: refused; and the next one works", test_init_rest},
    {"C60 C63 no memory at the first connection or request: defaults, then the flags",
        test_connect},
    {"C51 no memory for the status as JSON: whole or not there", test_status},
    {"C51 no memory for the status as metrics: whole or not there", test_metrics},
    {"explain, flag_index and is_enabled allocate nothing", test_explain},
    {"C84 no memory in reload: refused as a whole, and the next one works", test_reload},
    {"C64 no memory for a look-up and a second request: the flags stay, then the new ones",
        test_second},
    {"C64 C71 no memory for a conditional request: the flags stay", test_third},
    {"on_disconnect allocates nothing", test_disconnect},
    {"C75 C80 no memory in fini: it ends, and nothing is left", test_fini},
    {"C55 C75 no memory to wait for many answers: the worker rests, and fini ends it", test_crowd},
    {"C75 shared: no memory in init", test_shared_init},
    {"C60 C63 shared: no memory at the first connection or request", test_shared_connect},
    {"C75 C80 shared: no memory in fini", test_shared_fini},
};

static void print_table(void)
{
    printf(
        "\n%-8s%-12s%-9s%-9s%12s%10s", "cache", "step", "by", "fails", "allocations", "survived");
    for (int effect = HF_NO_EFFECT; effect < HF_EFFECTS; effect++)
        printf("  %14s", hf_effect_name((enum hf_effect)effect));
    printf("  %14s%14s%12s\n", "lost by json-c", "shorter lives", "not reached");
    for (size_t i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        printf("%-8s%-12s%-9s%-9s%12u%10u", row->kind, row->step,
            row->by == HF_BY_CALLER ? "caller" : "threads", row->rest ? "and rest" : "alone",
            row->count, row->survived);
        for (int effect = HF_NO_EFFECT; effect < HF_EFFECTS; effect++)
            printf("  %14u", row->effects[effect]);
        printf("  %14u%14u%12u\n", row->lost, row->shorter, row->missed);
    }
    for (size_t i = 0; i < KEEPERS; i++)
        printf("not counted as left: in %u lives, at most %u %s(s): %s\n", keepers[i].lives,
            keepers[i].count, keepers[i].kind == HF_KEPT_BLOCK ? "block" : "mapping",
            keepers[i].reason);
}

int main(int argc, char **argv)
{
    struct hf_services services;
    char *directory = hf_tmpdir_create();
    char *token_file = hf_tmpdir_write(directory, "token", "secret\n");
    int status = 1;

    life = (struct hf_life){hf_test_host_load(NULL), &services, token_file};
    if (life.plugin && hf_services_start(&services)) {
        hf_within_prepare(hf_test_plugin_path());
        status = hf_suite_run("oom", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
        print_table();
        hf_services_stop(&services);
    }
    hf_tmpdir_remove(directory);
    free(token_file);
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A thread that is late: it stands still after any one instruction of a call, fini and perhaps init
 * happen meanwhile, and then it goes on. It must neither fault nor change anything of the registry
 * that there is by now; what it gets of that one is whole, and can be given back.
 *
 * One thread is enough for that: the processor stops it after each instruction (the trap flag), and
 * the handler of that signal plays init and fini. Where the thread holds the registry's lock, they
 * wait until it does not, as they do in truth. Memory lies in front of pages that may not be
 * touched, so that what leads beyond it is seen.
 */
#include "tests/unit/registry_fixture.h"

#include "plugin/references.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

/* Sanitizers have many instructions more, and see nothing that the pages do not. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define CAN_STEP true
#else
#define CAN_STEP false
#endif

#if defined(__x86_64__)
#define FLAGS(context) ((ucontext_t *)(context))->uc_mcontext.gregs[REG_EFL]
#define TRAP_FLAG ((greg_t)0x100)
#else /* not reached */
static int no_flags;
#define FLAGS(context) (*((void)(context), &no_flags))
#define TRAP_FLAG 0
#endif

#define GUARD_BYTES (UINT64_C(4) << 30) /* more than any number in a word leads to */
#define NOW 5000

enum { STEPS_MOST = 20000 };

/* ---- memory: two ranges, as an instance has where tables differ ---- */

struct range {
    char *start;
    size_t bytes;
};

static void range_make(struct range *range, size_t bytes)
{
    range->bytes = (bytes + 4095) / 4096 * 4096;
    range->start = mmap(NULL, range->bytes + GUARD_BYTES, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range->start == MAP_FAILED ||
        mprotect(range->start, range->bytes, PROT_READ | PROT_WRITE) != 0)
        abort();
}

static void range_free(struct range *range)
{
    munmap(range->start, range->bytes + GUARD_BYTES);
}

/* ---- what happens meanwhile ---- */

/* One life of the registry. */
struct life {
    struct hf_settings *settings; /* NULL: closed, and not opened again */
    struct range *range;
    uint32_t owner;
};

static struct hf_registry registry;
static struct life before, after;
static volatile bool holds_lock, happened, stepping;
static volatile long steps, when, happened_at;

static void take_lock(void *arg)
{
    (void)arg;
    holds_lock = true;
}

static void give_lock(void *arg)
{
    (void)arg;
    holds_lock = false;
}

static void open_life(const struct life *life, uint32_t salt)
{
    hf_registry_open(&registry, life->range->start, life->settings, salt);
    atomic_store(&registry.owner, life->owner);
    if (life->owner != 0)
        hf_registry_block(&registry)->owners_used = life->owner + 1;
}

static void fini_and_init(void)
{
    memset(before.range->start, 0, before.range->bytes);
    atomic_store(&registry.owner, 0);
    if (after.settings != NULL)
        open_life(&after, 0x2468ace0);
    happened = true;
    happened_at = steps;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    FLAGS(context) |= TRAP_FLAG;
    if (stepping && ++steps >= when && !holds_lock && !happened)
        fini_and_init();
    if (happened || !stepping)
        FLAGS(context) &= ~TRAP_FLAG;
}

/* ---- the calls ---- */

static struct hf_upstream_key known, unknown;
static hf_handle handle;
static struct hf_acquired acquired;

static void call_read(void)
{
    hf_registry_read(&registry, handle, 0);
}

static void call_release(void)
{
    hf_registry_release(&registry, handle, NOW);
}

static void call_acquire_known(void)
{
    acquired = hf_registry_acquire(&registry, &known, NOW);
}

static void call_acquire_unknown(void)
{
    acquired = hf_registry_acquire(&registry, &unknown, NOW);
}

static void call_awaken(void)
{
    hf_registry_awaken(&registry, handle, NOW);
}

static void call_view(void)
{
    static struct hf_view view;

    hf_registry_view_connection(&registry, handle, &view);
}

static const struct {
    const char *name;
    void (*run)(void);
    bool acquires;
} calls[] = {
    {"read", call_read, false},
    {"release", call_release, false},
    {"acquire of a known host", call_acquire_known, true},
    {"acquire of an unknown host", call_acquire_unknown, true},
    {"awaken", call_awaken, false},
    {"view", call_view, false},
};

/* With a step after each instruction, from within raise() on; false: it ended before its time. */
static bool run_stepped(void (*run)(void), long time)
{
    steps = 0;
    when = time;
    happened = false;
    stepping = true;
    raise(SIGTRAP);
    run();
    stepping = false;
    return happened;
}

/* ---- what must be true afterwards ---- */

static char *pristine; /* the life after, as it was opened */

static uint64_t references_in(struct hf_block *block)
{
    uint64_t sum = 0;

    for (uint32_t host = 0; host < HF_LOAD(block->max_hosts); host++)
        for (uint32_t owner = 0; owner < HF_LOAD(block->owners); owner++)
            sum += hf_references_count(block, host, owner);
    return sum;
}

static uint64_t connections_in(struct hf_block *block)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < HF_LOAD(block->max_connections); i++)
        sum += (uint32_t)HF_LOAD(*hf_block_connection(block, i)) != HF_CONN_FREE;
    return sum;
}

/* A handle that it got is whole, if it is one of the life there is now; otherwise nothing is left
 * of the call. */
static bool is_right_after_acquire(void)
{
    struct hf_block *block = hf_registry_block(&registry);
    uint32_t host;

    if (hf_connection_host(block, acquired.handle, &host)) {
        if (references_in(block) != 1 || connections_in(block) != 1 ||
            !hf_registry_release(&registry, acquired.handle, NOW))
            return false;
    }
    return references_in(block) == 0 && connections_in(block) == 0;
}

static bool is_right(bool acquires)
{
    if (acquires)
        return is_right_after_acquire();
    return after.settings == NULL || memcmp(after.range->start, pristine, after.range->bytes) == 0;
}

static void prepare(void)
{
    memset(before.range->start, 0, before.range->bytes);
    if (after.range != before.range)
        memset(after.range->start, 0, after.range->bytes);
    open_life(&before, 0x13579bdf);
    acquired = hf_registry_acquire(&registry, &known, 1000);
    handle = acquired.handle;
    acquired.handle = 0;
    if (handle == 0)
        abort();
}

static void sweep(void (*run)(void), const char *name, bool acquires)
{
    long time = 1, pauses = 0;

    /* With the lock, the pause comes behind it: all times until then are the same one. */
    for (; time < STEPS_MOST; time = happened_at + 1, pauses++) {
        prepare();
        if (!run_stepped(run, time))
            break;
        if (!is_right(acquires)) {
            printf("        %s: not right after a pause at step %ld\n", name, time);
            CHECK(!"nothing is changed by who is late");
            return;
        }
    }
    printf("        %-28s %ld pauses in %ld steps\n", name, pauses, time);
    CHECK(pauses > 10 && time < STEPS_MOST);
}

/* ---- lives ---- */

#define SETTINGS(...) fixture_settings((const char *const[]){__VA_ARGS__, NULL})

static void sweep_all(void)
{
    static const struct hf_lock lock = {take_lock, give_lock, NULL};
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, former;

    known = key_of("known.example");
    unknown = key_of("unknown.example");
    registry.lock = &lock;
    if (after.settings != NULL) {
        memset(after.range->start, 0, after.range->bytes);
        open_life(&after, 0x2468ace0);
        pristine = malloc(after.range->bytes);
        memcpy(pristine, after.range->start, after.range->bytes);
    }
    sigaction(SIGTRAP, &action, &former);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        sweep(calls[i].run, calls[i].name, calls[i].acquires);
    sigaction(SIGTRAP, &former, NULL);
    free(pristine);
    pristine = NULL;
}

/* Takes the settings over. second NULL: fini alone. elsewhere: as an instance does it where the
 * tables differ in size or owners. */
static void live(struct hf_settings *first, uint32_t first_owner, struct hf_settings *second,
    uint32_t second_owner, bool elsewhere)
{
    struct range ranges[2];

    range_make(&ranges[0], hf_registry_bytes(first));
    range_make(&ranges[1], elsewhere ? hf_registry_bytes(second) : 1);
    before = (struct life){first, &ranges[0], first_owner};
    after = (struct life){second, &ranges[elsewhere], second_owner};
    if (CAN_STEP && getenv("HF_UNDER_VALGRIND") == NULL)
        sweep_all();
    else
        hf_test_skip("here no thread can be stopped after each instruction");
    range_free(&ranges[0]);
    range_free(&ranges[1]);
    hf_settings_destroy(first);
    if (second != NULL)
        hf_settings_destroy(second);
}

#define TABLES "max_hosts", "8", "max_connections", "16"

static void test_fini(void)
{
    live(SETTINGS(TABLES), 0, NULL, 0, false);
}

static void test_fini_asleep(void)
{
    /* So many that the number of a word, taken for that of a host, leads beyond the memory. */
    live(SETTINGS("max_connections", "20000", "prefetch", "off"), 0, NULL, 0, false);
}

static void test_same_tables(void)
{
    live(SETTINGS(TABLES), 0, SETTINGS(TABLES), 0, false);
}

static void test_same_tables_without_linger(void)
{
    live(SETTINGS(TABLES, "linger", "0", "prefetch", "off"), 0,
        SETTINGS(TABLES, "linger", "0", "prefetch", "off"), 0, false);
}

static void test_other_tables(void)
{
    live(SETTINGS("max_hosts", "600", "max_connections", "16"), 0,
        SETTINGS("max_hosts", "1", "max_connections", "3000"), 0, true);
}

static void test_share_off(void)
{
    live(SETTINGS(TABLES, "share", "on"), 200, SETTINGS(TABLES), 0, true);
}

static void test_share_on(void)
{
    live(SETTINGS(TABLES), 0, SETTINGS(TABLES, "share", "on"), 0, true);
}

static void test_another_owner(void)
{
    live(SETTINGS(TABLES, "share", "on"), 3, SETTINGS(TABLES, "share", "on"), 7, false);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C77 fini at any instruction of a call", test_fini},
        {"C77 the same with prefetch = off", test_fini_asleep},
        {"C76 C77 fini and init at any instruction of a call", test_same_tables},
        {"C76 C77 the same with linger = 0 and prefetch = off", test_same_tables_without_linger},
        {"C76 C77 fini, and init with tables of another size", test_other_tables},
        {"C76 C77 fini, and init with share = off instead of on", test_share_off},
        {"C76 C77 fini, and init with share = on instead of off", test_share_on},
        {"C76 C77 fini, and init with share = on, as another owner", test_another_owner},
    };

    return hf_suite_run("late", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

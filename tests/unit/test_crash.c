/* SPDX-License-Identifier: PostgreSQL
 *
 * A process is killed after each instruction that changed the shared tables, in turn, in everything
 * that changes them. Whoever comes next has to find a table that is whole, with the references of
 * the living and no others, and with no host that is forgotten.
 */
#include "tests/support/crash.h"
#include "tests/unit/shared_scene.h"
#include "tests/unit/table_check.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARE_BYTES 2048 /* of the share: its locks, states and the first lives */
#define MOST_POINTS 3000
#define RUN_MS 20000
#define DUE (NOW + 14 * MINUTE + 30 * SECOND) /* what was fetched at NOW is due for a refresh */

#define SETTINGS(...) \
    (const char *const[]) \
    { \
        "share", "on", "max_hosts", "3", "max_connections", "8" __VA_OPT__(, ) __VA_ARGS__, NULL \
    }

struct act {
    const char *const *settings;
    void (*survivor)(struct scene *scene); /* first, in this process */
    void (*before)(struct scene *scene); /* then, in the child, unwatched */
    void (*act)(struct scene *scene); /* and then this */
};

static struct scene scene;
static const struct act *running;
static hf_handle survivors; /* the survivor's connection to a.example, whose flag 0 is on */
static hf_handle childs; /* the child's connection, made before */

/* ---- what the survivor has done before ---- */

static hf_handle connect_and_ask(struct scene *s, const char *name, int64_t now)
{
    hf_handle handle = connect_at(&s->f, name, now);

    hf_registry_awaken(&s->f.registry, handle, now);
    return handle;
}

/* All that are due, each with flag 0 on. */
static void answer(struct scene *s, int64_t now)
{
    struct hf_job jobs[3];
    size_t count = hf_registry_take_due(&s->f.registry, now, jobs, 3);

    for (size_t i = 0; i < count; i++)
        succeed(&s->f, &jobs[i], 1, 900, now);
}

static void hold_one(struct scene *s)
{
    survivors = connect_and_ask(s, "a.example", NOW);
    answer(s, NOW);
}

static void hold_one_of_three(struct scene *s)
{
    hold_one(s);
    hf_registry_release(&s->f.registry, connect_and_answer(&s->f, "b.example", 1, NOW), NOW);
    hf_registry_release(
        &s->f.registry, connect_and_answer(&s->f, "c.example", 1, NOW + 1), NOW + 1);
}

/* Another process has joined, done something, and is dead. */
static void let_die(struct scene *s, void (*act)(struct scene *s))
{
    pid_t child = fork();

    if (child == 0) {
        scene_child(s);
        act(s);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void hold_two(struct scene *s)
{
    connect_at(&s->f, "a.example", NOW);
    connect_at(&s->f, "b.example", NOW);
}

static void leave_references(struct scene *s)
{
    hold_one(s);
    let_die(s, hold_two);
}

/* Dies with the lock, and with all in disorder that may be. */
static void die_in_disorder(struct scene *s)
{
    struct hf_block *block = hf_registry_block(&s->f.registry);
    struct hf_host_entry *entry = hf_block_host(block, 0);

    connect_at(&s->f, "b.example", NOW);
    hf_registry_lock(&s->f.registry);
    HF_STORE(entry->word, HF_LOAD(entry->word) | HF_HOST_PARKED);
    for (uint32_t place = 0; place <= HF_LOAD(block->index_mask); place++)
        HF_STORE(*hf_index_slot(block, place), 1);
    block->heap_count = 1;
    block->first_free = 2;
    HF_STORE(*hf_block_published(block, 0), 0);
    HF_STORE(*hf_block_fallback(block), 7);
}

static void leave_disorder(struct scene *s)
{
    hold_one(s);
    let_die(s, die_in_disorder);
}

/* ---- what the child does ---- */

static void nothing(struct scene *s)
{
    (void)s;
}

static void join(struct scene *s)
{
    scene_child(s);
}

static void connect_known(struct scene *s)
{
    childs = connect_at(&s->f, "a.example", NOW);
}

static void connect_new(struct scene *s)
{
    childs = connect_at(&s->f, "b.example", NOW);
}

static void connect_evicting(struct scene *s)
{
    connect_at(&s->f, "d.example", NOW + 2);
}

static void connect_after_linger(struct scene *s)
{
    connect_at(&s->f, "b.example", NOW + HOUR);
}

static void release(struct scene *s)
{
    hf_registry_release(&s->f.registry, childs, NOW);
}

static void bury(struct scene *s)
{
    scene_bury(s, NOW);
}

static void repair(struct scene *s)
{
    hf_registry_next_due(&s->f.registry);
}

static void publish(struct scene *s)
{
    struct hf_completion completion = {.outcome = HF_OUTCOME_OK,
        .http_status = 200,
        .document = {.sent = 7, .on = 7, .ttl_seconds = 900},
        .etag = "\"new\"",
        .message = ""};
    struct hf_job job;

    if (take(&s->f, DUE, &job))
        hf_registry_complete(&s->f.registry, &job, &completion, DUE, 0);
}

static void not_modified(struct scene *s)
{
    struct hf_completion completion = {
        .outcome = HF_OUTCOME_OK, .http_status = 304, .etag = "", .message = ""};
    struct hf_job job;

    if (take(&s->f, DUE, &job))
        hf_registry_complete(&s->f.registry, &job, &completion, DUE, 0);
}

/* The host has left meanwhile, and failed. */
static void end_of_a_record(struct scene *s)
{
    struct hf_job job;

    connect_new(s);
    if (take(&s->f, NOW, &job)) {
        hf_registry_release(&s->f.registry, childs, NOW);
        fail_with(&s->f, &job, 503, NOW + SECOND);
    }
}

static void refresh(struct scene *s)
{
    struct hf_upstream_key key = key_of("b.example");

    hf_registry_refresh(&s->f.registry, &key, NOW);
}

static void fail(struct scene *s)
{
    struct hf_job job;

    if (take(&s->f, DUE, &job))
        fail_with(&s->f, &job, 503, DUE);
}

/* Idle hosts are parked, leave, and their records go. */
static void tend(struct scene *s)
{
    struct hf_job jobs[3];

    hf_registry_take_due(&s->f.registry, DUE, jobs, 3);
    hf_registry_take_due(&s->f.registry, DUE + MINUTE, jobs, 3);
}

static void read_settings(struct scene *s)
{
    s->f.settings = fixture_settings(SETTINGS("overrides", "b=on", "allowed_hosts", "a.example"));
}

static void reload(struct scene *s)
{
    hf_registry_apply(&s->f.registry, s->f.settings, NOW);
}

static void awaken(struct scene *s)
{
    hf_registry_awaken(&s->f.registry, childs, NOW);
}

static void lead(struct scene *s)
{
    struct hf_job job;

    if (hf_share_begin_to_lead(s->share, HF_LOAD(s->f.registry.owner)) && take(&s->f, DUE, &job))
        hf_registry_lead(&s->f.registry, DUE + SECOND);
}

/* The one that led has died with its request in flight, and so has the next one. */
static void lose_once(struct scene *s)
{
    struct hf_job job;

    if (hf_share_begin_to_lead(s->share, HF_LOAD(s->f.registry.owner)))
        take(&s->f, DUE, &job);
}

static void leave_in_flight(struct scene *s)
{
    hold_one(s);
    let_die(s, lose_once);
}

static void lead_after_loss(struct scene *s)
{
    struct hf_job job;

    if (hf_share_begin_to_lead(s->share, HF_LOAD(s->f.registry.owner))) {
        hf_registry_lead(&s->f.registry, DUE + SECOND);
        take(&s->f, DUE + 2 * SECOND, &job);
        hf_registry_lead(&s->f.registry, DUE + 3 * SECOND);
    }
}

/* ---- and then the survivor goes on ---- */

/* Everything still works: old and new hosts are connected to, asked and read, and leave. */
static void go_on(struct scene *s, int64_t now)
{
    hf_handle fresh = connect_and_ask(s, "e.example", now);

    if (!CHECK(fresh != 0))
        return;
    answer(s, now);
    CHECK_INT_EQ(read_flag(&s->f, fresh, 0), 1);
    CHECK_INT_EQ(read_flag(&s->f, survivors, 0), 1);
    CHECK_INT_EQ(references_of(&s->f, "a.example", now), 1);
    CHECK(hf_registry_release(&s->f.registry, fresh, now));
    CHECK(!hf_registry_release(&s->f.registry, fresh, now));
    check_table(&s->f.registry, 1);
}

static void prepare_child(void *ctx)
{
    (void)ctx;
    if (running->before == NULL)
        return;
    scene_child(&scene);
    running->before(&scene);
}

static void step(void *ctx)
{
    (void)ctx;
    running->act(&scene);
}

/* False: the child came to its end before the n-th change. */
static bool crash_at(unsigned n)
{
    const struct hf_crash_region regions[] = {
        {scene.f.memory, scene.f.bytes}, {scene.share, SHARE_BYTES}};
    const struct hf_crash crash = {prepare_child, step, NULL, regions, 2, RUN_MS};
    char error[256] = "";
    int killed = hf_crash_at(&crash, n, error, sizeof(error));

    CHECK_STR_EQ(error, "");
    CHECK(killed >= 0);
    return killed > 0;
}

/* A request that a dead refresher began has to be asked again, at the latest when its answer would
 * have been given up. */
static void check_nobody_is_forgotten(struct scene *s)
{
    struct hf_job job;
    int64_t now = NOW + 16 * MINUTE;
    struct hf_view view;

    hf_registry_lead(&s->f.registry, now);
    if (view_of(&s->f, "a.example", now, &view) && view.facts.fetched_ms == NOW)
        CHECK(take(&s->f, now + MINUTE, &job) && strcmp(job.key.host, "a.example") == 0 &&
            succeed(&s->f, &job, 1, 900, now + MINUTE).counted);
}

static void sweep(const struct act *act)
{
    unsigned n = 0, failures = CU_get_number_of_failures();
    bool more = true;

    if (hf_crash_unavailable() != NULL) {
        hf_test_skip(hf_crash_unavailable());
        return;
    }
    running = act;
    while (more && n < MOST_POINTS) {
        scene_open(&scene, act->settings);
        act->survivor(&scene);
        more = crash_at(++n);
        scene_bury(&scene, NOW + MINUTE);
        check_table(&scene.f.registry, 1);
        CHECK_INT_EQ(read_flag(&scene.f, survivors, 0), 1);
        check_nobody_is_forgotten(&scene);
        go_on(&scene, NOW + 20 * MINUTE);
        if (CU_get_number_of_failures() > failures) {
            fprintf(stderr, "at the %u-th change\n", n);
            more = false;
        }
        scene_close(&scene);
    }
    CHECK_INT_BETWEEN(n, 3, MOST_POINTS - 1);
    printf("        %u changes\n", n - 1);
}

#define SWEEP(name, first, then, at_last, ...) \
    static void test_##name(void) \
    { \
        sweep(&(const struct act){SETTINGS(__VA_ARGS__), first, then, at_last}); \
    }

SWEEP(join, hold_one, NULL, join)
SWEEP(connect, hold_one, nothing, connect_known)
SWEEP(insert, hold_one, nothing, connect_new)
SWEEP(evict, hold_one_of_three, nothing, connect_evicting)
SWEEP(begin_anew, hold_one_of_three, nothing, connect_after_linger)
SWEEP(disconnect, hold_one, connect_known, release)
SWEEP(remove, hold_one, connect_new, release, "linger", "0")
SWEEP(publish, hold_one, nothing, publish)
SWEEP(fail, hold_one, nothing, fail)
SWEEP(tend, hold_one_of_three, nothing, tend, "linger", "10min")
SWEEP(reload, hold_one_of_three, read_settings, reload)
SWEEP(awaken, hold_one, connect_new, awaken, "prefetch", "off")
SWEEP(refresh, hold_one, connect_new, refresh, "prefetch", "off")
SWEEP(not_modified, hold_one, nothing, not_modified)
SWEEP(end_of_a_record, hold_one, nothing, end_of_a_record, "linger", "0")
SWEEP(lead, hold_one, nothing, lead)
SWEEP(lead_after_loss, leave_in_flight, nothing, lead_after_loss)
SWEEP(bury, leave_references, nothing, bury)
SWEEP(bury_last, leave_references, nothing, bury, "linger", "0")
SWEEP(repair, leave_disorder, NULL, repair)

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C93 killed at any step of joining", test_join},
        {"C93 killed at any step of connect", test_connect},
        {"C93 killed at any step of insert", test_insert},
        {"C93 killed at any step of an insert into a full table", test_evict},
        {"C93 killed at any step of a connect that begins a new life", test_begin_anew},
        {"C93 killed at any step of disconnect", test_disconnect},
        {"C93 killed at any step of remove", test_remove},
        {"C93 killed at any step of publish", test_publish},
        {"C93 killed at any step of a 304", test_not_modified},
        {"C93 killed at any step of a failure", test_fail},
        {"C93 killed at any step of a failure of a host that has left", test_end_of_a_record},
        {"C93 killed at any step of parking and leaving", test_tend},
        {"C93 killed at any step of a reload", test_reload},
        {"C93 killed at any step of the first read", test_awaken},
        {"C93 killed at any step of refresh()", test_refresh},
        {"C93 killed at any step of taking the lead", test_lead},
        {"C93 killed at any step of taking the lead after another such death",
            test_lead_after_loss},
        {"C93 killed at any step of a burial", test_bury},
        {"C93 killed at any step of a burial that ends a host's life", test_bury_last},
        {"C93 killed at any step of a repair", test_repair},
    };
    return hf_suite_run("crash", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

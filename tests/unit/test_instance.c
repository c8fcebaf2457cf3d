/* SPDX-License-Identifier: PostgreSQL
 *
 * An instance that shares its registry, beside a process that holds the tables' lock: stopped there
 * for as long as it likes, or dead in the middle of a change.
 */
#include "plugin/block.h"
#include "plugin/instance.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct hf_instance instance;
static const struct hf_log no_log;

static struct hf_settings *settings_with(const char *share, const char *max_hosts)
{
    struct hf_settings *settings = hf_settings_create();
    char error[256];

    if (hf_settings_set(settings, "flags", "a", error, sizeof(error)) != 0 ||
        hf_settings_set(settings, "share", share, error, sizeof(error)) != 0 ||
        hf_settings_set(settings, "max_hosts", max_hosts, error, sizeof(error)) != 0 ||
        hf_settings_finish(settings, error, sizeof(error)) != 0)
        abort();
    return settings;
}

static void start(void)
{
    hf_instance_init(&instance, &no_log, NULL);
    CHECK_INT_EQ(hf_instance_up(&instance, settings_with("on", "1024")), HF_UP_OK);
}

/* Another process, stopped with the lock. */
static pid_t start_holder(void)
{
    pid_t child = fork();

    if (child == 0) {
        hf_instance_forked(&instance);
        hf_registry_lock(&instance.registry);
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(child, NULL, WUNTRACED);
    return child;
}

static void kill_holder(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* The suite ends a test that hangs. */
static void test_stopped_holder(void)
{
    pid_t holder;

    start();
    holder = start_holder();
    hf_instance_stop(&instance);
    hf_instance_down(&instance, hf_instance_close(&instance));
    CHECK_INT_EQ(kill(holder, 0), 0);
    kill_holder(holder);
}

/* One whose registry is closed cannot repair what it does not see, and must not say that it did. */
static void test_dead_holder(void)
{
    struct hf_share *share;
    struct hf_settings *settings;
    struct hf_rules rules;
    pid_t holder;

    start();
    share = instance.share;
    holder = start_holder();
    settings = hf_instance_close(&instance);
    kill_holder(holder);
    rules = hf_registry_rules(&instance.registry); /* as refresh() does without another lock */
    CHECK(!rules.enabled);
    CHECK(hf_share_lock(share)); /* still to be repaired */
    hf_share_repaired(share);
    hf_share_unlock(share);
    hf_instance_down(&instance, settings);
}

/* A fork that another thread's init or fini is in the midst of. */
static void test_forked_when_closed(void)
{
    struct hf_settings *settings;
    pid_t child;
    int status = -1;

    start();
    settings = hf_instance_close(&instance);
    child = fork();
    if (child == 0) {
        hf_instance_forked(&instance);
        _exit(instance.settings == NULL && instance.share == NULL && !instance.sharing &&
                    hf_registry_is_closed(&instance.registry)
                ? 0
                : 1);
    }
    waitpid(child, &status, 0);
    CHECK_INT_EQ(status, 0);
    hf_instance_down(&instance, settings);
}

/* Before the process can count anything, one that refreshes alone has heard of it, and will look
 * whether it is still there. */
static void test_joining_is_heard(void)
{
    uint32_t heard;

    start();
    heard = hf_share_bell(instance.share);
    CHECK(hf_life_join(&instance.life, 0));
    CHECK(HF_LOAD(instance.registry.owner) != 0);
    CHECK(hf_share_bell(instance.share) != heard);
    hf_instance_stop(&instance);
    hf_instance_down(&instance, hf_instance_close(&instance));
}

/* One life; where its tables were. */
static char *live(const char *share, const char *max_hosts)
{
    char *tables;

    CHECK_INT_EQ(hf_instance_up(&instance, settings_with(share, max_hosts)), HF_UP_OK);
    tables = instance.memory.start;
    hf_instance_stop(&instance);
    hf_instance_down(&instance, hf_instance_close(&instance));
    return tables;
}

static bool is_closed(const char *tables)
{
    static const char zeros[sizeof(struct hf_block)];

    return memcmp(tables, zeros, sizeof(zeros)) == 0;
}

/* What a late thread has read of one layout must not meet another one in the same memory. */
static void test_other_tables(void)
{
    char *shared, *more, *less;

    hf_instance_init(&instance, &no_log, NULL);
    shared = live("on", "2000"); /* each of the next ones would have room in that before it */
    more = live("off", "2000");
    CHECK(more != shared);
    CHECK(live("off", "2000") == more);
    less = live("off", "1000");
    CHECK(less != more && less != shared);
    CHECK(is_closed(shared) && is_closed(more)); /* and still there */
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C75 C93 fini does not wait for a process that was stopped with the lock",
            test_stopped_holder},
        {"C93 who has no tables any more repairs none", test_dead_holder},
        {"C92 that a process has joined is heard", test_joining_is_heard},
        {"C76 C77 tables of another size or owners get memory of their own", test_other_tables},
        {"C79 forked in the midst of fini: not initialised", test_forked_when_closed},
    };
    return hf_suite_run("instance", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

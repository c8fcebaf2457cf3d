/* SPDX-License-Identifier: PostgreSQL */
#include "hosts/postgres/shared.h"

#include "hosts/postgres/gucs.h"
#include "plugin/clock.h"

#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"

#define TRANCHE "hostflags"

static struct hf_pg_shared *shared; /* NULL: not preloaded */
static struct hf_registry registry;
static uint32_t settings_number;
static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

static void take(void *arg)
{
    LWLockAcquire(arg, LW_EXCLUSIVE);
}

static void give(void *arg)
{
    LWLockRelease(arg);
}

static struct hf_lock lock = {take, give, NULL};

/* ---- the log ---- */

/* What the cache has to say is for whoever runs the server, not for whoever happens to use it. */
static int elevel(enum hf_log_level level)
{
    switch (level) {
    case HF_ERROR:
    case HF_WARNING:
        return whereToSendOutput == DestRemote ? LOG_SERVER_ONLY : WARNING;
    case HF_INFO:
        return LOG_SERVER_ONLY;
    case HF_DEBUG:
        break;
    }
    return DEBUG1;
}

static void write_log(void *arg, enum hf_log_level level, const char *line)
{
    (void)arg;
    ereport(elevel(level), errmsg_internal("hostflags: %s", line), errhidestmt(true));
}

const struct hf_log hf_pg_log = {write_log, NULL};

/* ---- in the postmaster ---- */

static size_t shared_bytes(void)
{
    return offsetof(struct hf_pg_shared, block) + hf_registry_bytes(registry.settings);
}

static void request(void)
{
    if (next_request_hook)
        next_request_hook();
    RequestAddinShmemSpace(shared_bytes());
    RequestNamedLWLockTranche(TRANCHE, 1);
}

/* told: as hf_pg_gucs_take. */
static void follow_gucs(char told[HF_LOG_LINE_MAX])
{
    struct hf_settings *made = hf_pg_gucs_take(told, HF_LOG_LINE_MAX);

    if (unlikely(made != NULL))
        hf_pg_use_settings(made, false);
}

/* At the start, and once more after a crash: then the memory is new, and all begins empty. It
 * comes from the system as zero pages; those of the registry are not touched before they are
 * needed. The sizes are those of before, since they need a restart. What the postmaster finds out
 * about the parameters is nothing new to the worker, so it is logged here. */
static void startup(void)
{
    char told[HF_LOG_LINE_MAX];
    uint32_t salt;
    bool found;

    if (next_startup_hook)
        next_startup_hook();
    follow_gucs(told);
    hf_pg_gucs_log(told);
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    shared = ShmemInitStruct("hostflags", shared_bytes(), &found);
    lock.arg = &GetNamedLWLockTranche(TRANCHE)->lock;
    registry.lock = &lock;
    if (!found) {
        memset(shared, 0, offsetof(struct hf_pg_shared, block));
        atomic_store(&shared->worker, -1);
        ConditionVariableInit(&shared->heard);
        if (!pg_strong_random(&salt, sizeof(salt)))
            ereport(FATAL, errmsg("hostflags: there are no random numbers to be had"));
        hf_registry_open(&registry, shared->block, registry.settings, salt);
    }
    LWLockRelease(AddinShmemInitLock);
}

void hf_pg_shared_request(struct hf_settings *settings)
{
    registry.settings = settings;
    next_request_hook = shmem_request_hook;
    shmem_request_hook = request;
    next_startup_hook = shmem_startup_hook;
    shmem_startup_hook = startup;
}

/* ---- in all others ---- */

bool hf_pg_is_preloaded(void)
{
    return shared != NULL;
}

void hf_pg_require(void)
{
    char told[HF_LOG_LINE_MAX]; /* the worker logs it */

    if (shared == NULL)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("hostflags must be loaded via shared_preload_libraries"),
            errhint("Add hostflags to shared_preload_libraries in postgresql.conf, and restart the "
                    "server."));
    follow_gucs(told);
}

struct hf_pg_shared *hf_pg_shared(void)
{
    return shared;
}

struct hf_registry *hf_pg_registry(void)
{
    return &registry;
}

void hf_pg_use_settings(struct hf_settings *settings, bool publish)
{
    const struct hf_settings *before = registry.settings;

    if (publish)
        hf_registry_apply(&registry, settings, hf_clock_ms());
    else
        registry.settings = settings;
    settings_number++;
    hf_settings_destroy((struct hf_settings *)before);
}

uint32_t hf_pg_settings_number(void)
{
    return settings_number;
}

const struct hf_settings *hf_pg_settings(void)
{
    return registry.settings;
}

void hf_pg_kick(void)
{
    int worker = atomic_load(&shared->worker);

    if (worker >= 0)
        SetLatch(hf_pg_latch_of(worker));
}

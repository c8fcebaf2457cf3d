/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/instance.h"

#include "plugin/block.h"
#include "plugin/fetch.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What a registry is before it was first opened: a closed one, up to its first word, the fallback.
 * Never written to. */
static _Alignas(64) unsigned char no_block[sizeof(struct hf_block) + sizeof(uint64_t)];

/* Held while libcurl is initialised or cleaned up, and while a process is forked: the child would
 * find a lock of libcurl's own taken, for good. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static int begin_library(void)
{
    int result;

    pthread_mutex_lock(&library);
    result = hf_fetch_global_init();
    pthread_mutex_unlock(&library);
    return result;
}

static void end_library(void)
{
    pthread_mutex_lock(&library);
    hf_fetch_global_cleanup();
    pthread_mutex_unlock(&library);
}

void hf_instance_before_fork(void)
{
    pthread_mutex_lock(&library);
}

void hf_instance_after_fork(void)
{
    pthread_mutex_unlock(&library);
}

/* The mutex of this process first: under it fini takes the tables and the shared mutex away, in one
 * step. Who has no tables any more must not meet the death of one who was changing them. */
static void take(void *arg)
{
    struct hf_instance *instance = arg;

    pthread_mutex_lock(&instance->registry_mutex);
    if (instance->sharing && hf_share_lock(instance->share)) {
        hf_registry_repair_locked(&instance->registry);
        hf_share_repaired(instance->share);
    }
}

static void give(void *arg)
{
    struct hf_instance *instance = arg;

    if (instance->sharing)
        hf_share_unlock(instance->share);
    pthread_mutex_unlock(&instance->registry_mutex);
}

void hf_instance_init(
    struct hf_instance *instance, const struct hf_log *log, const struct hf_token_giver *giver)
{
    static const struct hf_worker no_worker = HF_WORKER_INITIALIZER;
    static const struct hf_life no_life = HF_LIFE_INITIALIZER;

    memset(instance, 0, sizeof(*instance));
    pthread_mutex_init(&instance->registry_mutex, NULL);
    instance->registry_lock = (struct hf_lock){take, give, instance};
    instance->registry.lock = &instance->registry_lock;
    instance->worker = no_worker;
    instance->life = no_life;
    instance->log = log;
    instance->giver = giver;
    HF_STORE(instance->registry.block, (struct hf_block *)(void *)no_block);
}

/* Handles of another life, or of another process, must not fit. */
static uint32_t draw_salt(void)
{
    uint32_t salt;

    if (getrandom(&salt, sizeof(salt), GRND_NONBLOCK) != sizeof(salt))
        salt = ((uint32_t)getpid() << 16 ^ (uint32_t)(uintptr_t)&salt) * 2654435761u;
    return salt;
}

static void open_registry(struct hf_instance *instance, const struct hf_settings *settings)
{
    hf_registry_lock(&instance->registry);
    hf_registry_open(&instance->registry, instance->memory.start, settings, draw_salt());
    hf_registry_unlock(&instance->registry);
}

static void open_worker(struct hf_instance *instance)
{
    struct hf_refresher_parts parts = {&instance->registry, instance->settings, instance->log,
        instance->giver, instance->user_agent};

    hf_worker_open(&instance->worker, &parts, instance->share);
}

/* What a thread may still see stays mapped. */
static void forget_memory(struct hf_instance *instance)
{
    HF_STORE(instance->registry.block, (struct hf_block *)(void *)no_block);
    instance->memory = (struct hf_memory){NULL, 0};
}

/* In this process; where it is shared, the others keep theirs, and nobody is waited for. */
static void close_registry(struct hf_instance *instance)
{
    pthread_mutex_lock(&instance->registry_mutex);
    if (hf_memory_zero(&instance->memory) != 0) {
        if (instance->sharing)
            forget_memory(instance);
        else
            memset(instance->memory.start, 0, instance->memory.bytes);
    }
    instance->sharing = false;
    pthread_mutex_unlock(&instance->registry_mutex);
}

/* Where a thread is late, what it read of one layout meets only the same one, or zeros: tables of
 * another one get a range of their own, and the range of before stays, as zero pages. */
static void leave_other_layout(struct hf_instance *instance, const struct hf_settings *settings)
{
    struct hf_table_sizes sizes = {settings->max_hosts, settings->max_connections, settings->share};

    if (instance->memory.start != NULL && memcmp(&sizes, &instance->sizes, sizeof(sizes)) != 0)
        forget_memory(instance);
    instance->sizes = sizes;
}

/* Fresh memory (a thread that was late may have written to that of before), and what it takes to
 * share it. */
static bool make_room(struct hf_instance *instance, const struct hf_settings *settings)
{
    struct hf_share *share;
    bool made;

    leave_other_layout(instance, settings);
    if (hf_memory_reserve(&instance->memory, hf_registry_bytes(settings)) != 0)
        return false;
    share = settings->share ? hf_share_create() : NULL;
    pthread_mutex_lock(&instance->registry_mutex);
    made = settings->share ? share != NULL && hf_memory_share(&instance->memory) == 0
                           : hf_memory_zero(&instance->memory) == 0;
    if (made) {
        instance->share = share;
        instance->sharing = share != NULL;
    }
    pthread_mutex_unlock(&instance->registry_mutex);
    if (!made)
        hf_share_destroy(share);
    return made;
}

enum hf_up_error hf_instance_up(struct hf_instance *instance, struct hf_settings *settings)
{
    enum hf_up_error error = HF_UP_NO_MEMORY;

    if (hf_fetch_check_library() != NULL)
        error = HF_UP_UNFIT_LIBRARY;
    else if (begin_library() == 0) {
        if (make_room(instance, settings))
            error = HF_UP_OK;
        else
            end_library();
    }
    if (error != HF_UP_OK) {
        hf_settings_destroy(settings);
        return error;
    }
    open_registry(instance, settings);
    instance->settings = settings; /* last: a fork may come at any moment */
    open_worker(instance);
    if (instance->share != NULL)
        hf_life_open(&instance->life, &instance->registry, instance->share);
    return HF_UP_OK;
}

bool hf_instance_join(struct hf_instance *instance, int64_t now)
{
    if (!hf_life_join(&instance->life, now))
        return false;
    hf_worker_kick(&instance->worker);
    return true;
}

void hf_instance_stop(struct hf_instance *instance)
{
    hf_worker_stop(&instance->worker);
}

void hf_instance_apply(struct hf_instance *instance, struct hf_settings *settings, int64_t now)
{
    struct hf_settings *before = instance->settings;

    hf_registry_apply(&instance->registry, settings, now);
    instance->settings = settings;
    hf_settings_destroy(before); /* not before: a fork may come at any moment */
    open_worker(instance);
}

struct hf_settings *hf_instance_close(struct hf_instance *instance)
{
    struct hf_settings *settings = instance->settings;

    instance->settings = NULL; /* first: a fork may come at any moment */
    close_registry(instance);
    return settings;
}

void hf_instance_down(struct hf_instance *instance, struct hf_settings *settings)
{
    struct hf_share *share = instance->share;

    hf_life_end(&instance->life);
    instance->share = NULL;
    hf_share_destroy(share);
    hf_settings_destroy(settings);
    end_library();
}

void hf_instance_forked(struct hf_instance *instance)
{
    pthread_mutex_init(&instance->registry_mutex, NULL);
    hf_worker_forget(&instance->worker);
    hf_life_forget(&instance->life);
    HF_STORE(instance->registry.owner, 0);
    if (instance->settings == NULL) { /* perhaps another thread was in init or fini */
        forget_memory(instance);
        instance->sharing = false;
        instance->share = NULL;
        return;
    }
    if (instance->sharing) {
        instance->registry.settings = instance->settings; /* perhaps one was in reload */
        hf_life_open(&instance->life, &instance->registry, instance->share);
    } else {
        close_registry(instance);
        open_registry(instance, instance->settings);
    }
    open_worker(instance);
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/instance.h"

#include "plugin/block.h"
#include "plugin/fetch.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What a registry is before it was first opened: a closed one. Never written to. */
static _Alignas(64) unsigned char no_block[sizeof(struct hf_block)];

static void take(void *mutex)
{
    pthread_mutex_lock(mutex);
}

static void give(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

void hf_instance_init(
    struct hf_instance *instance, const struct hf_log *log, const struct hf_token_giver *giver)
{
    static const struct hf_worker fresh = HF_WORKER_INITIALIZER;

    memset(instance, 0, sizeof(*instance));
    pthread_mutex_init(&instance->registry_mutex, NULL);
    instance->registry_lock = (struct hf_lock){take, give, &instance->registry_mutex};
    instance->registry.lock = &instance->registry_lock;
    instance->worker = fresh;
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

static void open_registry(struct hf_instance *instance)
{
    hf_registry_open(&instance->registry, instance->memory.start, instance->settings, draw_salt());
}

static void open_worker(struct hf_instance *instance)
{
    struct hf_refresher_parts parts = {&instance->registry, instance->settings, instance->log,
        instance->giver, instance->user_agent};

    hf_worker_open(&instance->worker, &parts);
}

static void close_registry(struct hf_instance *instance)
{
    hf_registry_lock(&instance->registry);
    if (hf_memory_zero(&instance->memory) != 0)
        memset(instance->memory.start, 0, instance->memory.bytes);
    hf_registry_unlock(&instance->registry);
}

enum hf_up_error hf_instance_up(struct hf_instance *instance, struct hf_settings *settings)
{
    enum hf_up_error error = HF_UP_NO_MEMORY;

    if (hf_fetch_check_library() != NULL)
        error = HF_UP_UNFIT_LIBRARY;
    else if (hf_memory_reserve(&instance->memory, hf_registry_bytes(settings)) == 0 &&
        hf_fetch_global_init() == 0)
        error = HF_UP_OK;
    if (error != HF_UP_OK) {
        hf_settings_destroy(settings);
        return error;
    }
    instance->settings = settings;
    open_registry(instance);
    open_worker(instance);
    return HF_UP_OK;
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

void hf_instance_down(struct hf_instance *instance)
{
    struct hf_settings *before = instance->settings;

    close_registry(instance);
    instance->settings = NULL;
    hf_settings_destroy(before);
    hf_fetch_global_cleanup();
}

void hf_instance_forked(struct hf_instance *instance)
{
    pthread_mutex_init(&instance->registry_mutex, NULL);
    hf_worker_forget(&instance->worker);
    close_registry(instance);
    if (instance->settings != NULL) {
        open_registry(instance);
        open_worker(instance);
    }
}

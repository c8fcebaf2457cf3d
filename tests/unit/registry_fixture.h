/* SPDX-License-Identifier: PostgreSQL
 *
 * registry_fixture.h: a registry in memory of its own, for tests that bring their own time.
 */
#ifndef HOSTFLAGS_TESTS_REGISTRY_FIXTURE_H
#define HOSTFLAGS_TESTS_REGISTRY_FIXTURE_H

#include "plugin/block.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

struct fixture {
    struct hf_registry registry;
    struct hf_settings *settings;
    struct hf_lock lock;
    pthread_mutex_t mutex;
    void *memory;
    size_t bytes;
};

static inline void fixture_take(void *mutex)
{
    pthread_mutex_lock(mutex);
}

static inline void fixture_give(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

/* pairs: key, value, ..., NULL; the flags are a, b, c. Aborts on a mistake of the test's own. */
static inline struct hf_settings *fixture_settings(const char *const *pairs)
{
    struct hf_settings *settings = hf_settings_create();
    char error[512];
    int result = hf_settings_set(settings, "flags", "a, b, c", error, sizeof(error));

    for (; result == 0 && *pairs != NULL; pairs += 2)
        result = hf_settings_set(settings, pairs[0], pairs[1], error, sizeof(error));
    if (result == 0)
        result = hf_settings_finish(settings, error, sizeof(error));
    if (result != 0) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    return settings;
}

static inline void fixture_open(struct fixture *fixture, const char *const *pairs)
{
    memset(fixture, 0, sizeof(*fixture));
    pthread_mutex_init(&fixture->mutex, NULL);
    fixture->lock = (struct hf_lock){fixture_take, fixture_give, &fixture->mutex};
    fixture->registry.lock = &fixture->lock;
    fixture->settings = fixture_settings(pairs);
    fixture->bytes = hf_registry_bytes(fixture->settings);
    fixture->bytes = (fixture->bytes + 4095) / 4096 * 4096;
    fixture->memory = aligned_alloc(4096, fixture->bytes);
    memset(fixture->memory, 0, fixture->bytes);
    hf_registry_open(&fixture->registry, fixture->memory, fixture->settings, 0x12345678);
}

#define FIXTURE_OPEN(fixture, ...) fixture_open((fixture), (const char *const[]){__VA_ARGS__, NULL})

/* Other settings at `now`; those that are not named are the defaults again. */
static inline void fixture_reload(struct fixture *fixture, int64_t now, const char *const *pairs)
{
    struct hf_settings *before = fixture->settings;

    fixture->settings = fixture_settings(pairs);
    hf_registry_apply(&fixture->registry, fixture->settings, now);
    hf_settings_destroy(before);
}

#define FIXTURE_RELOAD(fixture, now, ...) \
    fixture_reload((fixture), (now), (const char *const[]){__VA_ARGS__, NULL})

static inline void fixture_close(struct fixture *fixture)
{
    hf_settings_destroy(fixture->settings);
    free(fixture->memory);
    pthread_mutex_destroy(&fixture->mutex);
}

static inline struct hf_upstream_key key_of(const char *name)
{
    struct hf_upstream_key key;

    if (hf_upstream_parse(&key, name, 0, NULL) != NULL)
        abort();
    return key;
}

static inline struct hf_acquired acquire(struct fixture *fixture, const char *name, int64_t now)
{
    struct hf_upstream_key key = key_of(name);

    return hf_registry_acquire(&fixture->registry, &key, now);
}

static inline hf_handle connect_at(struct fixture *fixture, const char *name, int64_t now)
{
    return acquire(fixture, name, now).handle;
}

/* The view of the host of that name; false: it is not there. */
static inline bool view_of(
    struct fixture *fixture, const char *name, int64_t now, struct hf_view *view)
{
    struct hf_upstream_key key = key_of(name);

    for (uint32_t slot = 0; slot < hf_registry_slots(&fixture->registry); slot++) {
        if (hf_registry_view(&fixture->registry, slot, now, view) &&
            hf_upstream_equal(&view->key, &key))
            return true;
    }
    return false;
}

/* -1: it is not there. */
static inline long references_of(struct fixture *fixture, const char *name, int64_t now)
{
    struct hf_view view;

    return view_of(fixture, name, now, &view) ? (long)view.references : -1;
}

/* Takes at most one due job. */
static inline bool take(struct fixture *fixture, int64_t now, struct hf_job *job)
{
    return hf_registry_take_due(&fixture->registry, now, job, 1) == 1;
}

static inline struct hf_completed succeed(
    struct fixture *fixture, const struct hf_job *job, uint64_t on, int64_t ttl_s, int64_t now)
{
    struct hf_completion completion = {.outcome = HF_OUTCOME_OK,
        .http_status = 200,
        .document = {.sent = 7, .on = on, .ttl_seconds = ttl_s},
        .etag = "",
        .message = ""};

    return hf_registry_complete(&fixture->registry, job, &completion, now, 0);
}

static inline struct hf_completed fail_with(
    struct fixture *fixture, const struct hf_job *job, uint16_t status, int64_t now)
{
    struct hf_completion completion = {
        .outcome = HF_OUTCOME_HTTP, .http_status = status, .etag = "", .message = "it failed"};

    return hf_registry_complete(&fixture->registry, job, &completion, now, UINT32_MAX);
}

/* Connects and answers the first request with these flags. */
static inline hf_handle connect_and_answer(
    struct fixture *fixture, const char *name, uint64_t on, int64_t now)
{
    hf_handle handle = connect_at(fixture, name, now);
    struct hf_job job;

    if (take(fixture, now, &job))
        succeed(fixture, &job, on, 0, now);
    return handle;
}

static inline int read_flag(struct fixture *f, hf_handle handle, uint32_t flag)
{
    return hf_registry_read(&f->registry, handle, flag);
}

static inline enum hf_state state_of(struct fixture *f, const char *name, int64_t now)
{
    struct hf_view view;

    return view_of(f, name, now, &view) ? hf_schedule_state(&f->settings->policy, &view.facts, now)
                                        : HF_UNKNOWN;
}

#endif

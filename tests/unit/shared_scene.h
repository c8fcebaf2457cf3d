/* SPDX-License-Identifier: PostgreSQL
 *
 * shared_scene.h: a small registry in shared memory, with the lock that processes take, and a
 * survivor (this process, owner 1) that holds references in it while others come and die.
 *
 *     scene_open(&scene, settings);           registry, share; the survivor has joined
 *     scene_child(&scene);                    in a child: another owner
 *     scene_bury(&scene);                     what whoever leads does about the dead
 *     scene_close(&scene);
 *
 * Time stands still at NOW unless a call says otherwise.
 */
#ifndef HOSTFLAGS_TESTS_UNIT_SHARED_SCENE_H
#define HOSTFLAGS_TESTS_UNIT_SHARED_SCENE_H

#include "plugin/life.h"
#include "tests/unit/registry_fixture.h"

#include <sys/mman.h>

#define NOW (100 * HOUR)

struct scene {
    struct fixture f;
    struct hf_share *share;
};

static inline void scene_take(void *arg)
{
    struct scene *scene = arg;

    if (hf_share_lock(scene->share)) {
        hf_registry_repair_locked(&scene->f.registry);
        hf_share_repaired(scene->share);
    }
}

static inline void scene_give(void *arg)
{
    struct scene *scene = arg;

    hf_share_unlock(scene->share);
}

/* The calling thread becomes an owner of its own. */
static inline void scene_join(struct scene *scene)
{
    HF_STORE(scene->f.registry.owner, hf_registry_join(&scene->f.registry, scene->share));
}

static inline void scene_open(struct scene *scene, const char *const *pairs)
{
    struct fixture *f = &scene->f;

    memset(scene, 0, sizeof(*scene));
    f->lock = (struct hf_lock){scene_take, scene_give, scene};
    f->registry.lock = &f->lock;
    f->settings = fixture_settings(pairs);
    f->bytes = (hf_registry_bytes(f->settings) + 4095) / 4096 * 4096;
    f->memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    scene->share = hf_share_create();
    if (f->memory == MAP_FAILED || scene->share == NULL)
        abort();
    hf_registry_open(&f->registry, f->memory, f->settings, 0x12345678);
    scene_join(scene);
}

/* In a child: nothing of the parent's is its own. */
static inline void scene_child(struct scene *scene)
{
    HF_STORE(scene->f.registry.owner, 0);
    scene_join(scene);
}

/* Both looks at everybody else, the second one at `now`. */
static inline void scene_bury(struct scene *scene, int64_t now)
{
    hf_life_bury_the_dead(&scene->f.registry, scene->share, now - HF_SHARE_PAUSE_MS);
    hf_life_bury_the_dead(&scene->f.registry, scene->share, now);
}

static inline void scene_close(struct scene *scene)
{
    hf_settings_destroy(scene->f.settings);
    munmap(scene->f.memory, scene->f.bytes);
    hf_share_destroy(scene->share);
}

#endif

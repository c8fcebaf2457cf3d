/* SPDX-License-Identifier: PostgreSQL */
#include "tests/oom/pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    pid_t pid; /* 0: free */
    struct hf_life_plan plan;
    struct hf_life_result *result; /* shared with the child */
};

struct hf_pool {
    const struct hf_life *life;
    hf_pool_done *done;
    void *arg;
    struct place places[HF_POOL_MOST];
    int at_a_time;
};

struct hf_pool *hf_pool_create(
    const struct hf_life *life, int at_a_time, hf_pool_done *done, void *arg)
{
    struct hf_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return NULL;
    *pool = (struct hf_pool){.life = life, .at_a_time = at_a_time, .done = done, .arg = arg};
    for (int i = 0; i < pool->at_a_time; i++) {
        pool->places[i].result = mmap(NULL, sizeof(struct hf_life_result), PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (pool->places[i].result == MAP_FAILED)
            abort();
    }
    return pool;
}

void hf_pool_destroy(struct hf_pool *pool)
{
    for (int i = 0; pool && i < pool->at_a_time; i++)
        munmap(pool->places[i].result, sizeof(struct hf_life_result));
    free(pool);
}

/* The place of a child that has ended, which is free now; NULL: there is no child. */
static struct place *wait_for_one(struct hf_pool *pool)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0)
            return NULL;
        for (int i = 0; i < pool->at_a_time; i++) {
            struct place *place = &pool->places[i];
            if (place->pid != pid)
                continue;
            place->pid = 0;
            pool->done(pool->arg, &place->plan, place->result, status);
            return place;
        }
    }
}

static struct place *free_place(struct hf_pool *pool)
{
    for (int i = 0; i < pool->at_a_time; i++) {
        if (pool->places[i].pid == 0)
            return &pool->places[i];
    }
    return wait_for_one(pool);
}

void hf_pool_start(struct hf_pool *pool, const struct hf_life_plan *plan)
{
    struct place *place = free_place(pool);

    if (!place)
        abort();
    memset(place->result, 0, sizeof(*place->result));
    place->plan = *plan;
    fflush(NULL);
    place->pid = fork();
    if (place->pid < 0)
        abort();
    if (place->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hf_life_live(pool->life, plan, place->result);
        _exit(0);
    }
}

static bool is_empty(const struct hf_pool *pool)
{
    for (int i = 0; i < pool->at_a_time; i++) {
        if (pool->places[i].pid != 0)
            return false;
    }
    return true;
}

void hf_pool_finish(struct hf_pool *pool)
{
    while (!is_empty(pool) && wait_for_one(pool))
        ;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * instance.h: one cache in one process: settings, registry, its memory and lock, and the worker;
 * with share = on, one registry in several processes that were forked from the one that made it.
 *
 * up, close, down and forked are called by one thread at a time, which the caller sees to. All else
 * may be going on in other threads meanwhile: on a registry that is not up they find no host and no
 * connection.
 */
#ifndef HOSTFLAGS_INSTANCE_H
#define HOSTFLAGS_INSTANCE_H

#include "plugin/life.h"
#include "plugin/memory.h"
#include "plugin/user_agent.h"
#include "plugin/worker.h"

struct hf_table_sizes {
    uint32_t max_hosts, max_connections, share;
};

struct hf_instance {
    struct hf_registry registry;
    struct hf_worker worker;
    struct hf_life life;
    struct hf_memory memory;
    struct hf_table_sizes sizes; /* of the latest tables in that memory */
    struct hf_share *share; /* owned while up; NULL: the registry is this process's alone */
    bool sharing; /* the tables are shared, and so is their lock; under registry_mutex */
    struct hf_settings *settings; /* owned while up; NULL otherwise */
    pthread_mutex_t registry_mutex;
    struct hf_lock registry_lock;
    const struct hf_log *log;
    const struct hf_token_giver *giver;
    char user_agent[HF_USER_AGENT_MAX]; /* set before up */
};

/* Makes the caller's storage an instance that is not up. Calls may come from now on. log and giver
 * are borrowed for good; what they hold may change while it is not up. */
void hf_instance_init(
    struct hf_instance *instance, const struct hf_log *log, const struct hf_token_giver *giver);

enum hf_up_error { HF_UP_OK = 0, HF_UP_NO_MEMORY, HF_UP_UNFIT_LIBRARY };

/* Opens the registry and lets the worker start at the first kick; starts no thread and opens no
 * descriptor. Takes over the settings, also if it fails. HF_UP_UNFIT_LIBRARY: see
 * hf_fetch_check_library. */
enum hf_up_error hf_instance_up(struct hf_instance *instance, struct hf_settings *settings)
    __attribute__((warn_unused_result));

/* With share = on: makes this process one of those that count. False: it could not, or share = off.
 * Any thread. */
bool hf_instance_join(struct hf_instance *instance, int64_t now);

/* Joins the worker. The registry stays as it is: readers go on. */
void hf_instance_stop(struct hf_instance *instance);

/* After stop: other settings, which it takes over; the worker may start again. Then kick it. */
void hf_instance_apply(struct hf_instance *instance, struct hf_settings *settings, int64_t now);

/* After stop: closes the registry in this process, and waits for nobody. The settings are for down.
 */
struct hf_settings *hf_instance_close(struct hf_instance *instance)
    __attribute__((warn_unused_result));

/* After close: frees everything but the address range. To those who share the registry this process
 * is dead. */
void hf_instance_down(struct hf_instance *instance, struct hf_settings *settings);

/* Around a fork, on the thread that forks; after_fork in the parent and in the child. Waits until
 * no other thread is within libcurl's initialisation, and keeps them out meanwhile. */
void hf_instance_before_fork(void);
void hf_instance_after_fork(void);

/* In a child after a fork: new locks, no worker, and an empty registry if it was up (libcurl's
 * handles do not survive a fork, and half of a parent's table is no good either). With share = on
 * it is the parent's registry, which this process has not joined yet. */
void hf_instance_forked(struct hf_instance *instance);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * shared.h: the cache that all processes of a server have in common, and how one of them gets at
 * it.
 *
 * In shared memory lies one struct hf_pg_shared with the registry's block behind it: no pointer, no
 * descriptor. Each process has a struct hf_registry of its own (inherited from the postmaster by
 * fork), which points to that block, and settings of its own, made from the GUCs as this process
 * sees them at present. The lock is an LWLock, held for memory accesses only.
 *
 * The block is opened as one that is not shared (share = off): rows of references per process are
 * there for the case that a process dies at any instruction and the others go on. PostgreSQL never
 * goes on then: the postmaster ends all of them and makes the shared memory anew.
 */
#ifndef HOSTFLAGS_POSTGRES_SHARED_H
#define HOSTFLAGS_POSTGRES_SHARED_H

#include "hosts/postgres/compat.h"

#include "plugin/log.h"
#include "plugin/registry.h"

#include "storage/condition_variable.h"

struct hf_pg_shared {
    _Atomic int worker; /* its number among the processes; -1: there is none */
    _Atomic int worker_pid; /* 0: there is none */
    ConditionVariable heard; /* broadcast when services may have been heard */
    _Alignas(64) char block[];
};

/* In the postmaster, while it preloads us. settings: those of the start, owned from now on. */
void hf_pg_shared_request(struct hf_settings *settings);

/* Whether this object is the one that the server has preloaded. */
bool hf_pg_is_preloaded(void);

/* For functions, before all else: where it is not, ereport(ERROR) says what to do. Then this
 * process's settings follow the parameters. */
void hf_pg_require(void);

/* After hf_pg_require, or in the worker. The registry is this process's own, and so are its
 * settings. */
struct hf_pg_shared *hf_pg_shared(void);
struct hf_registry *hf_pg_registry(void);
const struct hf_settings *hf_pg_settings(void);

/* Another number whenever this process has other settings. */
uint32_t hf_pg_settings_number(void);

/* Makes other settings those of this process. Takes them over. The worker calls it with publish:
 * then they decide about all answers from now on. */
void hf_pg_use_settings(struct hf_settings *settings, bool publish);

/* Wakes the worker. */
void hf_pg_kick(void);

/* Writes to the server's log, never to a client. Never throws, if the caller holds interrupts. */
extern const struct hf_log hf_pg_log;

#endif

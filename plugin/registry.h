/* SPDX-License-Identifier: PostgreSQL
 *
 * registry.h: which hosts there are, which connections refer to them, and what is answered.
 *
 * Everything lies in one block of memory of fixed size, addressed by indices only (block.h draws
 * it). Nothing is ever freed under a reader, so readers need neither locks nor grace periods.
 *
 *     connections side (registry.c)           worker's side (agenda.c)
 *     acquire, release, read: any thread      take_due, complete: one thread at a time
 *     lock-free for a host that is known      under the registry's lock
 *
 * Time comes in as a parameter. No function here does I/O, allocates, logs or calls back.
 */
#ifndef HOSTFLAGS_REGISTRY_H
#define HOSTFLAGS_REGISTRY_H

#include "plugin/decode.h"
#include "plugin/diagnose.h"
#include "plugin/headers.h"
#include "plugin/lock.h"
#include "plugin/schedule.h"
#include "plugin/settings.h"
#include "plugin/share.h"
#include "plugin/upstream.h"

#include <stdatomic.h>

struct hf_block;

struct hf_registry {
    _Atomic(struct hf_block *) block; /* never NULL once opened; all zero: closed */
    const struct hf_settings *settings; /* borrowed; constant between open and close */
    const struct hf_lock *lock; /* borrowed; set by its owner before the first open, for good */
    _Atomic uint32_t owner; /* this process's number; 0: the block is not shared, or not joined */
    uint32_t seat; /* set by its owner before the first acquire: tells processes apart that use one
                      block of threads, so that they begin at different places; else 0 */
};

#define HF_OWNERS HF_SHARE_OWNERS
#define HF_STRIPES 4 /* owners of a registry that is not shared, see references.h */

/* For what is said to be done under the lock. */
static inline void hf_registry_lock(struct hf_registry *registry)
{
    registry->lock->take(registry->lock->arg);
}

static inline void hf_registry_unlock(struct hf_registry *registry)
{
    registry->lock->give(registry->lock->arg);
}

/* A connection's reference: generation << 32 | index + 1. 0 is none. */
typedef uint64_t hf_handle;

/* Bytes of a block for these settings. The memory must be zero, aligned to 64 bytes, and stay
 * mapped and writable for as long as any thread may still use the registry, beyond close. */
size_t hf_registry_bytes(const struct hf_settings *settings);

/* Makes the zeroed memory a registry without hosts. salt: a random number, so that handles of an
 * earlier life do not fit. Nothing may be in use (acquire and read may be called: they find it
 * closed until the end). */
void hf_registry_open(
    struct hf_registry *registry, void *memory, const struct hf_settings *settings, uint32_t salt);

/* Other settings from now on; the table's sizes and the flags are those of before. Values,
 * references and backoffs stay; answers are merged anew. The settings of before must still be
 * there.
 *
 * Where no other process has begun to lead since this one did: hosts that are not allowed any more
 * keep their values and are not asked; requests in flight are given up (the caller has made sure
 * that none will be completed); and where requests become others, ETags are dropped, and hosts
 * whose last request failed are asked again. Otherwise all that is for whoever leads, by its own
 * settings. */
void hf_registry_apply(
    struct hf_registry *registry, const struct hf_settings *settings, int64_t now);

/* ---- where processes share it (recovery.c) ---- */

/* Under the lock, which its last holder took to the grave: puts right what may be half-changed. */
void hf_registry_repair_locked(struct hf_registry *registry);

/* Makes the calling thread's life that of an owner, whose number is returned; 0: none is free, or
 * the registry is closed. */
uint32_t hf_registry_join(struct hf_registry *registry, struct hf_share *share);

/* Looks whether that owner is dead, and gives back what it held once that is certain. */
void hf_registry_look_after(
    struct hf_registry *registry, struct hf_share *share, uint32_t owner, int64_t now);

/* Before the first take_due of a process that begins to lead: gives up what is in flight, since
 * nobody will end it. If another one led before, whose settings may differ, ETags are dropped, and
 * hosts are planned by the settings at hand. */
void hf_registry_lead(struct hf_registry *registry, int64_t now);

/* ---- connections' side ---- */

enum hf_acquire_error {
    HF_ACQUIRED = 0,
    HF_NOT_ALLOWED,
    HF_NO_HOST_SLOT,
    HF_NO_CONNECTION_SLOT,
    HF_NO_OWNER, /* the registry is shared, and this process has not joined yet */
    HF_CLOSED
};

struct hf_acquired {
    hf_handle handle; /* 0: none, see error */
    enum hf_acquire_error error;
    bool kick; /* something new was planned: wake the worker */
    bool evicted; /* the host table is full: an idle host had to make room */
};

/* Takes a reference to the entry of key, which is made if need be. A host that was idle for longer
 * than its entry may stay starts anew. */
struct hf_acquired hf_registry_acquire(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now);

/* Gives it back. False: no live handle, nothing happened. */
bool hf_registry_release(struct hf_registry *registry, hf_handle handle, int64_t now);

/* Reading is inlined: hf_registry_read() is in block.h.
 *
 * Plans the first request of an asleep host. True: wake the worker. Afterwards read answers. */
bool hf_registry_awaken(struct hf_registry *registry, hf_handle handle, int64_t now);

/* ---- worker's side ---- */

#define HF_REPORT_INTERVAL_MS 60000 /* one host's failures are reported at most so often */

/* One request to make, or a token to look at. Carries what its completion needs to find the right
 * entry again. */
struct hf_job {
    uint32_t host, attempt;
    uint64_t generation; /* of the entry's life; another one by the completion: drop the value */
    struct hf_upstream_key key;
    bool probe; /* no request: call hf_registry_probed with the token's mark */
    char etag[HF_ETAG_MAX + 1]; /* of the values at hand, for If-None-Match; "": none */
};

/* Does what is due at `now` (idle hosts leave, values expire) and takes at most `most` hosts to
 * ask. The next due time of each, as if its request were lost, is stored before this returns. */
size_t hf_registry_take_due(
    struct hf_registry *registry, int64_t now, struct hf_job *jobs, size_t most);

/* The same for who starts what it takes, and then takes more, until 0 is left: as many as there are
 * free places for, and no more than lie well on the stack. */
#define HF_TAKE_AT_ONCE 8
static inline size_t hf_registry_take_some(
    struct hf_registry *registry, int64_t now, struct hf_job jobs[HF_TAKE_AT_ONCE], uint32_t places)
{
    return hf_registry_take_due(
        registry, now, jobs, places < HF_TAKE_AT_ONCE ? places : HF_TAKE_AT_ONCE);
}

/* How a request ended. */
struct hf_completion {
    enum hf_outcome outcome;
    uint16_t http_status; /* 0: none; with HF_OUTCOME_OK: 200, or 304 after the job's own ETag */
    struct hf_document document; /* of a 200 */
    const char *etag; /* of a 200; "": none. Borrowed, as all strings here */
    int64_t retry_after_ms; /* 0: none */
    uint64_t token_mark; /* of the token that was sent or withheld; 0: there was none */
    const char *message; /* for people; "" after HF_OUTCOME_OK; cut to HF_MESSAGE_MAX */
};

/* What became of it, for the log. */
struct hf_completed {
    bool counted; /* false: it was not the host's latest request any more; nothing changed */
    bool report; /* worth a line: a failure, at most one in a minute; a success after failures */
    bool has_values; /* something was once heard from this host */
    uint32_t failures; /* in a row, this one included; after a success: before it */
    int64_t next_ms; /* when it is asked again, from now; -1: nobody holds it */
};

/* Ends a job: publishes, plans the next request. jitter: see schedule.h. */
struct hf_completed hf_registry_complete(struct hf_registry *registry, const struct hf_job *job,
    const struct hf_completion *completion, int64_t now, uint32_t jitter);

/* The token of a host that was rejected, as it is now. Another one makes the host due; one that is
 * missing (0) does not: its file may be about to be written anew. */
void hf_registry_probed(
    struct hf_registry *registry, const struct hf_job *job, uint64_t token_mark, int64_t now);

/* A random number of this life of the registry. */
uint64_t hf_registry_salt(struct hf_registry *registry);

/* When take_due has something to do next; HF_NEVER: not before the next kick. */
int64_t hf_registry_next_due(struct hf_registry *registry);

enum hf_refresh_result {
    HF_REFRESH_PLANNED, /* wake the worker */
    HF_REFRESH_IN_FLIGHT,
    HF_REFRESH_TOO_SOON, /* asked less than a second ago, or it said Retry-After */
    HF_REFRESH_UNKNOWN, /* nobody holds such a host */
    HF_REFRESH_NOT_ALLOWED /* nor may it be asked */
};

/* Makes hosts due now, whatever their org id; key NULL: all. Of several results the first one in
 * the enum's order is returned. */
enum hf_refresh_result hf_registry_refresh(
    struct hf_registry *registry, const struct hf_upstream_key *key, int64_t now);

/* ---- for people (view.c) ---- */

/* A copy of what is known about one host. */
struct hf_view {
    struct hf_upstream_key key;
    struct hf_facts facts;
    struct hf_rules rules; /* by which the values are answered */
    uint64_t sent, on; /* as the service said */
    uint64_t requests, not_modified, failed; /* since the entry was made */
    uint32_t references;
    char message[HF_MESSAGE_MAX]; /* about the latest completed request */
};

/* The host in slot `slot` (from 0), if one is there that has not left by `now`. */
bool hf_registry_view(
    struct hf_registry *registry, uint32_t slot, int64_t now, struct hf_view *view);

/* The host of a connection; false: no live handle. */
bool hf_registry_view_connection(
    struct hf_registry *registry, hf_handle handle, struct hf_view *view);

/* Sums over the whole life of the registry, and how full it is. */
struct hf_totals {
    uint64_t requests[HF_OUTCOMES]; /* completed, by outcome */
    uint64_t not_modified;
    uint64_t published[HF_REASONS]; /* answers by reason, counted per flag when a request ends or a
                                       value expires: what connections are answered from then on */
    uint32_t host_slots; /* in use, records of hosts that have left included */
    uint32_t take_overs; /* how often another process began to lead */
};
struct hf_totals hf_registry_totals(struct hf_registry *registry);

/* What decides about answers at present. */
struct hf_rules hf_registry_rules(struct hf_registry *registry);

/* How many slots there are to look at; none when closed. */
uint32_t hf_registry_slots(struct hf_registry *registry);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * refresh.h: the refresher: asks the services of all hosts that are due, and hands what they said
 * to the registry.
 *
 * It is no thread: its loop is hf_refresher_turn, which a thread (worker.c) or somebody else's
 * event loop calls again and again, always the same one at a time.
 *
 *     due or kicked -> take due hosts (lock) -> ask, decode (no lock) -> publish (lock)
 */
#ifndef HOSTFLAGS_REFRESH_H
#define HOSTFLAGS_REFRESH_H

#include "plugin/log.h"
#include "plugin/registry.h"

struct hf_refresher;

/* All borrowed until destroy. settings: those of the registry. user_agent: a whole header value.
 * NULL: out of memory or descriptors. The caller has called hf_fetch_global_init. */
struct hf_refresher *hf_refresher_create(struct hf_registry *registry,
    const struct hf_settings *settings, const struct hf_log *log, const char *user_agent);

/* Abandons what is in flight; does not wait for it. NULL is fine. */
void hf_refresher_destroy(struct hf_refresher *refresher);

/* One turn: starts what is due, moves transfers on, publishes what ended. Waits for something to do
 * for at most most_ms (HF_NEVER: no limit), or until kicked. */
void hf_refresher_turn(struct hf_refresher *refresher, int64_t most_ms);

/* Ends the wait of the current or the next turn. Any thread. */
void hf_refresher_kick(struct hf_refresher *refresher);

#endif

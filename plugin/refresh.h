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

#include "plugin/auth.h"
#include "plugin/log.h"
#include "plugin/registry.h"

struct hf_refresher;

/* What it works with, and for. */
struct hf_refresher_parts {
    struct hf_registry *registry;
    const struct hf_settings *settings; /* those of the registry */
    const struct hf_log *log;
    const struct hf_token_giver *giver;
    const char *user_agent; /* a whole header value */
};

/* The parts are copied; what they point to is borrowed until destroy. NULL: out of memory or
 * descriptors. The caller has called hf_fetch_global_init. */
struct hf_refresher *hf_refresher_create(const struct hf_refresher_parts *parts);

/* Abandons what is in flight; does not wait for it. NULL is fine. */
void hf_refresher_destroy(struct hf_refresher *refresher);

/* One turn: starts what is due, moves transfers on, publishes what ended. Waits for something to do
 * for at most most_ms (HF_NEVER: no limit), or until kicked. */
void hf_refresher_turn(struct hf_refresher *refresher, int64_t most_ms);

/* Between turns: whether nothing is in flight, and how long nothing is due, at most most_ms. */
bool hf_refresher_is_idle(const struct hf_refresher *refresher);
int64_t hf_refresher_until_due(struct hf_refresher *refresher, int64_t most_ms);

/* Ends the wait of the current or the next turn. Any thread. */
void hf_refresher_kick(struct hf_refresher *refresher);

#endif

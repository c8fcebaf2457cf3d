/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/refusal.h"

#include <string.h>

/* What may be shown of a refused name: not the user info, which may hold a password. */
static const char *presentable(const char *upstream)
{
    const char *at = upstream == NULL ? NULL : strrchr(upstream, '@');

    return upstream == NULL ? "" : at == NULL ? upstream : at;
}

void hf_refuse(struct hf_refusals *refusals, const struct hf_log *log, enum hf_refusal reason,
    const char *upstream, const char *detail, int64_t now)
{
    int64_t next = atomic_load(&refusals->reasons[reason].next_log_ms);
    uint64_t count = atomic_fetch_add(&refusals->reasons[reason].count, 1) + 1;

    atomic_fetch_add(&refusals->total, 1);
    /* Of several threads that come here at once, the one whose exchange succeeds logs. */
    if (now < next ||
        !atomic_compare_exchange_strong(
            &refusals->reasons[reason].next_log_ms, &next, now + HF_REFUSAL_INTERVAL_MS))
        return;
    hf_log_line(log, HF_WARNING,
        "a connection to \"%.200s\" gets no flags: %s; the connection goes on with the defaults "
        "(%llu refused for this reason so far; logged at most once a minute)",
        presentable(upstream), detail, (unsigned long long)count);
}

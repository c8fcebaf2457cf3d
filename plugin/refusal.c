/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/refusal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 256

/* Copies what may be shown of a refused name: the host, but neither user info nor a path or query,
 * which may hold a password or a token. Where it is not clear which is which, nothing. */
static void show(const char *upstream, char shown[SHOWN_MAX])
{
    const char *name = upstream == NULL ? "" : upstream, *scheme = strstr(name, "://");
    const char *host = scheme == NULL ? name : scheme + 3, *end = host + strcspn(host, "/?#\\");
    const char *at = memrchr(host, '@', (size_t)(end - host));

    if (strchr(end, '@') != NULL) {
        snprintf(shown, SHOWN_MAX, "a name that is not shown");
        return;
    }
    if (at != NULL)
        name = at + 1;
    snprintf(shown, SHOWN_MAX, "\"%.*s%s\"", (int)(end - name < 200 ? end - name : 200), name,
        *end == '\0' ? "" : "...");
}

/* Counts one of its kind; true: it is to be logged. Of several threads that come here at once, the
 * one whose exchange succeeds logs. */
static bool count(
    struct hf_refusals *refusals, enum hf_refusal reason, int64_t now, unsigned long long *so_far)
{
    int64_t next = atomic_load(&refusals->reasons[reason].next_log_ms);

    *so_far = atomic_fetch_add(&refusals->reasons[reason].count, 1) + 1;
    return now >= next &&
        atomic_compare_exchange_strong(
            &refusals->reasons[reason].next_log_ms, &next, now + HF_REFUSAL_INTERVAL_MS);
}

const char *hf_refusal_name(enum hf_refusal reason)
{
    static const char *const names[] = {
        [HF_REFUSED_TABLE] = "table",
        [HF_REFUSED_NAME] = "name",
        [HF_REFUSED_NOT_ALLOWED] = "not_allowed",
        [HF_REFUSED_HOSTS_FULL] = "hosts_full",
        [HF_REFUSED_CONNECTIONS_FULL] = "connections_full",
        [HF_REFUSED_NOT_SHARING] = "not_sharing",
        [HF_REFUSED_NOTHING] = "nothing",
    };
    return names[reason];
}

void hf_refuse(struct hf_refusals *refusals, const struct hf_log *log, enum hf_refusal reason,
    const char *upstream, const char *detail, int64_t now)
{
    char shown[SHOWN_MAX];
    unsigned long long so_far;

    atomic_fetch_add(&refusals->total, 1);
    if (!count(refusals, reason, now, &so_far))
        return;
    show(upstream, shown);
    hf_log_line(log, HF_WARNING,
        "a connection to %s gets no flags: %s; the connection goes on with the defaults (%llu "
        "refused for this reason so far; logged at most once a minute)",
        shown, detail, so_far);
}

void hf_report_eviction(
    struct hf_refusals *refusals, const struct hf_log *log, const char *upstream, int64_t now)
{
    char shown[SHOWN_MAX];
    unsigned long long so_far;

    if (!count(refusals, HF_REFUSED_NOTHING, now, &so_far))
        return;
    show(upstream, shown);
    hf_log_line(log, HF_WARNING,
        "the table of hosts is full (max_hosts): an idle host's entry made room for %s, and its "
        "service will be asked again when it is needed (%llu so far; logged at most once a minute)",
        shown, so_far);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * status_view.h: the plugin's status JSON as plain structs. The only file of the proxy that reads
 * JSON.
 *
 * The other side may be of another version, or no proxy at all: a member that is absent, or of
 * another type than expected, is HF_ABSENT or "", never an error. Texts are made printable: each
 * byte that is not printable ASCII becomes '?', so that nothing in them can command a terminal.
 */
#ifndef HOSTFLAGS_PROXY_STATUS_VIEW_H
#define HOSTFLAGS_PROXY_STATUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_ABSENT INT64_MIN /* of a number: there is no such member */

/* One of a set of named counts. */
struct hf_status_count {
    char *name;
    int64_t value;
};

struct hf_status_counts {
    struct hf_status_count *items;
    size_t count;
};

struct hf_status_flag {
    char *name, *reason;
    bool enabled;
};

/* Strings are never NULL. */
struct hf_status_host {
    char *scheme, *host, *org_id, *state, *last_error, *last_message;
    int64_t port, references, age_ms, ttl_ms, next_refresh_ms; /* as in the JSON */
    int64_t requests, not_modified, failures, http_status;
    struct hf_status_flag *flags; /* in the order of the JSON */
    int64_t flags_on, flag_count; /* HF_ABSENT: the host has no flags member */
};

/* What processes that share one cache have in common. */
struct hf_status_sharing {
    int64_t processes; /* attached; HF_ABSENT also where nothing is shared */
    int64_t refresher, refresher_pid; /* 0: nobody at the moment */
    int64_t take_overs, returned_references;
};

struct hf_status_view {
    char *version;
    bool disabled; /* "enabled" is false */
    bool has_hosts; /* false: there is no such member, as where no plugin is loaded */
    struct hf_status_host *hosts; /* the worst first */
    size_t host_count;
    int64_t connections, max_connections, max_hosts, rejected, evictions, not_modified;
    struct hf_status_counts rejected_for, requests_by_outcome;
    struct hf_status_sharing sharing;
};

/* For the caller to release. NULL: the text is no JSON object. */
struct hf_status_view *hf_status_view_read(const char *text) __attribute__((warn_unused_result));

/* NULL is fine. */
void hf_status_view_free(struct hf_status_view *view);

/* Whether something is wrong with the host beyond what its state says: it has no value, and the
 * latest request failed. */
bool hf_status_host_fails(const struct hf_status_host *host);

/* Requests over all hosts since the plugin's start (since each host's entry was made, with a plugin
 * that has no sums); HF_ABSENT: unknown. */
int64_t hf_status_view_requests(const struct hf_status_view *view);

/* Makes a text printable in place; `keep` lists control characters that may stay. */
void hf_status_view_clean(char *text, const char *keep);

#endif

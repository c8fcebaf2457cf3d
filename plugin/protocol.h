/* SPDX-License-Identifier: PostgreSQL
 *
 * protocol.h: what flag services speak, one row each, and the URL to ask.
 *
 * A row says where things are in a request and in an answer. A protocol that needs more than a row
 * (another method, a stream) is not one of ours.
 */
#ifndef HOSTFLAGS_PROTOCOL_H
#define HOSTFLAGS_PROTOCOL_H

#include "plugin/upstream.h"

struct hf_protocol {
    const char *name; /* as the setting `protocol` calls it */
    const char *endpoint; /* the path, a template: {client} {client_version} {flags} */
    const char *org_id_header; /* sent where the upstream has an org id */
    const char *list; /* the member that holds the flags: an array of objects, or an object */
    const char *flag_name, *flag_value; /* members of an array's object */
    const char *ttl; /* the member that holds the TTL in seconds */
};

/* The row of that name, or NULL. */
const struct hf_protocol *hf_protocol_find(const char *name);

/* The names of all rows, "databricks, ...", for error messages and docs. */
const char *hf_protocol_names(void);

/* What goes into a URL. All strings are borrowed. */
struct hf_target {
    const struct hf_protocol *protocol;
    const char
        *service; /* NULL: the upstream itself; else a URL in which {host} is the upstream's */
    const char *endpoint; /* NULL: the protocol's; begins with '/' */
    const char *client, *client_version; /* not empty; client_version: without -suffix */
    const char *const *flags;
    uint32_t flag_count;
};

/* Whether `service` (with {host} filled in by a host name) is an upstream that can be asked, and
 * `endpoint` is a path. NULL, or a constant text that says what is wrong with it. */
const char *hf_protocol_check_service(const char *service) __attribute__((warn_unused_result));
const char *hf_protocol_check_endpoint(const char *endpoint) __attribute__((warn_unused_result));

/* The URL at which target's flags are asked for this upstream; *asked is the host that is really
 * contacted (differs from upstream under `service`). Placeholders are percent-encoded. The caller
 * frees *url. Returns NULL, or a constant text: out of memory, or {host} gave no valid host. */
const char *hf_protocol_url(const struct hf_target *target, const struct hf_upstream_key *upstream,
    struct hf_upstream_key *asked, char **url) __attribute__((warn_unused_result));

#endif

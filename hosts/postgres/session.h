/* SPDX-License-Identifier: PostgreSQL
 *
 * session.h: the references of this session, one per host that it has named.
 *
 * A reference is taken when a host is first named and lives until release or the end of the
 * session, in whatever way it ends; it is the session's, not the transaction's: ERROR and ROLLBACK
 * keep it. Nothing here waits for a service, and nothing fails for the name of a host or a full
 * table: such a name has no reference, is logged and counted, and is answered the defaults.
 *
 * The process's own thread; after hf_pg_require.
 */
#ifndef HOSTFLAGS_POSTGRES_SESSION_H
#define HOSTFLAGS_POSTGRES_SESSION_H

#include "hosts/postgres/compat.h"

#include "plugin/refusal.h"
#include "plugin/registry.h"

/* What a session knows of a host. */
struct hf_pg_reference {
    hf_handle handle; /* 0: none, see the rest */
    enum hf_refusal reason; /* HF_REFUSED_NOTHING: there is a handle */
    const char *detail; /* constant; "" with a handle */
    int64_t again_ms; /* without a handle: not to be tried before */
};

/* The session's reference to the host of that name, which is taken if there is none yet. A name
 * that is known costs one look-up of its bytes. Valid until the next call of a function here. */
const struct hf_pg_reference *hf_pg_session_refer(const text *host);

/* The answer, as hf_registry_read gives it; the first read of a host under prefetch = off lets it
 * be asked. */
bool hf_pg_session_read(const text *host, uint32_t flag);

/* Gives the reference back; another one is taken when the host is next named. False: there is none.
 */
bool hf_pg_session_release(const text *host);

/* Why a host is refused that hostflags.allowed_hosts does not name. */
extern const char hf_pg_not_allowed[];

/* The host's name as a key. False: it is none, *detail (constant) says why. */
bool hf_pg_session_key(const text *host, struct hf_upstream_key *key, const char **detail);

#endif

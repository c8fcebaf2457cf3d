/* SPDX-License-Identifier: PostgreSQL
 *
 * host_api.h: everything that a host program and the hostflags plugin know of each other.
 *
 * A host is a program that opens many connections to few upstream hosts: a pooling proxy, say.
 * The plugin knows for each upstream host which feature flags are on. It asks the host's own flag
 * service once per refresh interval, in the background, and shares the answer between all
 * connections. The host loads hostflags.so, finds the one exported function, and calls:
 *
 *     init           once, while the host reads its configuration
 *     on_connect     when a connection to an upstream was opened; gives a handle
 *     is_enabled     as often as it likes; nanoseconds, wait-free
 *     on_disconnect  when that connection is gone; takes the handle back
 *     fini           once, before the host ends
 *
 * Rules of the contract
 *
 *  1. Loading. dlopen(RTLD_NOW | RTLD_LOCAL), dlsym(HF_ENTRY_SYMBOL), call it: a const table that
 *     lives as long as the process. The object is linked "nodelete": replacing the file needs a
 *     restart of the host. Loading it twice gives the same table.
 *  2. Versions. The host checks the table's magic and major version, the plugin those of each table
 *     that the host passes; a mismatch is refused. Sizes may differ either way: tables grow only at
 *     their end, and a member beyond the other side's hdr.size does not exist there. A host sets
 *     hdr.size to the sizeof its own header gives and checks members with HF_HAS().
 *  3. Threads. init, reload and fini are called from one thread at a time. All other functions may
 *     be called from any thread at any time: before init, after fini and while fini runs they
 *     answer the default (off, when nothing is known of defaults) and do nothing else. 8 KiB of
 *     stack are enough for them (what the host's own log callback needs comes on top).
 *  4. Time. None of them waits for the network. init creates no thread, no socket and no libcurl
 *     handle, since hosts daemonise after they have loaded their plugins: the worker thread starts
 *     with the first on_connect.
 *  5. Fork. A child starts with an empty cache and no thread; the settings stay. Handles of its
 *     parent answer the default there and release nothing. Its own worker starts with its own first
 *     on_connect. A callback may fork; on the worker's thread the child must exec or _exit before
 *     the callback returns.
 *  6. Memory. Strings and tables are borrowed for the length of a call, except struct hf_host: it
 *     is copied by init, but what its members point to must live until fini has returned. Nothing
 *     that the plugin hands out has to be freed.
 *  7. Errors. Functions return HF_OK or a negative HF_E_ value. Nothing exits, aborts, throws or
 *     longjmps across this line in either direction.
 *  8. Callbacks. log and get_token may call any function of the plugin but init, reload and fini:
 *     these are refused there. They may be called until fini has returned.
 *  9. Structs have fixed-width members, no bools, bit-fields or conditional members, and no padding
 *     at their end. Unused members are 0.
 */
#ifndef HOSTFLAGS_HOST_API_H
#define HOSTFLAGS_HOST_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The major version lives in the symbol's name: an incompatible plugin is not even found. */
#define HF_ENTRY_SYMBOL "hf_plugin_entry_v1"
#define HF_ABI_MAGIC 0x48464C47u /* "HFLG" */
#define HF_ABI_MAJOR 1
#define HF_ABI_MINOR 0

/* The first member of every table but struct hf_setting. */
struct hf_header {
    uint32_t magic; /* HF_ABI_MAGIC */
    uint16_t abi_major; /* HF_ABI_MAJOR: must match */
    uint16_t abi_minor; /* HF_ABI_MINOR: informational; presence is decided by size */
    uint32_t size; /* sizeof the whole table as its maker knows it, in bytes */
    uint32_t reserved; /* 0 */
};

/* One line of the host's config section for the plugin. Frozen: it is passed in arrays. */
struct hf_setting {
    const char *key; /* never NULL */
    const char *value; /* never NULL */
};

/* Whether a table that the other side made has this member, and it is not NULL. */
#define HF_HAS(table, member) \
    ((table)->hdr.size >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member) && \
        (table)->member)

/* A connection's reference to its host's entry. Opaque. It belongs to the connection it was made
 * for: releasing it twice, or releasing a number that was never a handle, does nothing. */
typedef uint64_t hf_conn;
#define HF_NO_CONN ((hf_conn)0) /* no reference: accepted everywhere, answers the default */

/* Results. */
enum {
    HF_OK = 0,
    HF_E_INVALID = -1, /* an argument or a setting is not valid */
    HF_E_ABI = -2, /* a table of another major version, or no table at all */
    HF_E_NOMEM = -3, /* out of memory */
    HF_E_STATE =
        -4, /* not now: not initialised, initialised already, from a callback, switched off */
    HF_E_NOTFOUND = -5, /* no such flag or host */
    HF_E_SYSTEM = -6, /* the operating system refused */
    HF_E_TOO_SOON = -7 /* asked less than a second ago, or the service said Retry-After */
};

/* Levels of log lines, most important first. */
enum { HF_LOG_ERROR = 0, HF_LOG_WARNING = 1, HF_LOG_INFO = 2, HF_LOG_DEBUG = 3 };

/* How much is known about a host. */
enum {
    HF_STATE_UNKNOWN = 0, /* never had an answer: defaults */
    HF_STATE_FRESH = 1, /* the last good answer is younger than its TTL */
    HF_STATE_STALE = 2, /* older: a refresh failed or is late; the last values stay */
    HF_STATE_EXPIRED = 3 /* older than the setting max_stale allows: defaults */
};

/* Why an answer is what it is (the terms of OpenFeature). */
enum {
    HF_REASON_DEFAULT = 0, /* nothing known, or the service did not send this flag */
    HF_REASON_STATIC = 1, /* the service's value, within its TTL */
    HF_REASON_STALE = 2, /* the service's last value, past its TTL */
    HF_REASON_OVERRIDE = 3, /* the setting `overrides` */
    HF_REASON_DISABLED = 4 /* the setting `enabled` is off: the default */
};

/* How the latest completed request to a host ended. */
enum {
    HF_FETCH_OK = 0, /* a 200 or 304 that was understood, or nothing was asked yet */
    HF_FETCH_DNS = 1, /* the name could not be resolved */
    HF_FETCH_CONNECT = 2, /* no connection, or it broke */
    HF_FETCH_TLS = 3, /* handshake or certificate */
    HF_FETCH_TIMEOUT = 4, /* connect_timeout or request_timeout passed */
    HF_FETCH_HTTP = 5, /* a status other than 200; see http_status */
    HF_FETCH_PARSE = 6, /* a 200 whose body is no flag document */
    HF_FETCH_TOO_LARGE = 7, /* a body over max_response_size, or headers over 64 KiB */
    HF_FETCH_TOKEN = 8, /* a token is configured and could not be read: nothing was sent */
    HF_FETCH_REFUSED = 9, /* plain http that allow_http does not permit: nothing was sent */
    HF_FETCH_OTHER = 10 /* none of these, out of memory among them */
};

/* Formats of status(). */
enum { HF_STATUS_JSON = 0, HF_STATUS_PROMETHEUS = 1 };

/* What the host lends the plugin. Every function is optional (NULL). */
struct hf_host {
    struct hf_header hdr;
    const char *name; /* "odyssey": with the version it goes into the User-Agent; may be NULL */
    const char *version; /* "1.5.1"; may be NULL */
    void *ctx; /* handed back to the callbacks */
    /* Writes one line, without a newline at its end, to the host's log. Called from any thread that
     * calls the plugin and from the plugin's worker. level: HF_LOG_. */
    void (*log)(void *ctx, int32_t level, const char *message);
    /* Writes the bearer token for a host into buf (no NUL needed) and returns its length in bytes,
     * at most size, or a negative number: none now (call refresh when there is one; until then
     * nothing is sent). Called before each request, unless the settings name a token; from the
     * worker thread; must not block. host: as normalised by the plugin, without scheme and port. */
    int32_t (*get_token)(void *ctx, const char *host, char *buf, size_t size);
};

/* An upstream that the host has connected to. */
struct hf_upstream {
    struct hf_header hdr;
    /* "name", "name:port", "http://name", "https://name:port", or a literal address (IPv6 in
     * brackets where a port follows). Case, a trailing dot and a trailing slash do not matter. */
    const char *host;
    /* The port of the *flag service* there; 0: the scheme's default. Where host names a port as
     * well the two must agree. A database proxy passes 0: its own port is not the flag service's.
     */
    uint16_t port;
    uint16_t reserved[3];
    const char *org_id; /* digits; NULL or "": none. Part of the entry's identity */
};

/* Filled by explain(). */
struct hf_answer {
    struct hf_header hdr; /* set by the caller; members beyond hdr.size are not written */
    int32_t enabled; /* 1 or 0: what is_enabled answers */
    int32_t reason; /* HF_REASON_ */
    int32_t state; /* HF_STATE_ */
    int32_t last_error; /* HF_FETCH_: of the latest completed request */
    int32_t http_status; /* its HTTP status, 0: none */
    int32_t reserved;
    int64_t age_ms; /* since the service last confirmed the values; -1: there are none */
    int64_t next_refresh_ms; /* from now; 0: in flight or due; -1: not planned */
};

/* The plugin: the table that the entry function returns. */
struct hf_plugin {
    struct hf_header hdr;
    const char *name; /* "hostflags" */
    const char *version; /* "1.0.0" */

    /* Checks the settings and prepares the cache. host may be NULL. All or nothing: on an error
     * nothing has changed and error (may be NULL; always NUL-terminated otherwise) names the
     * setting, its value and what would be valid. HF_E_INVALID: bad settings; HF_E_ABI: host is of
     * another major version; HF_E_STATE: initialised already, or called from a callback;
     * HF_E_NOMEM; HF_E_SYSTEM. */
    int32_t (*init)(const struct hf_host *host, const struct hf_setting *settings, size_t count,
        char *error, size_t error_size);

    /* Takes a reference to the upstream's entry, which is created if need be. Never waits and never
     * fails the host's connection. HF_NO_CONN: refused (a bad name, a full table); counted, and
     * logged at most once a minute. */
    hf_conn (*on_connect)(const struct hf_upstream *upstream);

    /* Gives the reference back. Harmless for HF_NO_CONN and for anything that is no live handle. */
    void (*on_disconnect)(hf_conn conn);

    /* 1: on, 0: off. flag: the position of the flag in the setting `flags`, from 0; one beyond the
     * list is off. Wait-free: no lock, no allocation, no system call. (One exception: under
     * prefetch = off the first read of a host that was never asked takes a lock and wakes the
     * worker.) */
    int32_t (*is_enabled)(hf_conn conn, uint32_t flag);

    /* Stops the transfer in flight, joins the worker (within 2 s), frees everything. init works
     * again afterwards. Does nothing when called twice, before init, or from a callback. */
    void (*fini)(void);

    /* Optional tail: check each with HF_HAS(plugin, member). */

    /* The number of a flag for is_enabled, by its name (case-sensitive); HF_E_NOTFOUND. */
    int32_t (*flag_index)(const char *name);

    /* Why is_enabled answers what it answers. HF_OK; HF_E_INVALID: answer is NULL or too small, the
     * flag is beyond the list, or conn is no live handle (the answer then holds the default);
     * HF_E_ABI: answer is of another major version. */
    int32_t (*explain)(hf_conn conn, uint32_t flag, struct hf_answer *answer);

    /* Replaces the settings while running; all or nothing; a changed setting that needs a restart
     * is refused by name. Errors as init. */
    int32_t (*reload)(
        const struct hf_setting *settings, size_t count, char *error, size_t error_size);

    /* Writes the state of the cache, NUL-terminated and cut to size, into buf (may be NULL when
     * size is 0) and returns the length that the whole has, like snprintf; 0: an unknown format.
     *
     * JSON: "version", "enabled", "hosts" (an array of {"scheme", "host", "port", "org_id",
     * "references", "state", "age_ms", "ttl_ms", "next_refresh_ms", "retry_after_ms", "requests",
     * "not_modified", "failures", "failures_in_a_row", "last_error", "http_status", "last_message",
     * "flags": {name: {"enabled", "reason"}}}), "connections", "max_connections", "max_hosts",
     * "host_slots", "in_flight", "rejected" (connections that got no reference since init),
     * "rejected_for": {reason: n}, "evictions", "requests_by_outcome": {last_error: n},
     * "not_modified", "published": {reason: n}. What a host counts, it counts since its entry was
     * made; the rest since init. Prometheus: text format 0.0.4; hostflags(7) lists the metrics. */
    size_t (*status)(int32_t format, char *buf, size_t size);

    /* Asks the service of a host (as in hf_upstream; NULL: of every host) now, without waiting for
     * the answer. Skips TTL and backoff, never a Retry-After. HF_OK: asked, or being asked;
     * HF_E_TOO_SOON: asked less than a second ago, or a Retry-After is not over (then it is asked
     * at its end); HF_E_NOTFOUND: no connection holds such a host;
     * HF_E_INVALID: no host name; HF_E_STATE: not initialised, or nothing is ever asked (`enabled`
     * is off, or all flags are overridden). */
    int32_t (*refresh)(const char *host);
};

/* The plugin's only exported symbol. */
const struct hf_plugin *hf_plugin_entry_v1(void);

#ifdef __cplusplus
}
#endif

#endif

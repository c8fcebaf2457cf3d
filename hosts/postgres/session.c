/* SPDX-License-Identifier: PostgreSQL
 *
 * session.c: two tables by text, in memory of this process:
 *
 *   held    what there are references to, by the host's normal form. Bounded by max_connections.
 *   names   the same and what was refused, as callers spell it: a shortcut, forgotten as a whole
 *           when it has NAMES_MOST entries, when it would be wrong, and when settings are others.
 */
#include "hosts/postgres/session.h"

#include "hosts/postgres/shared.h"
#include "plugin/block.h"
#include "plugin/clock.h"

#include "common/hashfn.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define NAMES_MOST 4096
#define NAME_LENGTH_MOST (HF_ORIGIN_MAX + 1) /* a final dot and a slash may come in addition */
#define AGAIN_MS 1000 /* between attempts to take a reference that was refused */

const char hf_pg_not_allowed[] =
    "it is not among the hosts of hostflags.allowed_hosts, and is not asked";

struct name {
    const char *text;
    uint32_t length;
};

struct entry {
    struct name name;
    uint32_t hash;
    char status;
    struct hf_pg_reference reference;
};

static inline uint32_t hash_name(struct name name)
{
    return hash_bytes((const unsigned char *)name.text, (int)name.length);
}

static inline bool same_name(struct name one, struct name other)
{
    return one.length == other.length && memcmp(one.text, other.text, one.length) == 0;
}

#define SH_PREFIX table
#define SH_ELEMENT_TYPE struct entry
#define SH_KEY_TYPE struct name
#define SH_KEY name
#define SH_HASH_KEY(table, key) hash_name(key)
#define SH_EQUAL(table, one, other) same_name(one, other)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static MemoryContext names_context;
static table_hash *held, *names;
static uint32_t names_number; /* of the settings that they were refused by */

/* ---- begin and end ---- */

static void release_all(int code, Datum arg)
{
    table_iterator iterator;
    struct entry *entry;
    int64_t now = hf_clock_ms();

    (void)code;
    (void)arg;
    table_start_iterate(held, &iterator);
    while ((entry = table_iterate(held, &iterator)) != NULL)
        hf_registry_release(hf_pg_registry(), entry->reference.handle, now);
}

/* before_shmem_exit: with on_proc_exit there would be no lock to be taken any more. */
static void begin(void)
{
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "hostflags references", ALLOCSET_SMALL_SIZES);

    names_context =
        AllocSetContextCreate(TopMemoryContext, "hostflags names", ALLOCSET_DEFAULT_SIZES);
    hf_pg_registry()->seat = (uint32_t)hf_pg_own_number();
    held = table_create(context, 16, NULL);
    before_shmem_exit(release_all, 0);
}

/* Ends before it begins: without memory it throws, and there are no names then. */
static void forget_names(void)
{
    names = NULL;
    MemoryContextReset(names_context);
    names_number = hf_pg_settings_number();
    names = table_create(names_context, 16, NULL);
}

/* ---- taking a reference ---- */

static struct hf_pg_reference refused(enum hf_refusal reason, const char *detail)
{
    return (struct hf_pg_reference){0, reason, detail, hf_clock_ms() + AGAIN_MS};
}

static struct hf_pg_reference describe(const struct hf_acquired *acquired)
{
    switch (acquired->error) {
    case HF_ACQUIRED:
        break;
    case HF_NOT_ALLOWED:
        return refused(HF_REFUSED_NOT_ALLOWED, hf_pg_not_allowed);
    case HF_NO_HOST_SLOT:
        return refused(
            HF_REFUSED_HOSTS_FULL, "the table of hosts is full: hostflags.max_hosts are in use");
    case HF_NO_CONNECTION_SLOT:
        return refused(HF_REFUSED_CONNECTIONS_FULL,
            "the table of references is full: hostflags.max_connections are in use");
    case HF_NO_OWNER: /* neither can be here: the block is open, and not shared */
    case HF_CLOSED:
        return refused(HF_REFUSED_NOT_SHARING, "the cache is closed");
    }
    return (struct hf_pg_reference){acquired->handle, HF_REFUSED_NOTHING, "", 0};
}

static void drop_entry(struct entry *entry)
{
    char *text = (char *)entry->name.text;

    table_delete_item(held, entry);
    pfree(text);
}

/* Room for the entry comes first: what fails for want of memory has taken no reference. What is
 * logged comes last: an interrupt may throw there. */
static struct hf_pg_reference acquire(const struct hf_upstream_key *key, struct name origin)
{
    struct hf_registry *registry = hf_pg_registry();
    char *copy = MemoryContextStrdup(held->ctx, origin.text);
    struct hf_pg_reference reference;
    struct hf_acquired acquired;
    struct entry *entry;
    bool found;

    entry = table_insert(held, (struct name){copy, origin.length}, &found);
    entry->reference = refused(HF_REFUSED_NOT_SHARING, "the lock could not be taken");
    acquired = hf_registry_acquire(registry, key, hf_clock_ms());
    reference = entry->reference = describe(&acquired);
    if (reference.handle == 0)
        drop_entry(entry);
    if (acquired.kick)
        hf_pg_kick();
    if (acquired.evicted)
        hf_report_eviction(hf_registry_refusals(registry), &hf_pg_log, origin.text, hf_clock_ms());
    return reference;
}

static struct entry *find_held(const struct hf_upstream_key *key, char origin[HF_ORIGIN_MAX])
{
    hf_upstream_origin(key, origin);
    return table_lookup(held, (struct name){origin, (uint32_t)strlen(origin)});
}

bool hf_pg_session_key(const text *host, struct hf_upstream_key *key, const char **detail)
{
    char copy[NAME_LENGTH_MOST + 1];
    uint32_t length = VARSIZE_ANY_EXHDR(host);

    *detail = "it is longer than the name of a host can be";
    if (length < sizeof(copy)) {
        memcpy(copy, VARDATA_ANY(host), length);
        copy[length] = '\0';
        *detail = hf_upstream_parse(key, copy, 0, NULL);
    }
    return *detail == NULL;
}

static struct hf_pg_reference find_or_acquire(const text *host)
{
    struct hf_upstream_key key;
    char origin[HF_ORIGIN_MAX];
    struct entry *entry;
    const char *detail;

    if (!hf_pg_session_key(host, &key, &detail))
        return refused(HF_REFUSED_NAME, detail);
    entry = find_held(&key, origin);
    if (entry != NULL && entry->reference.handle != 0)
        return entry->reference;
    if (entry != NULL) /* the lock could not be taken */
        drop_entry(entry);
    return acquire(&key, (struct name){origin, (uint32_t)strlen(origin)});
}

/* ---- the names ---- */

static void report(const text *host, const struct hf_pg_reference *reference)
{
    char shown[NAME_LENGTH_MOST + 1];

    text_to_cstring_buffer(host, shown, sizeof(shown));
    hf_refuse(hf_registry_refusals(hf_pg_registry()), &hf_pg_log, reference->reason, shown,
        reference->detail, hf_clock_ms());
}

static struct entry *remember(struct name name, const struct hf_pg_reference *reference)
{
    static struct entry too_long;
    struct entry *entry;
    bool found;
    char *copy;

    if (name.length > NAME_LENGTH_MOST) {
        too_long.reference = *reference;
        return &too_long;
    }
    if (names->members >= NAMES_MOST)
        forget_names();
    entry = table_lookup(names, name);
    if (entry == NULL) {
        copy = MemoryContextAlloc(names_context, name.length + 1);
        memcpy(copy, name.text, name.length);
        entry = table_insert(names, (struct name){copy, name.length}, &found);
    }
    entry->reference = *reference;
    return entry;
}

static struct entry *learn(const text *host, struct name name)
{
    struct hf_pg_reference reference = find_or_acquire(host);

    if (reference.handle == 0)
        report(host, &reference);
    return remember(name, &reference);
}

static inline struct name name_of(const text *host)
{
    return (struct name){VARDATA_ANY(host), VARSIZE_ANY_EXHDR(host)};
}

const struct hf_pg_reference *hf_pg_session_refer(const text *host)
{
    struct name name = name_of(host);
    struct entry *entry;

    if (unlikely(held == NULL))
        begin();
    if (unlikely(names == NULL || names_number != hf_pg_settings_number()))
        forget_names();
    entry = table_lookup(names, name);
    if (unlikely(entry == NULL || entry->reference.handle == 0) &&
        (entry == NULL || entry->reference.again_ms <= hf_clock_coarse_ms()))
        entry = learn(host, name);
    return &entry->reference;
}

bool hf_pg_session_read(const text *host, uint32_t flag)
{
    struct hf_registry *registry = hf_pg_registry();
    hf_handle handle = hf_pg_session_refer(host)->handle;
    int answer = hf_registry_read(registry, handle, flag);

    if (unlikely(answer == HF_READ_ASLEEP)) {
        if (hf_registry_awaken(registry, handle, hf_clock_ms()))
            hf_pg_kick();
        answer = hf_registry_read(registry, handle, flag);
    }
    return answer == 1;
}

bool hf_pg_session_release(const text *host)
{
    struct hf_upstream_key key;
    char origin[HF_ORIGIN_MAX];
    struct entry *entry;
    const char *detail;
    hf_handle handle;

    if (held == NULL || !hf_pg_session_key(host, &key, &detail))
        return false;
    entry = find_held(&key, origin);
    if (entry == NULL)
        return false;
    forget_names();
    handle = entry->reference.handle;
    drop_entry(entry);
    return hf_registry_release(hf_pg_registry(), handle, hf_clock_ms());
}

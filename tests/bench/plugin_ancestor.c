/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_ancestor.c: the algorithm of the Go driver's cache, in C: a map of host -> {enabled,
 * fetched, references} behind a read-write lock, and another one in each entry; every call looks
 * its host up by name; a read looks at the clock. Names are normalised by the plugin's own code,
 * and hashed by what it uses, so that only the algorithms differ.
 *
 * It asks no service: what is measured against it is what is known already. In favour of the
 * ancestor a handle is the address of its entry's name, so that a connection costs no allocation.
 *
 * Locks: `lock` guards the map and the counts; an entry's lock what was fetched. Order: as written.
 */
#include "plugin/upstream.h"
#include "tests/contract/plugin_stub.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_FUNCTION(key, length, hash) hash = (unsigned)XXH3_64bits(key, length)
#include <uthash.h>

#define TTL_NS (900 * 1000000000ll)

struct entry {
    UT_hash_handle hh;
    struct hf_upstream_key name;
    pthread_rwlock_t lock;
    int64_t fetched_ns;
    int references;
    bool enabled;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct entry *entries;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* What of a name is in use, without padding. */
static unsigned length_of(const struct hf_upstream_key *name)
{
    return (unsigned)offsetof(struct hf_upstream_key, host) + name->host_length;
}

static struct entry *find(const struct hf_upstream_key *name)
{
    struct entry *entry;

    HASH_FIND(hh, entries, name, length_of(name), entry);
    return entry;
}

static struct entry *add(const struct hf_upstream_key *name)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        abort();
    entry->name = *name;
    pthread_rwlock_init(&entry->lock, NULL);
    entry->enabled = true;
    entry->fetched_ns = now_ns();
    HASH_ADD(hh, entries, name, length_of(name), entry);
    return entry;
}

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    struct hf_upstream_key name;
    struct entry *entry;

    if (hf_upstream_parse(&name, upstream->host, upstream->port, upstream->org_id) != NULL)
        return HF_NO_CONN;
    pthread_rwlock_wrlock(&lock);
    entry = find(&name);
    if (entry == NULL)
        entry = add(&name);
    entry->references++;
    pthread_rwlock_unlock(&lock);
    return (hf_conn)(uintptr_t)&entry->name;
}

static void on_disconnect(hf_conn conn)
{
    struct entry *entry;

    pthread_rwlock_wrlock(&lock);
    entry = find((const struct hf_upstream_key *)(uintptr_t)conn);
    if (entry != NULL && --entry->references == 0) {
        HASH_DEL(entries, entry);
        pthread_rwlock_destroy(&entry->lock);
        free(entry);
    }
    pthread_rwlock_unlock(&lock);
}

static int32_t is_enabled(hf_conn conn, uint32_t flag)
{
    struct entry *entry;
    int32_t answer = 0;

    (void)flag;
    pthread_rwlock_rdlock(&lock);
    entry = find((const struct hf_upstream_key *)(uintptr_t)conn);
    pthread_rwlock_unlock(&lock);
    if (entry == NULL)
        return 0;
    pthread_rwlock_rdlock(&entry->lock);
    if (now_ns() - entry->fetched_ns < TTL_NS)
        answer = entry->enabled;
    pthread_rwlock_unlock(&entry->lock);
    return answer;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct hf_plugin table = {.hdr = STUB_HEADER(sizeof(table)), STUB_MEMBERS};

    table.name = "ancestor";
    table.on_connect = on_connect;
    table.on_disconnect = on_disconnect;
    table.is_enabled = is_enabled;
    return &table;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * The registry from the connections' side: references, handles, room. Time is a parameter.
 */
#include "tests/unit/registry_fixture.h"

#include "tests/support/suite.h"

static void test_second_connection_shares(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "1min");

    struct hf_acquired first = acquire(&f, "one.example", 1000);
    CHECK(first.handle != 0 && first.kick);
    CHECK(take(&f, 1000, &job));
    struct hf_acquired second = acquire(&f, "ONE.example.", 1001);
    CHECK(second.handle != 0 && second.handle != first.handle);
    CHECK(!second.kick);
    CHECK(!take(&f, 2000, &job));
    CHECK_INT_EQ(references_of(&f, "one.example", 1001), 2);
    fixture_close(&f);
}

static void test_release_lingers(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "10s");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    hf_handle two = connect_at(&f, "one.example", 1000);
    CHECK(hf_registry_release(&f.registry, one, 2000));
    CHECK_INT_EQ(references_of(&f, "one.example", 2000), 1);
    CHECK(hf_registry_release(&f.registry, two, 3000));
    CHECK_INT_EQ(references_of(&f, "one.example", 12999), 0);
    CHECK_INT_EQ(references_of(&f, "one.example", 13000), -1);

    struct hf_acquired again = acquire(&f, "one.example", 13000);
    CHECK(again.handle != 0 && again.kick);
    CHECK_INT_EQ(read_flag(&f, again.handle, 0), 0);
    fixture_close(&f);
}

static void test_release_without_linger(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(hf_registry_release(&f.registry, one, 2000));
    CHECK_INT_EQ(references_of(&f, "one.example", 2000), -1);
    hf_handle again = connect_at(&f, "one.example", 2000);
    CHECK_INT_EQ(read_flag(&f, again, 0), 0);
    CHECK(take(&f, 2000, &job));
    fixture_close(&f);
}

static void test_release_of_nothing(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "1min");
    hf_handle one = connect_at(&f, "one.example", 1000);
    const hf_handle made_up[] = {0, 1, 2, one + 1, one - 1, one ^ 1ull << 32, one ^ 1ull << 63,
        UINT64_MAX, 0xffffffff00000000, one & 0xffffffff};

    for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++)
        CHECK(!hf_registry_release(&f.registry, made_up[i], 1000));
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), 1);

    memset(f.memory, 0, f.bytes);
    hf_registry_open(&f.registry, f.memory, f.settings, 0x9999);
    hf_handle later = connect_at(&f, "one.example", 1000);
    CHECK(!hf_registry_release(&f.registry, one, 1000));
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), 1);
    CHECK(hf_registry_release(&f.registry, later, 1000));
    fixture_close(&f);
}

static void test_second_release(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "0");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    hf_handle two = connect_at(&f, "one.example", 1000);
    CHECK(hf_registry_release(&f.registry, one, 1000));
    for (int i = 0; i < 5; i++)
        CHECK(!hf_registry_release(&f.registry, one, 1000));
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), 1);
    CHECK_INT_EQ(read_flag(&f, two, 0), 1);
    CHECK(hf_registry_release(&f.registry, two, 1000));
    for (int i = 0; i < 5; i++)
        CHECK(!hf_registry_release(&f.registry, two, 1000));
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), -1);
    fixture_close(&f);
}

static void test_stale_handle(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "0", "max_hosts", "1", "max_connections", "1");

    hf_handle old = connect_and_answer(&f, "old.example", 0, 1000);
    CHECK(hf_registry_release(&f.registry, old, 1000));
    for (int reuse = 0; reuse < 100000; reuse++) {
        hf_handle next = connect_and_answer(&f, "new.example", 7, 1000);
        if (read_flag(&f, next, 0) != 1 || read_flag(&f, old, 0) != 0) {
            CHECK_INT_EQ(read_flag(&f, next, 0), 1);
            CHECK_INT_EQ(read_flag(&f, old, 0), 0);
            break;
        }
        CHECK(hf_registry_release(&f.registry, next, 1000));
    }
    fixture_close(&f);
}

static void test_stale_handle_default(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "defaults", "b=on", "overrides", "c=on");

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK_INT_EQ(read_flag(&f, one, 1), 0);
    CHECK(hf_registry_release(&f.registry, one, 1000));
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK_INT_EQ(read_flag(&f, one, 1), 1);
    CHECK_INT_EQ(read_flag(&f, one, 2), 1);
    CHECK_INT_EQ(read_flag(&f, 0, 1), 1);
    CHECK_INT_EQ(read_flag(&f, one, 3), 0);
    CHECK_INT_EQ(read_flag(&f, one, UINT32_MAX), 0);
    fixture_close(&f);
}

static void test_hosts_apart(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "1min");
    struct hf_upstream_key first, second;
    struct hf_job job;

    hf_handle one = connect_and_answer(&f, "one.example", 1, 1000);
    hf_handle two = connect_and_answer(&f, "two.example", 2, 1000);
    hf_handle port = connect_and_answer(&f, "two.example:8443", 4, 1000);
    hf_handle http = connect_and_answer(&f, "http://two.example", 5, 1000);
    CHECK_INT_EQ(
        read_flag(&f, one, 0) | read_flag(&f, one, 1) << 1 | read_flag(&f, one, 2) << 2, 1);
    CHECK_INT_EQ(
        read_flag(&f, two, 0) | read_flag(&f, two, 1) << 1 | read_flag(&f, two, 2) << 2, 2);
    CHECK_INT_EQ(read_flag(&f, port, 2), 1);
    CHECK_INT_EQ(read_flag(&f, http, 0) + read_flag(&f, http, 2), 2);
    CHECK_INT_EQ(references_of(&f, "two.example", 1000), 1);

    CHECK(hf_upstream_parse(&first, "two.example", 0, "1") == NULL);
    CHECK(hf_upstream_parse(&second, "two.example", 0, "2") == NULL);
    hf_handle org1 = hf_registry_acquire(&f.registry, &first, 1000).handle;
    hf_handle org2 = hf_registry_acquire(&f.registry, &second, 1000).handle;
    CHECK(take(&f, 1000, &job));
    succeed(&f, &job, job.key.org_id[0] == '1' ? 1 : 2, 0, 1000);
    CHECK(take(&f, 1000, &job));
    succeed(&f, &job, job.key.org_id[0] == '1' ? 1 : 2, 0, 1000);
    CHECK_INT_EQ(read_flag(&f, org1, 0) * 2 + read_flag(&f, org1, 1), 2);
    CHECK_INT_EQ(read_flag(&f, org2, 0) * 2 + read_flag(&f, org2, 1), 1);
    fixture_close(&f);
}

static void test_connections_full(void)
{
    struct fixture f;
    hf_handle handles[8];
    FIXTURE_OPEN(&f, "max_connections", "8", "linger", "1min");

    for (int i = 0; i < 8; i++) {
        handles[i] = connect_at(&f, "one.example", 1000);
        CHECK(handles[i] != 0);
    }
    struct hf_acquired refused = acquire(&f, "one.example", 1000);
    CHECK(refused.handle == 0 && refused.error == HF_NO_CONNECTION_SLOT);
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), 8);
    CHECK(hf_registry_release(&f.registry, handles[3], 1000));
    CHECK(connect_at(&f, "one.example", 1000) != 0);
    CHECK(connect_at(&f, "one.example", 1000) == 0);
    fixture_close(&f);
}

static void test_hosts_full(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "max_hosts", "2", "linger", "0");

    hf_handle one = connect_at(&f, "one.example", 1000);
    CHECK(connect_at(&f, "two.example", 1000) != 0);
    struct hf_acquired refused = acquire(&f, "three.example", 1000);
    CHECK(refused.handle == 0 && refused.error == HF_NO_HOST_SLOT);
    CHECK(connect_at(&f, "two.example", 1000) != 0);
    CHECK(hf_registry_release(&f.registry, one, 1000));
    CHECK(connect_at(&f, "three.example", 1000) != 0);
    fixture_close(&f);
}

static void test_idle_makes_room(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "max_hosts", "4", "linger", "1h", "ttl", "1h");

    /* In backoff, and unused for longest. */
    hf_handle failing = connect_at(&f, "failing.example", 1000);
    CHECK(take(&f, 1000, &job));
    fail_with(&f, &job, 500, 1000);
    CHECK(hf_registry_release(&f.registry, failing, 1000));
    hf_handle older = connect_and_answer(&f, "older.example", 1, 1000);
    hf_handle newer = connect_and_answer(&f, "newer.example", 1, 1000);
    hf_handle held = connect_and_answer(&f, "held.example", 1, 1000);
    CHECK(hf_registry_release(&f.registry, newer, 3000));
    CHECK(hf_registry_release(&f.registry, older, 2000));

    CHECK(connect_and_answer(&f, "fifth.example", 1, 3500) != 0);
    CHECK_INT_EQ(references_of(&f, "older.example", 3500), -1);
    CHECK_INT_EQ(references_of(&f, "newer.example", 3500), 0);
    CHECK(connect_and_answer(&f, "sixth.example", 1, 3500) != 0);
    CHECK_INT_EQ(references_of(&f, "newer.example", 3500), -1);
    CHECK_INT_EQ(references_of(&f, "failing.example", 3500), 0);
    CHECK(connect_and_answer(&f, "seventh.example", 1, 3500) != 0);
    CHECK_INT_EQ(references_of(&f, "failing.example", 3500), -1);
    CHECK(connect_at(&f, "eighth.example", 3500) == 0);
    CHECK_INT_EQ(read_flag(&f, held, 0), 1);
    fixture_close(&f);
}

/* Inserts and removes in random order and compares with a plain list. */
static void test_index_against_a_list(void)
{
    enum { NAMES = 200 };
    struct fixture f;
    hf_handle held[NAMES] = {0};
    uint32_t random = 1;
    FIXTURE_OPEN(&f, "max_hosts", "256", "linger", "0");

    for (int step = 0; step < 20000; step++) {
        char name[32];
        random = random * 1664525 + 1013904223;
        uint32_t i = (random >> 8) % NAMES;
        snprintf(name, sizeof(name), "h%u.example", i);
        if (held[i] == 0) {
            held[i] = connect_and_answer(&f, name, i & 7, 1000);
            if (!CHECK(held[i] != 0))
                break;
        } else {
            CHECK(hf_registry_release(&f.registry, held[i], 1000));
            held[i] = 0;
        }
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%u.example", i);
        CHECK_INT_EQ(references_of(&f, name, 1000), held[i] != 0 ? 1 : -1);
        if (held[i] != 0)
            CHECK_INT_EQ(read_flag(&f, held[i], 0), i & 1);
    }
    fixture_close(&f);
}

struct storm {
    struct fixture *fixture;
    pthread_barrier_t *barrier;
    hf_handle handle;
};

static void *storm(void *arg)
{
    struct storm *mine = arg;

    pthread_barrier_wait(mine->barrier);
    mine->handle = connect_at(mine->fixture, "one.example", 1000);
    pthread_barrier_wait(mine->barrier);
    pthread_barrier_wait(mine->barrier);
    hf_thread_check(hf_registry_release(&mine->fixture->registry, mine->handle, 1000));
    pthread_barrier_wait(mine->barrier);
    return NULL;
}

static void test_hundred_threads(void)
{
    enum { THREADS = 100 };
    struct fixture f;
    struct storm storms[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    FIXTURE_OPEN(&f, "linger", "0");

    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        storms[i] = (struct storm){&f, &barrier, 0};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, storm, &storms[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), THREADS);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK_INT_EQ(references_of(&f, "one.example", 1000), -1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    fixture_close(&f);
}

/* Runs when an on_connect has done its part under the lock and has not claimed its word yet: the
 * registry is closed and opened, and somebody else gets the same host slot. */
static struct fixture *interrupted;
static hf_handle newcomer;

static void give_and_interrupt(void *mutex)
{
    struct fixture *f = interrupted;

    pthread_mutex_unlock(mutex);
    if (f == NULL)
        return;
    interrupted = NULL;
    memset(f->memory, 0, f->bytes);
    hf_registry_open(&f->registry, f->memory, f->settings, 0x9abcdef);
    newcomer = connect_and_answer(f, "newcomer.example", 7, 2000);
}

static void test_reopened_within_acquire(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "linger", "0");

    interrupted = &f;
    f.lock.give = give_and_interrupt;
    struct hf_acquired late = acquire(&f, "late.example", 1000);
    CHECK(late.handle == 0 && late.error == HF_CLOSED);
    CHECK_INT_EQ(references_of(&f, "newcomer.example", 2000), 1);
    CHECK_INT_EQ(read_flag(&f, newcomer, 0), 1);
    CHECK(hf_registry_release(&f.registry, newcomer, 2000));
    CHECK_INT_EQ(references_of(&f, "newcomer.example", 2000), -1);
    fixture_close(&f);
}

static void test_asleep(void)
{
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "prefetch", "off", "defaults", "a=on");

    hf_handle one = connect_at(&f, "one.example", 1000);
    hf_handle two = connect_at(&f, "one.example", 1000);
    CHECK(!take(&f, 5000, &job));
    CHECK_INT_EQ(read_flag(&f, one, 0), HF_READ_ASLEEP);
    CHECK(hf_registry_awaken(&f.registry, one, 5000));
    CHECK_INT_EQ(read_flag(&f, one, 0), 1);
    CHECK(!hf_registry_awaken(&f.registry, one, 5000));
    CHECK(take(&f, 5000, &job));
    CHECK_INT_EQ(read_flag(&f, two, 0), HF_READ_ASLEEP);
    CHECK(!hf_registry_awaken(&f.registry, two, 5000));
    succeed(&f, &job, 0, 0, 5001);
    CHECK_INT_EQ(read_flag(&f, two, 0), 0);
    hf_handle three = connect_at(&f, "one.example", 5001);
    CHECK_INT_EQ(read_flag(&f, three, 0), 0);
    CHECK(!take(&f, 6000, &job));
    CHECK_INT_EQ(references_of(&f, "one.example", 6000), 3);
    fixture_close(&f);
}

/* ---- names whose hashes look the same ---- */

enum { NAMES = 300000 }; /* of so many, about ten pairs share 32 bits of their hash */

struct tagged {
    uint32_t tag, number;
};

static int compare_tags(const void *a, const void *b)
{
    uint32_t x = ((const struct tagged *)a)->tag, y = ((const struct tagged *)b)->tag;

    return (x > y) - (x < y);
}

static void name_number(uint32_t number, char name[32])
{
    snprintf(name, 32, "n%u.example", number);
}

/* Two names with the same upper half of their hashes, and the same place in an index of two. */
static bool find_twins(char one[32], char other[32])
{
    struct tagged *tags = malloc(NAMES * sizeof(tags[0]));
    bool found = false;

    for (uint32_t i = 0; i < NAMES; i++) {
        struct hf_upstream_key key;
        name_number(i, one);
        key = key_of(one);
        tags[i] = (struct tagged){(uint32_t)(hf_upstream_hash(&key) >> 32), i};
    }
    qsort(tags, NAMES, sizeof(tags[0]), compare_tags);
    for (uint32_t i = 1; i < NAMES && !found; i++) {
        name_number(tags[i - 1].number, one);
        name_number(tags[i].number, other);
        struct hf_upstream_key a = key_of(one), b = key_of(other);
        found = tags[i - 1].tag == tags[i].tag &&
            ((hf_upstream_hash(&a) ^ hf_upstream_hash(&b)) & 1) == 0;
    }
    free(tags);
    return found;
}

static void test_twins_apart(void)
{
    char one[32], other[32];
    struct fixture f;
    struct hf_job job;
    FIXTURE_OPEN(&f, "max_hosts", "1", "linger", "1min");

    CU_ASSERT_FATAL(find_twins(one, other));
    hf_handle first = connect_and_answer(&f, one, 1, 1000);
    struct hf_acquired second = acquire(&f, other, 1000);
    CHECK_INT_EQ(second.error, HF_NO_HOST_SLOT);
    CHECK_INT_EQ(references_of(&f, one, 1000), 1);
    CHECK(hf_registry_release(&f.registry, first, 2000));
    second = acquire(&f, other, 2000);
    CHECK(second.handle != 0 && second.evicted);
    CHECK_INT_EQ(read_flag(&f, second.handle, 0), 0);
    CHECK(take(&f, 2000, &job));
    CHECK_INT_EQ(references_of(&f, one, 2000), -1);
    fixture_close(&f);
}

static void test_closed(void)
{
    struct fixture f;
    FIXTURE_OPEN(&f, "defaults", "a=on");
    hf_handle one = connect_at(&f, "one.example", 1000);

    memset(f.memory, 0, f.bytes);
    CHECK_INT_EQ(read_flag(&f, one, 0), 0);
    CHECK(!hf_registry_release(&f.registry, one, 1000));
    CHECK_INT_EQ(acquire(&f, "one.example", 1000).error, HF_CLOSED);
    CHECK(!hf_registry_awaken(&f.registry, one, 1000));
    CHECK_INT_EQ(hf_registry_next_due(&f.registry), HF_NEVER);
    CHECK_INT_EQ(hf_registry_slots(&f.registry), 0);
    CHECK_INT_EQ(hf_registry_refresh(&f.registry, NULL, 1000), HF_REFRESH_UNKNOWN);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C03 a second connection shares the entry, with no second request",
            test_second_connection_shares},
        {"C04 with linger an idle entry stays for it, and then leaves", test_release_lingers},
        {"C04 C09 with linger = 0 the last release removes the entry and its value",
            test_release_without_linger},
        {"C05 C06 releasing what is no live handle does nothing", test_release_of_nothing},
        {"C07 a second release keeps the other holder", test_second_release},
        {"C08 100 threads connect and disconnect, counted exactly", test_hundred_threads},
        {"C13 C14 a handle that is not live answers defaults and overrides",
            test_stale_handle_default},
        {"C14 a stale handle never sees the host that reuses its slot", test_stale_handle},
        {"C15 a full connection table refuses until one is given back", test_connections_full},
        {"C15 a full host table refuses unknown hosts only", test_hosts_full},
        {"C16 an idle host makes room: the oldest first, one in backoff last",
            test_idle_makes_room},
        {"C18 C19 C20 C21 hosts, ports, schemes and org ids are apart", test_hosts_apart},
        {"C18 hosts are apart whose hashes look the same", test_twins_apart},
        {"C02 prefetch = off: the first read awakens the host, once", test_asleep},
        {"C07 C77 closed and opened within an acquire: nobody else's reference is touched",
            test_reopened_within_acquire},
        {"C77 a closed registry knows nothing and breaks nothing", test_closed},
        {"the index agrees with a list after 20,000 inserts and removes",
            test_index_against_a_list},
    };

    return hf_suite_run("registry", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

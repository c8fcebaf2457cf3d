/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything is static and behind one spin lock, since nothing here may allocate. Blocks are kept
 * in a hash table by address, with open addressing.
 */
#include "tests/oom/allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCKS (1u << 16) /* a power of two, far more than are ever alive */

struct block {
    void *address; /* NULL: free */
    void *caller;
    size_t bytes;
};

#define SITES 16

static atomic_flag lock = ATOMIC_FLAG_INIT;
static struct block blocks[BLOCKS];
static struct {
    unsigned counts[HF_BYS];
    enum hf_by by;
    unsigned nth; /* 0: nothing is refused */
    bool rest;
    unsigned refused;
    struct hf_site sites[SITES]; /* of the first that were refused */
} plan;
static bool watched; /* not while libraries are loaded at the start: that is on nobody's behalf */
static __thread bool is_main;
static __thread volatile bool inside; /* the compiler takes malloc for one that does not look */

static void take(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        ;
}

static void give(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

/* The first call of backtrace() loads a library. */
__attribute__((constructor)) static void prepare(void)
{
    void *frame;

    (void)backtrace(&frame, 1);
    is_main = watched = true;
}

/* ---- what the program asks ---- */

const char *hf_allocations_unavailable(void)
{
    void *volatile block;

    hf_allocations_refuse(HF_BY_CALLER, 0, false);
    hf_allocations_enter();
    block = malloc(1);
    hf_allocations_leave();
    free(block);
    return hf_allocations_count(HF_BY_CALLER) == 1
        ? NULL
        : "malloc is not ours here, but that of a sanitizer or of valgrind";
}

void hf_allocations_ignore(void)
{
    watched = false;
}

void hf_allocations_refuse(enum hf_by by, unsigned nth, bool rest)
{
    take();
    memset(&plan, 0, sizeof(plan));
    plan.by = by;
    plan.nth = nth;
    plan.rest = rest;
    give();
}

void hf_allocations_refuse_none(void)
{
    take();
    plan.nth = 0;
    give();
}

void hf_allocations_enter(void)
{
    inside = true;
}

void hf_allocations_leave(void)
{
    inside = false;
}

unsigned hf_allocations_count(enum hf_by by)
{
    unsigned count;

    take();
    count = plan.counts[by];
    give();
    return count;
}

unsigned hf_allocations_refused(void)
{
    unsigned refused;

    take();
    refused = plan.refused;
    give();
    return refused;
}

const struct hf_site *hf_allocations_site(unsigned i)
{
    return i < hf_allocations_refused() && i < SITES ? &plan.sites[i] : NULL;
}

static bool is_in(const struct hf_site *site, const char *function)
{
    Dl_info info;

    for (int i = 0; i < site->depth; i++) {
        if (dladdr(site->frames[i], &info) && info.dli_sname &&
            strcmp(info.dli_sname, function) == 0)
            return true;
    }
    return false;
}

bool hf_allocations_refused_in(const char *function)
{
    const struct hf_site *site;

    for (unsigned i = 0; (site = hf_allocations_site(i)); i++) {
        if (is_in(site, function))
            return true;
    }
    return false;
}

static int compare_kept(const void *first, const void *second)
{
    const struct hf_kept *a = first, *b = second;

    if (a->caller != b->caller)
        return a->caller < b->caller ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static size_t add_kept(struct hf_kept *kept, size_t count, size_t most, const struct block *block)
{
    for (size_t i = 0; i < count; i++) {
        if (kept[i].caller == block->caller && kept[i].bytes == block->bytes) {
            kept[i].blocks++;
            return count;
        }
    }
    if (count < most)
        kept[count++] = (struct hf_kept){block->caller, block->bytes, 1};
    return count;
}

size_t hf_allocations_kept(struct hf_kept *kept, size_t most)
{
    size_t count = 0;

    take();
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i].address)
            count = add_kept(kept, count, most, &blocks[i]);
    }
    give();
    qsort(kept, count, sizeof(*kept), compare_kept);
    return count;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* ---- blocks ---- */

static unsigned slot_of(const void *address)
{
    return (unsigned)((uintptr_t)address >> 4) * 2654435761u & (BLOCKS - 1);
}

static void remember(void *address, size_t bytes, void *caller)
{
    unsigned slot = slot_of(address), probes = 0;

    take();
    while (blocks[slot].address) {
        if (++probes == BLOCKS)
            abort();
        slot = (slot + 1) & (BLOCKS - 1);
    }
    blocks[slot] = (struct block){address, caller, bytes};
    give();
}

/* Takes a slot out of its chain: a later one that may stand here fills the gap, and leaves one. */
static void remove_slot(unsigned gap)
{
    for (unsigned slot = (gap + 1) & (BLOCKS - 1); blocks[slot].address;
         slot = (slot + 1) & (BLOCKS - 1)) {
        unsigned home = slot_of(blocks[slot].address);
        if (((slot - home) & (BLOCKS - 1)) >= ((slot - gap) & (BLOCKS - 1))) {
            blocks[gap] = blocks[slot];
            gap = slot;
        }
    }
    blocks[gap].address = NULL;
}

/* Those on nobody's behalf are not there. */
static void forget(const void *address)
{
    unsigned slot = slot_of(address);

    take();
    while (blocks[slot].address && blocks[slot].address != address)
        slot = (slot + 1) & (BLOCKS - 1);
    if (blocks[slot].address)
        remove_slot(slot);
    give();
}

/* ---- counting and refusing ---- */

static bool counts(void)
{
    return inside || (watched && !is_main);
}

/* Not under the lock: the look at the stack may wait for a library that is being loaded. */
static void note_site(unsigned number, const char *what, size_t bytes)
{
    struct hf_site *site = &plan.sites[number];

    if (number >= SITES)
        return;
    site->what = what;
    site->bytes = bytes;
    site->depth = backtrace(site->frames, sizeof(site->frames) / sizeof(site->frames[0]));
}

/* Counts one on behalf of the code under test. True: it is to fail. */
static bool refuse(const char *what, size_t bytes)
{
    enum hf_by by = is_main ? HF_BY_CALLER : HF_BY_THREADS;
    unsigned number;
    bool refused;

    take();
    plan.counts[by]++;
    refused = plan.nth != 0 &&
        ((by == plan.by && plan.counts[by] == plan.nth) || (plan.rest && plan.refused > 0));
    number = plan.refused;
    plan.refused += refused;
    give();
    if (refused) {
        note_site(number, what, bytes);
        errno = ENOMEM;
    }
    return refused;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void *keep(void *memory, size_t bytes, void *caller)
{
    if (memory)
        remember(memory, bytes, caller);
    return memory;
}

void *malloc(size_t size)
{
    if (!counts())
        return __libc_malloc(size);
    return refuse("malloc", size) ? NULL
                                  : keep(__libc_malloc(size), size, __builtin_return_address(0));
}

void *calloc(size_t count, size_t size)
{
    if (!counts())
        return __libc_calloc(count, size);
    return refuse("calloc", count * size)
        ? NULL
        : keep(__libc_calloc(count, size), count * size, __builtin_return_address(0));
}

/* A block of size 0 frees, as glibc's does. */
void *realloc(void *memory, size_t size)
{
    void *larger;

    if (counts() && size > 0 && refuse("realloc", size))
        return NULL;
    if (memory)
        forget(memory); /* first: freed, its address may be somebody else's at once */
    larger = __libc_realloc(memory, size);
    return counts() ? keep(larger, size, __builtin_return_address(0)) : larger;
}

static void *aligned(const char *what, size_t alignment, size_t size, void *caller)
{
    if (!counts())
        return __libc_memalign(alignment, size);
    return refuse(what, size) ? NULL : keep(__libc_memalign(alignment, size), size, caller);
}

void *memalign(size_t alignment, size_t size)
{
    return aligned("memalign", alignment, size, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return aligned("aligned_alloc", alignment, size, __builtin_return_address(0));
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = aligned("posix_memalign", alignment, size, __builtin_return_address(0));
    return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
    if (memory)
        forget(memory);
    __libc_free(memory);
}

/* glibc's own calls, malloc's included, do not come here. */
void *mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (counts() && refuse("mmap", bytes))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, start, bytes, protection, flags, fd, offset);
}

int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (counts() && refuse("pthread_create", 0))
        return EAGAIN;
    return real(thread, attributes, run, arg);
}

#endif

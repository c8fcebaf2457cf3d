/* SPDX-License-Identifier: PostgreSQL
 *
 * The plan is static and behind a spin lock of its own, since nothing here may allocate. What is
 * allocated goes to kept.c.
 */
#include "tests/oom/allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SITES 16

static atomic_flag lock = ATOMIC_FLAG_INIT;
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
static __thread enum hf_within within;
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

enum hf_within hf_allocations_within(enum hf_within now)
{
    enum hf_within before = within;

    within = now;
    return before;
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

bool hf_allocations_site_is_in(const struct hf_site *site, const char *function)
{
    Dl_info info;

    for (int i = 0; i < site->depth; i++) {
        if (dladdr(site->frames[i], &info) && info.dli_sname &&
            strcmp(info.dli_sname, function) == 0)
            return true;
    }
    return false;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

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
    site->within = within;
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
        hf_kept_add(memory, bytes, caller, within);
    return memory;
}

/* What is new has no addresses in it that were there before: lost.c looks for some. */
void *malloc(size_t size)
{
    void *memory;

    if (!counts())
        return __libc_malloc(size);
    if (refuse("malloc", size))
        return NULL;
    memory = __libc_malloc(size);
    if (memory)
        memset(memory, 0xa5, size);
    return keep(memory, size, __builtin_return_address(0));
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
        hf_kept_remove(memory); /* first: freed, its address may be somebody else's at once */
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
        hf_kept_remove(memory);
    __libc_free(memory);
}

/* So that a copy is held against who asked for it. */
char *strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy;

    if (counts() && refuse("strdup", bytes))
        return NULL;
    copy = __libc_malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return counts() ? keep(copy, bytes, __builtin_return_address(0)) : copy;
}

/* glibc's own calls, malloc's included, do not come here, nor to the next two. */
void *mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *pages;

    if (counts() && refuse("mmap", bytes))
        return MAP_FAILED;
    pages = (void *)syscall(SYS_mmap, start, bytes, protection, flags, fd, offset);
    if (counts() && pages != MAP_FAILED)
        hf_kept_map(pages, bytes, __builtin_return_address(0), within);
    return pages;
}

int munmap(void *start, size_t bytes)
{
    hf_kept_unmap(start, bytes); /* first: its address may be somebody else's at once */
    return (int)syscall(SYS_munmap, start, bytes);
}

void *mremap(void *start, size_t bytes, size_t new_bytes, int flags, ...)
{
    void *place = NULL, *pages;
    va_list args;

    va_start(args, flags);
    if (flags & MREMAP_FIXED)
        place = va_arg(args, void *);
    va_end(args);
    if (counts() && refuse("mremap", new_bytes))
        return MAP_FAILED;
    pages = (void *)syscall(SYS_mremap, start, bytes, new_bytes, flags, place);
    if (pages == MAP_FAILED)
        return pages;
    hf_kept_unmap(start, bytes);
    if (counts())
        hf_kept_map(pages, new_bytes, __builtin_return_address(0), within);
    return pages;
}

int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    enum hf_within before;
    int code;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (counts() && refuse("pthread_create", 0))
        return EAGAIN;
    before = hf_allocations_within(HF_WITHIN_PTHREAD_CREATE);
    code = real(thread, attributes, run, arg);
    hf_allocations_within(before);
    return code;
}

#endif

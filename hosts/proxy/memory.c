/* SPDX-License-Identifier: PostgreSQL
 *
 * memory.c: see memory.h.
 */
#include "hosts/proxy/memory.h"

#include <stdlib.h>
#include <string.h>

#include "hosts/proxy/log.h"

static void *or_die(void *memory)
{
    if (!memory) {
        hf_log(HF_LOG_ERROR, "out of memory: the program ends");
        abort();
    }
    return memory;
}

void *hf_memory_new(size_t size)
{
    return or_die(calloc(1, size));
}

char *hf_memory_copy(const char *text)
{
    return or_die(strdup(text));
}

void *hf_memory_grow(void *array, size_t count, size_t size)
{
    char *grown = or_die(realloc(array, (count + 1) * size));

    memset(grown + count * size, 0, size);
    return grown;
}

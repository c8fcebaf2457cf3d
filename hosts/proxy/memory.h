/* SPDX-License-Identifier: PostgreSQL
 *
 * memory.h: allocation that does not fail: without memory for some hundred bytes, the program says
 * so and aborts. Blocks are freed with free(). Any thread.
 */
#ifndef HOSTFLAGS_PROXY_MEMORY_H
#define HOSTFLAGS_PROXY_MEMORY_H

#include <stddef.h>

/* Zeroed. */
void *hf_memory_new(size_t size) __attribute__((returns_nonnull, malloc));

char *hf_memory_copy(const char *text) __attribute__((returns_nonnull));

/* An array of `count` members of `size` bytes, made longer by one zeroed member. */
void *hf_memory_grow(void *array, size_t count, size_t size) __attribute__((returns_nonnull));

#endif

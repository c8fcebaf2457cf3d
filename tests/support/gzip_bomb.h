/* SPDX-License-Identifier: PostgreSQL
 *
 * gzip_bomb.h: a small gzip stream that inflates to a lot of spaces. Any thread.
 *
 * Written out by hand, since one repeated byte needs only two of deflate's symbols and the tests
 * then need no compression library.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_GZIP_BOMB_H
#define HOSTFLAGS_TESTS_SUPPORT_GZIP_BOMB_H

#include <stddef.h>
#include <stdint.h>

/* A complete, valid gzip stream (RFC 1952) of at least mib MiB of spaces (up to 257 bytes more),
 * for the caller to free; its length goes to *len. NULL: out of memory. */
uint8_t *hf_gzip_bomb_create(unsigned mib, size_t *len);

#endif

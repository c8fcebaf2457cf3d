/* SPDX-License-Identifier: PostgreSQL
 *
 * Blocks are sorted by address. A pointer is any aligned word whose value is the address of one of
 * them: json-c has no pointers to parents, so a value points to all that is in it and to nothing
 * else.
 */
#include "tests/oom/lost.h"

#include "tests/oom/allocations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

static struct hf_kept_block blocks[MOST];
static bool is_pointed_to[MOST];

static int compare(const void *first, const void *second)
{
    const struct hf_kept_block *a = first, *b = second;

    return (a->address > b->address) - (a->address < b->address);
}

static void mark(const struct hf_kept_block *from, size_t count)
{
    for (size_t at = 0; at + sizeof(void *) <= from->bytes; at += sizeof(void *)) {
        struct hf_kept_block wanted = {NULL, 0}, *to;
        memcpy(&wanted.address, (const char *)from->address + at, sizeof(void *));
        to = bsearch(&wanted, blocks, count, sizeof(blocks[0]), compare);
        if (to && to != from)
            is_pointed_to[to - blocks] = true;
    }
}

static unsigned count_roots(void)
{
    size_t count = hf_kept_blocks_within(HF_WITHIN_JSON_PARSE, blocks, MOST);
    unsigned roots = 0;

    if (count > MOST) {
        fprintf(stderr, "lost.c: more than %d blocks are left by json-c's reader\n", MOST);
        abort();
    }
    qsort(blocks, count, sizeof(blocks[0]), compare);
    memset(is_pointed_to, 0, sizeof(is_pointed_to));
    for (size_t i = 0; i < count; i++)
        mark(&blocks[i], count);
    for (size_t i = 0; i < count; i++)
        roots += !is_pointed_to[i];
    return roots;
}

/* json_object_object_add_ex calls lh_table_insert_w_hash last of all, and is not on the stack. */
static unsigned lost_at(const struct hf_site *site)
{
    if (site->within != HF_WITHIN_JSON_PARSE)
        return 0;
    if (hf_allocations_site_is_in(site, "lh_table_resize"))
        return 2;
    return hf_allocations_site_is_in(site, "json_object_object_add_ex") ? 1 : 0;
}

struct hf_lost hf_lost_by_json_c(unsigned known)
{
    struct hf_lost lost = {0, count_roots() - known, false};
    const struct hf_site *site;

    for (unsigned i = 0; (site = hf_allocations_site(i)); i++)
        lost.expected += lost_at(site);
    lost.proven = lost.found == lost.expected;
    return lost;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_older.c: made when the table ended at fini. What follows in memory is not part of it: a
 * host that looks beyond the size finds a function that ends the program.
 */
#include <stdlib.h>

#include "tests/contract/plugin_stub.h"

static int32_t never_to_be_called(const char *name)
{
    (void)name;
    abort();
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static const struct hf_plugin table = {
        .hdr = STUB_HEADER(offsetof(struct hf_plugin, flag_index)),
        STUB_MEMBERS,
        .flag_index = never_to_be_called};

    return &table;
}

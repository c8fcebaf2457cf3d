/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_null_member.c: it has no is_enabled.
 */
#include "tests/contract/plugin_stub.h"

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct hf_plugin table = {.hdr = STUB_HEADER(sizeof(table)), STUB_MEMBERS};

    table.is_enabled = NULL;
    return &table;
}

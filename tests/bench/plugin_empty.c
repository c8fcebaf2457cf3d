/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_empty.c: what a call through the vtable costs when nothing is done in it.
 */
#include "tests/contract/plugin_stub.h"

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    (void)upstream;
    return 1;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct hf_plugin table = {.hdr = STUB_HEADER(sizeof(table)), STUB_MEMBERS};

    table.name = "empty";
    table.on_connect = on_connect;
    return &table;
}

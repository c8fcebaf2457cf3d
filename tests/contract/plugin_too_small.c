/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_too_small.c: its table ends before fini.
 */
#include "tests/contract/plugin_stub.h"

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static const struct hf_plugin table = {
        .hdr = STUB_HEADER(offsetof(struct hf_plugin, fini)), STUB_MEMBERS};

    return &table;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_wrong_major.c: its table is of the next major version.
 */
#include "tests/contract/plugin_stub.h"

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static const struct hf_plugin table = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR + 1, 0, sizeof(table), 0}, STUB_MEMBERS};

    return &table;
}

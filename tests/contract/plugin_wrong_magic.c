/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_wrong_magic.c: its table starts with another number.
 */
#include "tests/contract/plugin_stub.h"

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static const struct hf_plugin table = {
        .hdr = {0x21464C45u, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(table), 0}, STUB_MEMBERS};

    return &table;
}

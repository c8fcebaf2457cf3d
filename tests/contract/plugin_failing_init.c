/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_failing_init.c: refuses every setting, by its name; without settings it fails and says
 * nothing.
 */
#include <stdio.h>

#include "tests/contract/plugin_stub.h"

static int32_t refuse(const struct hf_host *host, const struct hf_setting *settings, size_t count,
    char *error, size_t error_size)
{
    (void)host;
    if (count == 0)
        return HF_E_SYSTEM;
    snprintf(error, error_size, "bad value %s for %s", settings[0].value, settings[0].key);
    return HF_E_INVALID;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct hf_plugin table = {.hdr = STUB_HEADER(sizeof(table)), STUB_MEMBERS};

    table.init = refuse;
    return &table;
}

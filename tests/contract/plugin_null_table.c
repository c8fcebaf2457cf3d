/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_null_table.c: its entry function has no table to give.
 */
#include "host_api.h"

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    return NULL;
}

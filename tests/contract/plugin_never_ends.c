/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_never_ends.c: its one host is asked, and the request neither fails nor succeeds: what a
 * host that waits for it must not wait for.
 */
#include <stdio.h>

#include "tests/contract/plugin_stub.h"

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    (void)upstream;
    return 1;
}

static size_t status(int32_t format, char *buf, size_t size)
{
    int length = snprintf(buf, size, "%s",
        format != HF_STATUS_JSON
            ? ""
            : "{\"hosts\":[{\"scheme\":\"https\",\"host\":\"db.example\",\"port\":443,"
              "\"org_id\":\"\",\"state\":\"unknown\",\"age_ms\":-1,\"ttl_ms\":-1,"
              "\"next_refresh_ms\":0,\"last_error\":\"ok\",\"http_status\":0,"
              "\"last_message\":\"\",\"flags\":{\"a\":{\"enabled\":false,"
              "\"reason\":\"default\"}}}]}");

    return (size_t)length;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct hf_plugin table = {
        .hdr = STUB_HEADER(sizeof(struct hf_plugin)), STUB_MEMBERS, .status = status};

    table.on_connect = on_connect;
    return &table;
}

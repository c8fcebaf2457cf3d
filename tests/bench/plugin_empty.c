/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_empty.c: what a call through the vtable costs when nothing is done in it.
 */
#include "host_api.h"

static int32_t init(const struct hf_host *host, const struct hf_setting *settings, size_t count,
    char *error, size_t error_size)
{
    (void)host;
    (void)settings;
    (void)count;
    (void)error;
    (void)error_size;
    return HF_OK;
}

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    (void)upstream;
    return 1;
}

static void on_disconnect(hf_conn conn)
{
    (void)conn;
}

static int32_t is_enabled(hf_conn conn, uint32_t flag)
{
    (void)conn;
    (void)flag;
    return 0;
}

static void fini(void) {}

static const struct hf_plugin plugin = {
    .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(plugin), 0},
    .name = "empty",
    .version = "1",
    .init = init,
    .on_connect = on_connect,
    .on_disconnect = on_disconnect,
    .is_enabled = is_enabled,
    .fini = fini,
};

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    return &plugin;
}

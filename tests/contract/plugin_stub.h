/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_stub.h: a plugin that does nothing, for the plugins of this directory that are wrong,
 * older or newer: each includes this file and changes one thing.
 */
#ifndef HOSTFLAGS_TESTS_CONTRACT_PLUGIN_STUB_H
#define HOSTFLAGS_TESTS_CONTRACT_PLUGIN_STUB_H

#include "host_api.h"

static int32_t stub_init(const struct hf_host *host, const struct hf_setting *settings,
    size_t count, char *error, size_t error_size)
{
    (void)host;
    (void)settings;
    (void)count;
    (void)error;
    (void)error_size;
    return HF_OK;
}

static hf_conn stub_on_connect(const struct hf_upstream *upstream)
{
    (void)upstream;
    return HF_NO_CONN;
}

static void stub_on_disconnect(hf_conn conn)
{
    (void)conn;
}

static int32_t stub_is_enabled(hf_conn conn, uint32_t flag)
{
    (void)conn;
    (void)flag;
    return 0;
}

static void stub_fini(void) {}

#define STUB_HEADER(size) \
    { \
        HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, size, 0 \
    }

/* The mandatory members, for an initialiser of struct hf_plugin. */
#define STUB_MEMBERS \
    .name = "stub", .version = "0", .init = stub_init, .on_connect = stub_on_connect, \
    .on_disconnect = stub_on_disconnect, .is_enabled = stub_is_enabled, .fini = stub_fini

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_newer.c: made later: its table goes on after the members that this version knows, and its
 * minor version is higher. It looks only at those members of hf_host that fit into the size the
 * host gave, and reports over its log how many bytes that were.
 */
#include <stdio.h>

#include "tests/contract/plugin_stub.h"

static int32_t init(const struct hf_host *host, const struct hf_setting *settings, size_t count,
    char *error, size_t error_size)
{
    char line[100];

    (void)settings;
    (void)count;
    (void)error;
    (void)error_size;
    snprintf(line, sizeof(line), "host table of %u bytes", host ? host->hdr.size : 0);
    if (host && HF_HAS(host, log))
        host->log(host->ctx, HF_LOG_INFO, line);
    return HF_OK;
}

static int32_t flag_index(const char *name)
{
    (void)name;
    return 7;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static struct {
        struct hf_plugin known;
        void (*unknown[4])(void);
    } table = {.known = {.hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR + 7, sizeof(table), 0},
                   STUB_MEMBERS,
                   .flag_index = flag_index},
        .unknown = {stub_fini, stub_fini, stub_fini, stub_fini}};

    table.known.init = init;
    return &table.known;
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/lent.h"

#include "plugin/gate.h"

#include <string.h>

static struct hf_gate calls = HF_GATE_INITIALIZER;
static struct hf_host host; /* a copy; members that the host does not have are NULL */
static __thread bool in_callback;

/* False: the gate is closed. */
static bool enter(bool *before)
{
    *before = in_callback;
    if (!hf_gate_enter(&calls))
        return false;
    in_callback = true;
    return true;
}

static void leave(bool before)
{
    in_callback = before;
    hf_gate_leave(&calls);
}

static void write_log(void *arg, enum hf_log_level level, const char *line)
{
    bool before;

    (void)arg;
    if (!enter(&before))
        return;
    if (host.log != NULL)
        host.log(host.ctx, (int32_t)level, line);
    leave(before);
}

static int32_t get_token(void *arg, const char *name, char *buf, size_t size)
{
    int32_t length;
    bool before;

    (void)arg;
    if (!enter(&before))
        return HF_E_STATE;
    length = host.get_token(host.ctx, name, buf, size);
    leave(before);
    return length;
}

const struct hf_log hf_lent_log = {write_log, NULL};
static struct hf_token_giver giver;

const struct hf_token_giver *hf_lent_giver(void)
{
    return &giver;
}

bool hf_is_ours(const struct hf_header *header, size_t needed)
{
    return header->magic == HF_ABI_MAGIC && header->abi_major == HF_ABI_MAJOR &&
        header->size >= needed;
}

/* One that the size cuts in half is not there. */
bool hf_lent_take(const struct hf_host *theirs)
{
    memset(&host, 0, sizeof(host));
    giver.get = NULL;
    if (theirs == NULL)
        return true;
    if (!hf_is_ours(&theirs->hdr, sizeof(struct hf_header)))
        return false;
    host.hdr = theirs->hdr;
    host.name = HF_HAS(theirs, name) ? theirs->name : NULL;
    host.version = HF_HAS(theirs, version) ? theirs->version : NULL;
    host.ctx = HF_HAS(theirs, ctx) ? theirs->ctx : NULL;
    host.log = HF_HAS(theirs, log) ? theirs->log : NULL;
    host.get_token = HF_HAS(theirs, get_token) ? theirs->get_token : NULL;
    giver.get = host.get_token != NULL ? get_token : NULL;
    return true;
}

void hf_lent_open(void)
{
    hf_gate_open(&calls);
}

void hf_lent_close(void)
{
    hf_gate_close(&calls);
}

const char *hf_lent_name(void)
{
    return host.name;
}

const char *hf_lent_version(void)
{
    return host.version;
}

bool hf_lent_in_callback(void)
{
    return in_callback;
}

/* The host may fork in its callback. */
void hf_lent_forked(void)
{
    hf_gate_forked(&calls, in_callback ? 1 : 0);
}

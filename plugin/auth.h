/* SPDX-License-Identifier: PostgreSQL
 *
 * auth.h: the bearer token for one host (RFC 6750).
 *
 * A token comes from the first of these that is configured: the file of token_file, the variable of
 * token_env, the host program's get_token. It is read for each request anew and kept nowhere
 * between requests, but for what token_env named; libcurl's own buffers are beyond us. No function
 * here writes a token anywhere but into the caller's struct, and no text it makes has a token in
 * it.
 *
 * Worker thread. Reading a file is the only I/O; only regular files are read.
 */
#ifndef HOSTFLAGS_AUTH_H
#define HOSTFLAGS_AUTH_H

#include "plugin/settings.h"

#define HF_TOKEN_MAX 8192 /* bytes; services refuse longer headers */

/* The host program's get_token; get NULL: it has none. Returns as in host_api.h: the length, which
 * is at most size, or a negative number. */
struct hf_token_giver {
    int32_t (*get)(void *arg, const char *host, char *buf, size_t size);
    void *arg;
};

enum hf_token_state {
    HF_TOKEN_NONE, /* none is configured */
    HF_TOKEN_READY,
    HF_TOKEN_MISSING /* one is configured and cannot be had; see problem */
};

#define HF_TOKEN_SOURCE_MAX 160

struct hf_token {
    size_t length;
    char text[HF_TOKEN_MAX + 1]; /* NUL-terminated; visible ASCII */
    char source[HF_TOKEN_SOURCE_MAX]; /* "the file /etc/token", "the host program" */
    char problem[HF_TOKEN_SOURCE_MAX + 96];
};

/* Fills *token, unless the state is HF_TOKEN_NONE. Call hf_token_forget afterwards in any case. */
enum hf_token_state hf_token_read(const struct hf_settings *settings,
    const struct hf_token_giver *giver, const char *host, struct hf_token *token)
    __attribute__((warn_unused_result));

/* A number that tells two tokens apart, never 0, and that says nothing about them to whoever does
 * not know the salt; 0 for one that is missing. */
uint64_t hf_token_mark(const struct hf_token *token, uint64_t salt);

/* Overwrites the token. */
void hf_token_forget(struct hf_token *token);

#endif

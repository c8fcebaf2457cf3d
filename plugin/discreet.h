/* SPDX-License-Identifier: PostgreSQL
 *
 * discreet.h: what may be shown of texts that others wrote and that may have a secret in them, by
 * mistake or malice. Pure; any thread; no allocation.
 */
#ifndef HOSTFLAGS_DISCREET_H
#define HOSTFLAGS_DISCREET_H

#include "plugin/parse.h"

/* Whether length bytes of text have something like a token in them: 20 or more bytes of those that
 * tokens, base64 and %-encoding are made of, digits and letters among them. It errs in both
 * directions; it is for what can be left out of a message without harm. */
bool hf_looks_secret(const char *text, size_t length);

/* As hf_format_visible, less the "user:password@" or "token@" of a URL: "https://...@host". */
void hf_format_discreet(const char *text, char out[HF_VISIBLE_MAX]);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * decode.h: from the body of a 200 to answer words. Pure; any thread; json-c stays inside.
 */
#ifndef HOSTFLAGS_DECODE_H
#define HOSTFLAGS_DECODE_H

#include "plugin/protocol.h"

#include <stddef.h>

#define HF_JSON_DEPTH_MAX 32 /* levels of nesting; a flag document has three */

/* What a document says of the flags we know: bit i is flag i. */
struct hf_document {
    uint64_t sent; /* the service sent a boolean for it */
    uint64_t on; /* and it is true; a subset of sent */
    int64_t ttl_seconds; /* > 0; 0: none that is usable */
};

/* Reads body (length bytes; needs no NUL; may hold anything). Returns NULL and fills *document, or
 * a constant text that says why this is no flag document ("no member `flags`"); *document is
 * untouched then. A flag whose value is no boolean counts as not sent; of duplicates the last
 * counts; names are compared byte by byte. */
const char *hf_decode(const struct hf_protocol *protocol, const char *const *flags,
    uint32_t flag_count, const char *body, size_t length, struct hf_document *document)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * decode.h: from the body of a 200 to answer words. Pure; any thread; json-c stays inside.
 */
#ifndef HOSTFLAGS_DECODE_H
#define HOSTFLAGS_DECODE_H

#include "plugin/protocol.h"
#include "plugin/terms.h"

#include <stddef.h>

/* What is refused, so that a body cannot take much more memory than it has bytes. Levels count the
 * document itself, and a value in an array or an object is one deeper: a flag document has four.
 * Each comma and colon costs 1, each array and object 8: 10,000 flags cost 120,000. */
#define HF_JSON_DEPTH_MAX 32
#define HF_JSON_COST_MAX 524288

/* What a document says of the flags we know: bit i is flag i. */
struct hf_document {
    uint64_t sent; /* the service sent a boolean for it */
    uint64_t on; /* and it is true; a subset of sent */
    int64_t ttl_seconds; /* > 0; 0: none that is usable */
};

/* Reads body (length bytes; needs no NUL; may hold anything). Returns NULL and fills *document, or
 * a constant text that says why this is no flag document ("it is JSON, but no object"); *document
 * is untouched then. A flag whose value is no boolean counts as not sent; of duplicates the last
 * counts; names are compared byte by byte. flag_count: at most HF_MAX_FLAGS. */
const char *hf_decode(const struct hf_protocol *protocol, const char *const *flags,
    uint32_t flag_count, const char *body, size_t length, struct hf_document *document)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * headers.h: what is kept of an answer's header: four fields, each in a place of fixed size. Pure;
 * one thread at a time.
 */
#ifndef HOSTFLAGS_HEADERS_H
#define HOSTFLAGS_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#define HF_HEADERS_MAX_BYTES (64 * 1024) /* all lines together, those of 1xx answers included */
#define HF_ETAG_MAX 256 /* bytes; a longer one is not kept */

/* "" means absent, or unusable: too long, with control characters in it, or the ETag "*". Of a
 * field that comes several times the last one counts. */
struct hf_headers {
    size_t bytes; /* of all lines so far */
    char etag[HF_ETAG_MAX + 1]; /* as sent, quotes and W/ included */
    char retry_after[64];
    char date[64];
    char location[1024];
};

/* Takes one line as libcurl hands it on, from the status line to the empty one. Each status line
 * starts the fields anew: a proxy's answer to CONNECT, and 1xx answers, have headers too. False:
 * there are more than HF_HEADERS_MAX_BYTES. Zeroed storage is a good start. */
bool hf_headers_take(struct hf_headers *headers, const char *line, size_t length)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * strict_document.h: what a flag document says, read a second time and in another way than the
 * plugin does, from the words of the design (4.4, 4.5) and of the cases C35 to C43 and C45.
 */
#ifndef HOSTFLAGS_TESTS_STRICT_DOCUMENT_H
#define HOSTFLAGS_TESTS_STRICT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_strict_document {
    bool is_document; /* if not, the rest is 0 */
    uint64_t sent, on; /* bit i is flag i */
    int64_t ttl_seconds; /* > 0; 0: none that is usable */
    int levels; /* of values in values; the document itself is the first */
    bool nul_in_name; /* a member's name has a U+0000 in it */
};

/* names: count, at most 64. All is borrowed. */
struct hf_strict_document hf_strict_read(
    const char *const *names, size_t count, const uint8_t *bytes, size_t length);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_document.h: the JSON document that the flag service serves. Part of flag_service.c; the
 * caller locks. Strings are copied. The document that is all zero is empty and has no ttl_seconds.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FLAG_DOCUMENT_H
#define HOSTFLAGS_TESTS_SUPPORT_FLAG_DOCUMENT_H

#include <stddef.h>

#define HF_FLAG_DOCUMENT_MAX 256

struct hf_flag_document {
    char *names[HF_FLAG_DOCUMENT_MAX];
    char *values[HF_FLAG_DOCUMENT_MAX]; /* as JSON */
    size_t count;
    char *ttl; /* as JSON; NULL: left out */
};

void hf_flag_document_fini(struct hf_flag_document *document);

/* Adds or replaces a flag; one too many ends the program, as does a lack of memory. */
void hf_flag_document_set(struct hf_flag_document *document, const char *name, const char *json);
void hf_flag_document_remove(struct hf_flag_document *document, const char *name);
void hf_flag_document_set_ttl(struct hf_flag_document *document, const char *json);

/* {"flags":[{"name":…,"value":…},…],"ttl_seconds":…}, for the caller to free. */
char *hf_flag_document_render(const struct hf_flag_document *document);

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/flag_document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t find(const struct hf_flag_document *document, const char *name)
{
    size_t i = 0;

    while (i < document->count && strcmp(document->names[i], name) != 0)
        i++;
    return i;
}

void hf_flag_document_fini(struct hf_flag_document *document)
{
    while (document->count > 0)
        hf_flag_document_remove(document, document->names[0]);
    free(document->ttl);
    document->ttl = NULL;
}

void hf_flag_document_set(struct hf_flag_document *document, const char *name, const char *json)
{
    size_t i = find(document, name);

    if (i == HF_FLAG_DOCUMENT_MAX)
        abort();
    if (i == document->count) {
        document->names[i] = strdup(name);
        document->count++;
    }
    free(document->values[i]);
    document->values[i] = strdup(json);
    if (!document->names[i] || !document->values[i])
        abort();
}

void hf_flag_document_remove(struct hf_flag_document *document, const char *name)
{
    size_t i = find(document, name);

    if (i == document->count)
        return;
    free(document->names[i]);
    free(document->values[i]);
    document->count--;
    for (; i < document->count; i++) {
        document->names[i] = document->names[i + 1];
        document->values[i] = document->values[i + 1];
    }
    document->values[i] = NULL;
}

void hf_flag_document_set_ttl(struct hf_flag_document *document, const char *json)
{
    free(document->ttl);
    document->ttl = json ? strdup(json) : NULL;
}

char *hf_flag_document_render(const struct hf_flag_document *document)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        abort();
    fputs("{\"flags\":[", out);
    for (size_t i = 0; i < document->count; i++)
        fprintf(out, "%s{\"name\":\"%s\",\"value\":%s}", i ? "," : "", document->names[i],
            document->values[i]);
    fputs("]", out);
    if (document->ttl)
        fprintf(out, ",\"ttl_seconds\":%s", document->ttl);
    fputs("}", out);
    if (fclose(out) != 0)
        abort();
    return text;
}

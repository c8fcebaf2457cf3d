/* SPDX-License-Identifier: PostgreSQL
 *
 * diagnose.h: what went wrong with a request, in one line for the operator: in the log, in status,
 * and on the screen of `hostflags-host check`. Pure; any thread.
 *
 * Nothing secret gets into it: of a token its length and where it came from, of a Location neither
 * user info nor query, and of what the service said nothing that looks like a token: it may give
 * back what it was sent.
 */
#ifndef HOSTFLAGS_DIAGNOSE_H
#define HOSTFLAGS_DIAGNOSE_H

#include "plugin/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_MESSAGE_MAX 216 /* bytes with the NUL; a longer line is cut and ends in "..." */

/* All that is known about the end of a request. No string is NULL; "" means unknown. */
struct hf_symptoms {
    enum hf_outcome outcome;
    uint16_t http_status; /* 0: none */
    const char *detail; /* what libcurl, the decoder or whoever refused said */
    const char *host; /* that was asked */
    const char *location, *retry_after; /* headers of the answer */
    const char *certificate; /* the names in the certificate of a service that was not trusted */
    const char *token_source; /* see auth.h */
    size_t token_length; /* of the token that was sent; 0: none was */
    bool token_withheld; /* there was one, but it does not go over plain http */
    bool has_org_id;
    bool hung_up; /* the service ended it after the TLS handshake, before any answer */
    bool bad_client_files; /* our certificate or its key cannot be used */
    bool has_client_certificate; /* we have one to show */
};

/* Writes the line; "" after HF_OUTCOME_OK. Printable ASCII: anything else becomes '?'. */
void hf_diagnose(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX]);

#endif

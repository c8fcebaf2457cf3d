/* SPDX-License-Identifier: PostgreSQL
 *
 * curl_end.h: what libcurl says of the end of a transfer, in our terms. Between fetch.c and
 * curl_end.c alone, since libcurl's types are in it. Its thread.
 */
#ifndef HOSTFLAGS_CURL_END_H
#define HOSTFLAGS_CURL_END_H

#include "plugin/terms.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/* A transfer that libcurl has ended. Borrowed for each call; texts that are returned live as long
 * as easy and error. */
struct hf_curl_end {
    CURL *easy;
    CURLcode code;
    const char *error; /* libcurl's text, "": none */
    size_t header_bytes; /* of the answer */
    bool has_body; /* some of it has come */
};

/* HF_OUTCOME_OK: there is an answer, whatever its status. */
enum hf_outcome hf_curl_outcome(const struct hf_curl_end *end);

/* For people; not for HF_OUTCOME_OK. Never the URL of a proxy, which may hold a password. */
const char *hf_curl_message(const struct hf_curl_end *end);

/* The names in a certificate that was trusted, but is somebody else's; "" for all other ends. */
const char *hf_curl_certificate(const struct hf_curl_end *end);

/* Whether the other side ended it after the TLS handshake, before any answer. */
bool hf_curl_has_hung_up(const struct hf_curl_end *end);

/* Whether libcurl gave up because of the length of a header line. */
bool hf_curl_is_endless_line(const struct hf_curl_end *end);

#endif

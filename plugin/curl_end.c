/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/curl_end.h"

#include <string.h>

/* In TLS 1.3 a client that is not trusted hears of it after the handshake, when it reads: of that
 * libcurl has no code of its own, only the TLS library's text. */
static bool is_alert(const struct hf_curl_end *end)
{
    return strcasestr(end->error, "alert") != NULL;
}

bool hf_curl_has_hung_up(const struct hf_curl_end *end)
{
    curl_off_t handshake_us = 0;

    if (end->code != CURLE_SEND_ERROR && end->code != CURLE_RECV_ERROR &&
        end->code != CURLE_GOT_NOTHING)
        return false;
    curl_easy_getinfo(end->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
    return handshake_us > 0 && end->header_bytes == 0;
}

#define CODE_TOO_LARGE 100 /* CURLE_TOO_LARGE, since libcurl 8.6 */

/* libcurl gives up at a single header line of more than 100 kB, and before 8.6 it said that it was
 * out of memory. If it really was, while an answer's header came in, that
 * cannot be told apart. */
bool hf_curl_is_endless_line(const struct hf_curl_end *end)
{
    curl_off_t first_byte_us = 0;

    if ((int)end->code == CODE_TOO_LARGE)
        return true;
    return end->code == CURLE_OUT_OF_MEMORY && !end->has_body &&
        curl_easy_getinfo(end->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us) == CURLE_OK &&
        first_byte_us > 0;
}

enum hf_outcome hf_curl_outcome(const struct hf_curl_end *end)
{
    switch ((int)end->code) {
    case CURLE_OK:
        return HF_OUTCOME_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HF_OUTCOME_DNS;
    case CURLE_OPERATION_TIMEDOUT:
        return HF_OUTCOME_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return HF_OUTCOME_TLS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return is_alert(end) ? HF_OUTCOME_TLS : HF_OUTCOME_CONNECT;
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PROXY:
        return HF_OUTCOME_CONNECT;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is no HTTP */
        return HF_OUTCOME_PARSE;
    default:
        return HF_OUTCOME_OTHER;
    }
}

/* The names a certificate is for, "DNS:a, DNS:b", or its subject where it has none. libcurl knows
 * them only if the certificate itself was trusted. */
const char *hf_curl_certificate(const struct hf_curl_end *end)
{
    struct curl_certinfo *info = NULL;
    const char *subject = "";

    if (end->code != CURLE_PEER_FAILED_VERIFICATION ||
        curl_easy_getinfo(end->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1)
        return "";
    for (const struct curl_slist *item = info->certinfo[0]; item != NULL; item = item->next) {
        static const char names[] = "X509v3 Subject Alternative Name:", whole[] = "Subject:";
        if (strncmp(item->data, names, strlen(names)) == 0)
            return item->data + strlen(names);
        if (strncmp(item->data, whole, strlen(whole)) == 0)
            subject = item->data + strlen(whole);
    }
    return subject;
}

/* A proxy's URL that libcurl does not understand it repeats, with the password in it. */
const char *hf_curl_message(const struct hf_curl_end *end)
{
    static const char unsupported[] = "Unsupported proxy ";
    bool has_at = strchr(end->error, '@') != NULL;
    bool about_proxy = end->code == CURLE_COULDNT_RESOLVE_PROXY || end->code == CURLE_URL_MALFORMAT;

    if (strncmp(end->error, unsupported, strlen(unsupported)) == 0 || (has_at && about_proxy))
        return "the proxy's URL, which is not shown, cannot be understood (setting proxy, or "
               "https_proxy and the like in the environment)";
    if (has_at)
        return "libcurl's own words are not shown: they have an @ in them, as a URL with a "
               "password "
               "has";
    return end->error[0] != '\0' ? end->error : curl_easy_strerror(end->code);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * advice.c: see advice.h. The words are those of the README's table "last error".
 */
#include "hosts/proxy/advice.h"

#include <stddef.h>
#include <string.h>

/* The first row that fits counts. */
static const struct {
    const char *error;
    int64_t first, last; /* of http_status */
    const char *advice;
} rows[] = {
    {"dns", 0, 999, "check the name, and the name server of this machine"},
    {"connect", 0, 999,
        "is the service up, a firewall in between, the setting `proxy` right, if there is one?"},
    {"tls", 0, 999,
        "`ca_file` for a private authority; `client_cert_file` where the service asks for one"},
    {"timeout", 0, 999,
        "is the service slow, or a firewall silent? `request_timeout` says how long to wait"},
    {"http", 401, 401, "a valid token in the place that `token_file` or `token_env` names"},
    {"http", 403, 403, "a token that may read flags, or the right to do so for this one"},
    {"http", 404, 404,
        "where the region has no flag service: `overrides` for all flags stops the asking"},
    {"http", 303, 303, "if it is a login page: `org_id` of the upstream, or --org-id here"},
    {"http", 429, 429, "wait; one proxy makes one request per host and interval: who else asks?"},
    {"http", 500, 599, "nothing here: a running proxy asks again by itself"},
    {"parse", 0, 999, "ask by hand: is `endpoint` right, or a login page in between?"},
    {"too_large", 0, 999, "if the document is genuine: raise `max_response_size`"},
};

const char *hf_advice(const char *last_error, int64_t http_status)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].error, last_error) == 0 && http_status >= rows[i].first &&
            http_status <= rows[i].last)
            return rows[i].advice;
    return NULL;
}

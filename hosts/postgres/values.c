/* SPDX-License-Identifier: PostgreSQL */
#include "hosts/postgres/values.h"

#include "catalog/pg_authid.h"
#include "datatype/timestamp.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

Datum hf_pg_interval(int64_t ms)
{
    Interval *interval = palloc0(sizeof(*interval));

    interval->time = ms * 1000;
    return IntervalPGetDatum(interval);
}

/* By the kind of failure: what it names may be parameters of before, or come from the environment
 * (https_proxy), and with a proxy any word about a connection may be about that. Where a token was
 * refused, its file is named. */
static bool may_name_a_parameter(const struct hf_facts *facts)
{
    switch ((enum hf_outcome)facts->outcome) {
    case HF_OUTCOME_TOKEN:
    case HF_OUTCOME_DNS:
    case HF_OUTCOME_CONNECT:
    case HF_OUTCOME_TLS:
    case HF_OUTCOME_TIMEOUT:
    case HF_OUTCOME_OTHER:
        return true;
    case HF_OUTCOME_HTTP:
        return facts->http_status == 401 || facts->http_status == 403;
    case HF_OUTCOME_OK:
    case HF_OUTCOME_PARSE:
    case HF_OUTCOME_TOO_LARGE:
    case HF_OUTCOME_REFUSED:
        break;
    }
    return false;
}

const char *hf_pg_message(const struct hf_view *view)
{
    if (may_name_a_parameter(&view->facts) &&
        !has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
        return "it may name a file or the proxy, and is for members of pg_read_all_settings";
    return view->message;
}

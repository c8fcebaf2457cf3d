/* SPDX-License-Identifier: PostgreSQL */
#include "hosts/postgres/values.h"

#include "hosts/postgres/shared.h"

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

/* By its looks, not by the parameters of now: it may be older, or cut. With a proxy any word about
 * a connection may be about that. */
static bool names_a_parameter(const struct hf_view *view)
{
    switch ((enum hf_outcome)view->facts.outcome) {
    case HF_OUTCOME_TOKEN:
        return true;
    case HF_OUTCOME_DNS:
    case HF_OUTCOME_CONNECT:
    case HF_OUTCOME_TLS:
    case HF_OUTCOME_TIMEOUT:
    case HF_OUTCOME_OTHER:
        return hf_pg_settings()->proxy != NULL || strchr(view->message, '/') != NULL;
    case HF_OUTCOME_OK:
    case HF_OUTCOME_HTTP:
    case HF_OUTCOME_PARSE:
    case HF_OUTCOME_TOO_LARGE:
    case HF_OUTCOME_REFUSED:
        break;
    }
    return false;
}

const char *hf_pg_message(const struct hf_view *view)
{
    if (names_a_parameter(view) && !has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
        return "it may name a file or the proxy, and is for members of pg_read_all_settings";
    return view->message;
}

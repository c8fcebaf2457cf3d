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

/* The token's is a pattern, whose names are not known beforehand. */
static bool names_a_file(const struct hf_view *view)
{
    const struct hf_settings *settings = hf_pg_settings();
    const char *const files[] = {
        settings->ca_file, settings->client_cert_file, settings->client_key_file};

    if (view->facts.outcome == HF_OUTCOME_TOKEN)
        return true;
    for (size_t i = 0; i < lengthof(files); i++) {
        if (files[i] != NULL && strstr(view->message, files[i]) != NULL)
            return true;
    }
    return false;
}

const char *hf_pg_message(const struct hf_view *view)
{
    if (names_a_file(view) && !has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
        return "it names a file, which members of pg_read_all_settings are shown";
    return view->message;
}

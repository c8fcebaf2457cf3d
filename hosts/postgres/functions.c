/* SPDX-License-Identifier: PostgreSQL
 *
 * functions.c: what can be called from SQL, but for what the views show (views.c). All are STRICT:
 * no argument is NULL here.
 *
 * is_enabled and explain never fail for a host: a name that has no reference is answered the
 * defaults, and explain says why. acquire and wait_ready are about the reference, and do fail.
 */
#include "hosts/postgres/session.h"
#include "hosts/postgres/shared.h"
#include "hosts/postgres/values.h"
#include "plugin/allowed.h"
#include "plugin/clock.h"
#include "plugin/describe.h"
#include "plugin/discreet.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(hf_sql_is_enabled);
PG_FUNCTION_INFO_V1(hf_sql_explain);
PG_FUNCTION_INFO_V1(hf_sql_acquire);
PG_FUNCTION_INFO_V1(hf_sql_release);
PG_FUNCTION_INFO_V1(hf_sql_wait_ready);
PG_FUNCTION_INFO_V1(hf_sql_refresh);

/* ---- flags ---- */

/* A caller's text for a message: in quotes, cut, and without a password that may be in it. */
static const char *shown(const text *value)
{
    char *out = palloc(HF_VISIBLE_MAX);

    hf_format_discreet(text_to_cstring(value), out);
    return out;
}

static pg_attribute_noreturn() void report_unknown_flag(
    const struct hf_settings *settings, const text *flag)
{
    StringInfoData known;

    initStringInfo(&known);
    for (uint32_t i = 0; i < settings->flag_count; i++)
        appendStringInfo(&known, "%s%s", i == 0 ? "" : ", ", settings->flags[i]);
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
        errmsg("there is no flag %s in hostflags.flags", shown(flag)),
        errhint("Known flags: %s.", known.data));
}

static uint32_t flag_number(const struct hf_settings *settings, const text *flag)
{
    const char *name = VARDATA_ANY(flag);
    size_t length = VARSIZE_ANY_EXHDR(flag);

    for (uint32_t i = 0; i < settings->flag_count; i++) {
        if (strncmp(settings->flags[i], name, length) == 0 && settings->flags[i][length] == '\0')
            return i;
    }
    report_unknown_flag(settings, flag);
}

PGDLLEXPORT Datum hf_sql_is_enabled(PG_FUNCTION_ARGS)
{
    const text *host = PG_GETARG_TEXT_PP(0), *flag = PG_GETARG_TEXT_PP(1);

    hf_pg_require();
    PG_RETURN_BOOL(hf_pg_session_read(host, flag_number(hf_pg_settings(), flag)));
}

/* ---- explain ---- */

enum { ENABLED, REASON, STATE, AGE, NEXT_REFRESH, LAST_ERROR, EXPLAIN_COLUMNS };

/* A host that has a reference may have been allowed before. */
static bool is_allowed(const struct hf_view *view)
{
    return hf_allowed_fits(hf_pg_settings()->allowed_hosts, &view->key);
}

/* Why there is no reference, or no request, or the error of the latest one; NULL: none of it. */
static const char *last_error_of(
    const struct hf_pg_reference *reference, const struct hf_view *view, bool there)
{
    if (reference->handle == 0)
        return reference->detail;
    if (there && !is_allowed(view))
        return hf_pg_not_allowed;
    if (!there || view->facts.outcome == HF_OUTCOME_OK)
        return NULL;
    return psprintf("%s: %s", hf_outcome_name(view->facts.outcome), hf_pg_message(view));
}

PGDLLEXPORT Datum hf_sql_explain(PG_FUNCTION_ARGS)
{
    const text *host = PG_GETARG_TEXT_PP(0), *flag = PG_GETARG_TEXT_PP(1);
    struct hf_host_words words = {HF_UNKNOWN, -1, -1, -1, 0};
    Datum values[EXPLAIN_COLUMNS] = {0};
    bool nulls[EXPLAIN_COLUMNS] = {false};
    const struct hf_settings *settings;
    struct hf_pg_reference reference;
    struct hf_flag_words answer;
    struct hf_rules rules;
    struct hf_view view;
    const char *error;
    uint32_t number;
    TupleDesc type;
    bool there;

    hf_pg_require();
    settings = hf_pg_settings();
    number = flag_number(settings, flag);
    if (get_call_result_type(fcinfo, NULL, &type) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    hf_pg_session_read(host, number); /* asks, where a read does */
    reference = *hf_pg_session_refer(host);
    there = hf_registry_view_connection(hf_pg_registry(), reference.handle, &view);
    if (there)
        words = hf_describe_host(&settings->policy, &view, hf_clock_ms());
    rules = there ? view.rules : hf_registry_rules(hf_pg_registry());
    answer = hf_describe_flag(&rules, there ? &view : NULL, words.state, number);
    error = last_error_of(&reference, &view, there);
    values[ENABLED] = BoolGetDatum(answer.enabled);
    values[REASON] = CStringGetTextDatum(hf_reason_name(answer.reason));
    values[STATE] = CStringGetTextDatum(hf_state_name(words.state));
    values[AGE] = hf_pg_interval(words.age_ms);
    values[NEXT_REFRESH] = hf_pg_interval(words.next_refresh_ms);
    values[LAST_ERROR] = error == NULL ? 0 : CStringGetTextDatum(error);
    nulls[AGE] = words.age_ms < 0;
    nulls[NEXT_REFRESH] = words.next_refresh_ms < 0;
    nulls[LAST_ERROR] = error == NULL;
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(type), values, nulls)));
}

/* ---- references ---- */

static int sqlstate_of(enum hf_refusal reason)
{
    switch (reason) {
    case HF_REFUSED_NAME:
        return ERRCODE_INVALID_PARAMETER_VALUE;
    case HF_REFUSED_NOT_ALLOWED:
        return ERRCODE_INSUFFICIENT_PRIVILEGE;
    case HF_REFUSED_HOSTS_FULL:
    case HF_REFUSED_CONNECTIONS_FULL:
        return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
    case HF_REFUSED_TABLE:
    case HF_REFUSED_NOT_SHARING:
    case HF_REFUSED_NOTHING:
        break;
    }
    return ERRCODE_INTERNAL_ERROR;
}

static hf_handle must_refer(const text *host)
{
    struct hf_pg_reference reference = *hf_pg_session_refer(host);

    if (reference.handle == 0)
        ereport(ERROR, errcode(sqlstate_of(reference.reason)),
            errmsg("host %s gets no reference: %s", shown(host), reference.detail));
    return reference.handle;
}

PGDLLEXPORT Datum hf_sql_acquire(PG_FUNCTION_ARGS)
{
    hf_pg_require();
    must_refer(PG_GETARG_TEXT_PP(0));
    PG_RETURN_VOID();
}

PGDLLEXPORT Datum hf_sql_release(PG_FUNCTION_ARGS)
{
    hf_pg_require();
    PG_RETURN_BOOL(hf_pg_session_release(PG_GETARG_TEXT_PP(0)));
}

/* ---- waiting ---- */

/* Months have 30 days here. */
static int64_t ms_of(const Interval *interval)
{
    double ms = (double)interval->time / 1000 + (double)interval->day * SECS_PER_DAY * 1000 +
        (double)interval->month * DAYS_PER_MONTH * SECS_PER_DAY * 1000;

    return ms <= 0 ? 0 : ms >= (double)INT_MAX ? INT_MAX : (int64_t)ms;
}

/* Whether no service has to be waited for: it was heard, or none is asked at all. */
static bool is_ready(const text *host)
{
    hf_handle handle = must_refer(host);
    struct hf_view view;

    hf_pg_session_read(host, 0); /* asks, where a read does */
    if (!hf_registry_view_connection(hf_pg_registry(), handle, &view))
        return false;
    if (view.facts.fetched_ms != HF_NEVER || !hf_rules_ask(&view.rules))
        return true;
    if (!is_allowed(&view))
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("host %s is not waited for: %s", shown(host), hf_pg_not_allowed));
    return false;
}

PGDLLEXPORT Datum hf_sql_wait_ready(PG_FUNCTION_ARGS)
{
    const text *host = PG_GETARG_TEXT_PP(0);
    ConditionVariable *heard;
    int64_t until, rest;
    bool ready;

    hf_pg_require();
    until = hf_clock_ms() + ms_of(PG_GETARG_INTERVAL_P(1));
    heard = &hf_pg_shared()->heard;
    ConditionVariablePrepareToSleep(heard);
    while (!(ready = is_ready(host)) && (rest = until - hf_clock_ms()) > 0)
        ConditionVariableTimedSleep(heard, (long)rest, hf_pg_wait_event());
    ConditionVariableCancelSleep();
    PG_RETURN_BOOL(ready);
}

PGDLLEXPORT Datum hf_sql_refresh(PG_FUNCTION_ARGS)
{
    const text *host = PG_GETARG_TEXT_PP(0);
    struct hf_upstream_key key;
    struct hf_rules rules;
    const char *detail;

    hf_pg_require();
    if (!hf_pg_session_key(host, &key, &detail))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("host %s is refused: %s", shown(host), detail));
    rules = hf_registry_rules(hf_pg_registry());
    if (!hf_rules_ask(&rules))
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("hostflags asks nobody at present"),
            errhint("Look at hostflags.enabled and hostflags.overrides."));
    switch (hf_registry_refresh(hf_pg_registry(), &key, hf_clock_ms())) {
    case HF_REFRESH_PLANNED:
        hf_pg_kick();
        PG_RETURN_BOOL(true);
    case HF_REFRESH_IN_FLIGHT:
        PG_RETURN_BOOL(true);
    case HF_REFRESH_TOO_SOON:
        PG_RETURN_BOOL(false);
    case HF_REFRESH_NOT_ALLOWED:
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("host %s is refused: %s", shown(host), hf_pg_not_allowed));
    case HF_REFRESH_UNKNOWN:
        break;
    }
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
        errmsg("no session refers to host %s", shown(host)),
        errhint("A session does after hostflags.acquire or hostflags.is_enabled."));
}

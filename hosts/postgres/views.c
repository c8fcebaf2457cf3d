/* SPDX-License-Identifier: PostgreSQL
 *
 * views.c: what the views of the extension show. Copies, taken host by host under the lock; nothing
 * here takes a reference or asks anybody.
 */
#include "hosts/postgres/shared.h"
#include "hosts/postgres/values.h"
#include "plugin/block.h"
#include "plugin/clock.h"
#include "plugin/describe.h"

#include "access/htup_details.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(hf_sql_hosts);
PG_FUNCTION_INFO_V1(hf_sql_flags);
PG_FUNCTION_INFO_V1(hf_sql_stats);

#define COLUMNS_MOST 24

/* A row that is being made. */
struct row {
    Datum values[COLUMNS_MOST];
    bool nulls[COLUMNS_MOST];
    int count;
};

static void add(struct row *row, Datum value, bool null)
{
    row->values[row->count] = value;
    row->nulls[row->count++] = null;
}

static void add_text(struct row *row, const char *text)
{
    add(row, CStringGetTextDatum(text), false);
}

static void add_number(struct row *row, uint64_t number)
{
    add(row, Int64GetDatum((int64_t)number), false);
}

/* ms below 0: NULL. */
static void add_interval(struct row *row, int64_t ms)
{
    add(row, hf_pg_interval(ms), ms < 0);
}

static void put(FunctionCallInfo fcinfo, struct row *row)
{
    ReturnSetInfo *set = (ReturnSetInfo *)fcinfo->resultinfo;

    if (row->count != set->setDesc->natts)
        elog(ERROR, "hostflags: %d columns, and %d in SQL", row->count, set->setDesc->natts);
    tuplestore_putvalues(set->setResult, set->setDesc, row->values, row->nulls);
}

static void add_key(struct row *row, const struct hf_upstream_key *key)
{
    add_text(row, key->host);
    add(row, Int32GetDatum(key->port), false);
    add_text(row, key->scheme == HF_HTTP ? "http" : "https");
}

/* ---- hosts ---- */

static void put_host(FunctionCallInfo fcinfo, const struct hf_view *view, int64_t now)
{
    struct hf_host_words words = hf_describe_host(&hf_pg_settings()->policy, view, now);
    const struct hf_facts *facts = &view->facts;
    struct row row = {.count = 0};

    add_key(&row, &view->key);
    add_number(&row, view->references);
    add_text(&row, hf_state_name(words.state));
    add_interval(&row, words.age_ms);
    add_interval(&row, words.ttl_ms);
    add_interval(&row, words.next_refresh_ms);
    add_interval(&row, words.retry_after_ms > 0 ? words.retry_after_ms : -1);
    add_number(&row, view->requests);
    add_number(&row, view->not_modified);
    add_number(&row, view->failed);
    add_number(&row, facts->failures);
    add(&row, CStringGetTextDatum(hf_outcome_name((enum hf_outcome)facts->outcome)),
        facts->outcome == HF_OUTCOME_OK);
    add(&row, Int32GetDatum(facts->http_status), facts->http_status == 0);
    add(&row, CStringGetTextDatum(hf_pg_message(view)), view->message[0] == '\0');
    put(fcinfo, &row);
}

static void put_flags(FunctionCallInfo fcinfo, const struct hf_view *view, int64_t now)
{
    const struct hf_settings *settings = hf_pg_settings();
    enum hf_state state = hf_describe_host(&settings->policy, view, now).state;

    for (uint32_t flag = 0; flag < settings->flag_count; flag++) {
        struct hf_flag_words words = hf_describe_flag(&view->rules, view, state, flag);
        struct row row = {.count = 0};
        add_key(&row, &view->key);
        add_text(&row, settings->flags[flag]);
        add(&row, BoolGetDatum(words.enabled), false);
        add_text(&row, hf_reason_name(words.reason));
        put(fcinfo, &row);
    }
}

typedef void put_view(FunctionCallInfo fcinfo, const struct hf_view *view, int64_t now);

static Datum for_each_host(FunctionCallInfo fcinfo, put_view *put_one)
{
    int64_t now = hf_clock_ms();
    struct hf_view view;
    uint32_t slots;

    hf_pg_require();
    InitMaterializedSRF(fcinfo, 0);
    slots = hf_registry_slots(hf_pg_registry());
    for (uint32_t slot = 0; slot < slots; slot++) {
        CHECK_FOR_INTERRUPTS();
        if (hf_registry_view(hf_pg_registry(), slot, now, &view))
            put_one(fcinfo, &view, now);
    }
    return (Datum)0;
}

PGDLLEXPORT Datum hf_sql_hosts(PG_FUNCTION_ARGS)
{
    return for_each_host(fcinfo, put_host);
}

PGDLLEXPORT Datum hf_sql_flags(PG_FUNCTION_ARGS)
{
    return for_each_host(fcinfo, put_flags);
}

/* ---- stats ---- */

struct sums {
    uint64_t hosts, references, in_flight, requests, failures;
};

static struct sums sum_up(const struct hf_totals *totals)
{
    uint32_t slots = hf_registry_slots(hf_pg_registry());
    int64_t now = hf_clock_ms();
    struct sums sums = {0};
    struct hf_view view;

    for (uint32_t slot = 0; slot < slots; slot++) {
        CHECK_FOR_INTERRUPTS();
        if (!hf_registry_view(hf_pg_registry(), slot, now, &view))
            continue;
        sums.hosts++;
        sums.references += view.references;
        sums.in_flight += view.facts.in_flight;
    }
    for (int outcome = 0; outcome < HF_OUTCOMES; outcome++)
        sums.requests += totals->requests[outcome];
    sums.failures = sums.requests - totals->requests[HF_OUTCOME_OK];
    return sums;
}

PGDLLEXPORT Datum hf_sql_stats(PG_FUNCTION_ARGS)
{
    struct row row = {.count = 0};
    struct hf_refusals *refusals;
    struct hf_totals totals;
    struct sums sums;
    int worker;

    hf_pg_require();
    InitMaterializedSRF(fcinfo, 0);
    refusals = hf_registry_refusals(hf_pg_registry());
    totals = hf_registry_totals(hf_pg_registry());
    sums = sum_up(&totals);
    worker = atomic_load(&hf_pg_shared()->worker_pid);
    add_number(&row, sums.hosts);
    add_number(&row, hf_pg_settings()->max_hosts);
    add_number(&row, sums.references);
    add_number(&row, hf_pg_settings()->max_connections);
    add_number(&row, sums.in_flight);
    add_number(&row, sums.requests);
    add_number(&row, totals.not_modified);
    add_number(&row, sums.failures);
    for (int reason = HF_REFUSED_NAME; reason <= HF_REFUSED_CONNECTIONS_FULL; reason++)
        add_number(&row, atomic_load(&refusals->reasons[reason].count));
    add_number(&row, atomic_load(&refusals->reasons[HF_REFUSED_NOTHING].count));
    add(&row, Int32GetDatum(worker), worker == 0);
    put(fcinfo, &row);
    return (Datum)0;
}

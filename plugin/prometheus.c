/* SPDX-License-Identifier: PostgreSQL
 *
 * prometheus.c: the state of the cache as metrics. Names and units by Prometheus' own rules: base
 * units, _total for what only grows. The format wants all series of a metric together, so the hosts
 * are looked at once per metric: each look is of one moment, the whole is not.
 *
 * Label values need no escaping: host names, org ids, flag names and our own words have neither
 * quotes nor backslashes nor line ends in them (upstream.h, flag_names.h).
 */
#include "plugin/describe.h"
#include "plugin/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void begin(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP hostflags_%s %s\n# TYPE hostflags_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    begin(out, name, type, help);
    fprintf(out, "hostflags_%s %" PRIu64 "\n", name, value);
}

/* ---- one metric with a series per host ---- */

struct look {
    FILE *out;
    const char *name;
    const struct hf_status *status;
    const struct hf_view *view;
    struct hf_host_words words;
};

/* A series of this host, up to its value. label: one more, NULL: none. */
static void series(const struct look *look, const char *label, const char *value)
{
    const struct hf_upstream_key *key = &look->view->key;

    fprintf(look->out, "hostflags_%s{scheme=\"%s\",host=\"%s\",port=\"%u\",org_id=\"%s\"",
        look->name, key->scheme == HF_HTTP ? "http" : "https", key->host, (unsigned)key->port,
        key->org_id);
    if (label != NULL)
        fprintf(look->out, ",%s=\"%s\"", label, value);
    fputs("} ", look->out);
}

static void number(const struct look *look, uint64_t value)
{
    series(look, NULL, NULL);
    fprintf(look->out, "%" PRIu64 "\n", value);
}

/* Nothing for a negative one. */
static void seconds(const struct look *look, int64_t ms)
{
    if (ms < 0)
        return;
    series(look, NULL, NULL);
    fprintf(look->out, "%" PRId64 ".%03d\n", ms / 1000, (int)(ms % 1000));
}

static void put_references(const struct look *look)
{
    number(look, look->view->references);
}

static void put_state(const struct look *look)
{
    for (int state = HF_UNKNOWN; state <= HF_EXPIRED; state++) {
        series(look, "state", hf_state_name((enum hf_state)state));
        fprintf(look->out, "%d\n", look->words.state == (enum hf_state)state);
    }
}

static void put_age(const struct look *look)
{
    seconds(look, look->words.age_ms);
}

static void put_ttl(const struct look *look)
{
    seconds(look, look->words.ttl_ms);
}

static void put_requests(const struct look *look)
{
    number(look, look->view->requests);
}

static void put_not_modified(const struct look *look)
{
    number(look, look->view->not_modified);
}

static void put_failures(const struct look *look)
{
    number(look, look->view->failed);
}

static void put_failures_in_a_row(const struct look *look)
{
    number(look, look->view->facts.failures);
}

static void put_http_status(const struct look *look)
{
    number(look, look->view->facts.http_status);
}

static void put_last_error(const struct look *look)
{
    series(look, "error", hf_outcome_name(look->view->facts.outcome));
    fputs("1\n", look->out);
}

static void put_flags(const struct look *look)
{
    const struct hf_settings *settings = look->status->settings;

    for (uint32_t flag = 0; flag < settings->flag_count; flag++) {
        struct hf_flag_words words =
            hf_describe_flag(&look->view->rules, look->view, look->words.state, flag);
        series(look, "flag", settings->flags[flag]);
        fprintf(look->out, "%d\n", words.enabled);
    }
}

static const struct host_metric {
    const char *name, *type, *help;
    void (*put)(const struct look *look);
} host_metrics[] = {
    {"host_references", "gauge", "Connections that hold the entry of the host.", put_references},
    {"host_state", "gauge", "How much is known about the host: 1 for its present state.",
        put_state},
    {"host_age_seconds", "gauge", "Time since the service last confirmed the values.", put_age},
    {"host_ttl_seconds", "gauge", "How long these values are fresh.", put_ttl},
    {"host_requests_total", "counter", "Requests sent since the entry was made.", put_requests},
    {"host_not_modified_total", "counter", "Of these, answered by 304.", put_not_modified},
    {"host_failures_total", "counter", "Requests that failed since the entry was made.",
        put_failures},
    {"host_failures_in_a_row", "gauge", "Failures since the last success.", put_failures_in_a_row},
    {"host_http_status", "gauge", "HTTP status of the latest completed request, 0: none.",
        put_http_status},
    {"host_last_error", "gauge", "How the latest completed request ended.", put_last_error},
    {"flag_enabled", "gauge", "What connections to the host are answered.", put_flags},
};

static void put_hosts(FILE *out, const struct hf_status *status, const struct host_metric *metric)
{
    uint32_t slots = hf_registry_slots(status->registry);
    struct hf_view view;
    struct look look = {.out = out, .name = metric->name, .status = status, .view = &view};

    begin(out, metric->name, metric->type, metric->help);
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!hf_registry_view(status->registry, slot, status->now, &view))
            continue;
        look.words = hf_describe_host(&status->settings->policy, &view, status->now);
        metric->put(&look);
    }
}

/* ---- sums ---- */

struct sums {
    uint64_t states[HF_EXPIRED + 1], answers[HF_REASONS];
    uint64_t connections, in_flight;
};

static struct sums sum_up(const struct hf_status *status)
{
    uint32_t slots = hf_registry_slots(status->registry);
    struct sums sums = {.connections = 0};
    struct hf_view view;

    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!hf_registry_view(status->registry, slot, status->now, &view))
            continue;
        enum hf_state state = hf_describe_host(&status->settings->policy, &view, status->now).state;
        sums.states[state]++;
        sums.connections += view.references;
        sums.in_flight += view.facts.in_flight;
        hf_describe_tally(&view.rules, state, view.sent, sums.answers);
    }
    return sums;
}

static void put_requests_total(FILE *out, const struct hf_totals *totals)
{
    begin(out, "requests_total", "counter",
        "Requests by how they ended; after token and refused nothing was sent.");
    for (int i = 0; i < HF_OUTCOMES; i++)
        fprintf(out, "hostflags_requests_total{outcome=\"%s\"} %" PRIu64 "\n",
            hf_outcome_name((enum hf_outcome)i), totals->requests[i]);
}

static void put_by_reason(FILE *out, const char *name, const char *type, const char *help,
    const uint64_t counts[HF_REASONS])
{
    begin(out, name, type, help);
    for (int i = 0; i < HF_REASONS; i++)
        fprintf(out, "hostflags_%s{reason=\"%s\"} %" PRIu64 "\n", name,
            hf_reason_name((enum hf_reason)i), counts[i]);
}

static void put_rejected(FILE *out, struct hf_refusals *refusals)
{
    begin(out, "rejected_connections_total", "counter",
        "Connections that got no reference and are answered the defaults, by reason.");
    for (int i = 0; i < HF_REFUSED_NOTHING; i++)
        fprintf(out, "hostflags_rejected_connections_total{reason=\"%s\"} %" PRIu64 "\n",
            hf_refusal_name((enum hf_refusal)i), atomic_load(&refusals->reasons[i].count));
}

static void put_tables(FILE *out, const struct hf_status *status, const struct hf_totals *totals,
    const struct sums *sums)
{
    single(out, "connections", "gauge", "Connections that hold a reference.", sums->connections);
    single(out, "connections_limit", "gauge", "The setting max_connections.",
        status->settings->max_connections);
    begin(out, "hosts", "gauge", "Hosts by state.");
    for (int i = HF_UNKNOWN; i <= HF_EXPIRED; i++)
        fprintf(out, "hostflags_hosts{state=\"%s\"} %" PRIu64 "\n", hf_state_name((enum hf_state)i),
            sums->states[i]);
    single(out, "hosts_limit", "gauge", "The setting max_hosts.", status->settings->max_hosts);
    single(out, "host_slots", "gauge",
        "Places in the table of hosts that are in use, by records of failed hosts as well.",
        totals->host_slots);
}

static void put_process(FILE *out, const struct hf_status *status)
{
    struct hf_totals totals = hf_registry_totals(status->registry);
    struct sums sums = sum_up(status);

    begin(out, "build_info", "gauge", "The version of the plugin.");
    fprintf(out, "hostflags_build_info{version=\"%s\"} 1\n", HF_VERSION);
    single(out, "enabled", "gauge", "The setting enabled.",
        hf_registry_rules(status->registry).enabled);
    put_tables(out, status, &totals, &sums);
    put_requests_total(out, &totals);
    single(out, "not_modified_total", "counter", "Requests that were answered by 304.",
        totals.not_modified);
    single(out, "requests_in_flight", "gauge", "Requests that are under way.", sums.in_flight);
    put_by_reason(out, "published_answers_total", "counter",
        "Answers by reason, counted per flag whenever a request ends or a value expires.",
        totals.published);
    put_by_reason(out, "answers", "gauge",
        "Flags of all hosts by the reason for what they are answered now.", sums.answers);
    put_rejected(out, status->refusals);
    single(out, "evictions_total", "counter",
        "Idle hosts whose entry made room for another in a full table.",
        atomic_load(&status->refusals->reasons[HF_REFUSED_NOTHING].count));
}

/* Only where the cache is shared. */
static void put_sharing(FILE *out, const struct hf_status *status)
{
    struct hf_share_facts facts;

    if (status->share == NULL)
        return;
    facts = hf_share_facts(status->share);
    single(out, "sharing_processes", "gauge", "Processes that share the cache.", facts.processes);
    single(out, "sharing_take_overs_total", "counter",
        "How often another process began to refresh for all.",
        hf_registry_totals(status->registry).take_overs);
    single(out, "sharing_returned_references_total", "counter",
        "References that were given back for processes that had ended.", facts.returned);
}

char *hf_status_prometheus(const struct hf_status *status)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    bool good;

    if (out == NULL)
        return NULL;
    put_process(out, status);
    put_sharing(out, status);
    for (size_t i = 0; i < sizeof(host_metrics) / sizeof(host_metrics[0]); i++)
        put_hosts(out, status, &host_metrics[i]);
    good = ferror(out) == 0;
    if (fclose(out) == 0 && good)
        return text;
    free(text);
    return NULL;
}

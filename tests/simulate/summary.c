/* SPDX-License-Identifier: PostgreSQL
 *
 * summary.c: the targets, and where they come from.
 *
 *   steady state    the calm of the scenario. All hosts together are asked 63 times a second, so a
 *                   second is compared with the mean. One host is asked 1.3 times a second: chance
 *                   alone makes seconds with seven times that, so there it is a minute that is
 *                   compared, and a second has the bound that the design gives for proxies that
 *                   started together: 15 of 1,000.
 *   same second     of one host, wherever in the day, but in the first second of an event: proxies
 *                   that start together ask together.
 *   fresh again     the longest backoff is 10 min; the answer comes in the second after it.
 */
#include "tests/simulate/summary.h"

#include "tests/simulate/figures.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define STEADY_MOST 2.0 /* times the mean */
#define SECOND_OF_ONE_MOST 0.015 /* of the proxies */
#define SAME_SECOND_MOST 0.05 /* of the proxies */
#define RECOVERY_MOST_S 601
#define TEXT_MAX 96

struct writer {
    const struct hf_summary *summary;
    FILE *file;
    int missed;
};

/* "41 s", "9 min 41 s", "5 h 20 min". */
static const char *duration(int64_t seconds, char text[TEXT_MAX])
{
    if (seconds < 0)
        snprintf(text, TEXT_MAX, "not yet");
    else if (seconds < 60)
        snprintf(text, TEXT_MAX, "%" PRId64 " s", seconds);
    else if (seconds < 3600)
        snprintf(text, TEXT_MAX, "%" PRId64 " min %02" PRId64 " s", seconds / 60, seconds % 60);
    else
        snprintf(
            text, TEXT_MAX, "%" PRId64 " h %02" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    return text;
}

static bool is_outage(const struct hf_event *event)
{
    return event->kind == HF_EVENT_REFUSED || event->kind == HF_EVENT_503;
}

/* ---- the events ---- */

static double later_share(const struct hf_summary *summary, size_t i)
{
    const struct hf_event *event = &summary->scenario->events[i];
    struct hf_load later = hf_figures_load(
        summary->ledger, event->at_s + 1, hf_scenario_aftermath_s(summary->scenario, i));

    return (double)later.busiest_second_of_one / summary->ledger->proxies;
}

static int64_t recovery_s(const struct hf_summary *summary, size_t i, int per_cent)
{
    const struct hf_event *event = &summary->scenario->events[i];

    return hf_figures_recovery_s(summary->ledger, event->at_s + event->length_s,
        hf_scenario_aftermath_s(summary->scenario, i), per_cent);
}

/* "12:00 to 13:00". */
static const char *hours(const struct hf_event *event, char text[TEXT_MAX])
{
    int from = (int)event->at_s / 60, to = (int)(event->at_s + event->length_s) / 60;
    int length = snprintf(text, TEXT_MAX, "%02d:%02d", from / 60, from % 60);

    if (event->length_s > 0)
        snprintf(text + length, TEXT_MAX - (size_t)length, " to %02d:%02d", to / 60, to % 60);
    return text;
}

static void write_recovery(const struct writer *writer, size_t i)
{
    static const int per_cents[] = {50, 95, 100};
    char text[TEXT_MAX], cell[TEXT_MAX] = "";
    size_t length = 0;

    for (int n = 0; n < 3; n++)
        length += (size_t)snprintf(cell + length, sizeof(cell) - length, "%s%s", n == 0 ? "" : ", ",
            duration(recovery_s(writer->summary, i, per_cents[n]), text));
    fprintf(writer->file, " %-35s |\n", cell);
}

static void write_event(const struct writer *writer, size_t i)
{
    const struct hf_summary *summary = writer->summary;
    const struct hf_event *event = &summary->scenario->events[i];
    double proxies = summary->ledger->proxies;
    int64_t at_s = event->at_s, end_s = hf_scenario_aftermath_s(summary->scenario, i);
    struct hf_load first = hf_figures_load(summary->ledger, at_s, at_s + 1);
    struct hf_load later = hf_figures_load(summary->ledger, at_s + 1, end_s);
    struct hf_load meanwhile = hf_figures_load(
        summary->ledger, at_s, event->length_s > 0 ? at_s + event->length_s : end_s);
    char text[TEXT_MAX];

    fprintf(writer->file,
        "| %-14s | %-33s | %10.1f | %12" PRIu32 ", %13" PRIu32 " | %5.1f %%, %4.1f %% |",
        hours(event, text), event->what, meanwhile.mean_per_s, first.busiest_second,
        later.busiest_second, 100 * (double)first.busiest_second_of_one / proxies,
        100 * later_share(summary, i));
    if (event->kind == HF_EVENT_CALM)
        fprintf(writer->file, " %-35s |\n", "-");
    else
        write_recovery(writer, i);
}

static void write_events(const struct writer *writer)
{
    fputs(
        "| time           | what happens                      | requests/s | first second, busiest "
        "later | of one host     | 50 %, 95 %, all fresh again after   "
        "|\n|---|---|---|---|---|---|\n",
        writer->file);
    for (size_t i = 0; i < writer->summary->scenario->count; i++)
        write_event(writer, i);
}

/* ---- the targets ---- */

__attribute__((format(printf, 5, 6))) static void check(
    struct writer *writer, bool met, const char *what, const char *target, const char *format, ...)
{
    char is[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(is, sizeof(is), format, arguments);
    va_end(arguments);
    fprintf(writer->file, "| %-49s | %-35s | %-13s | %-6s |\n", what, is, target,
        met ? "ok" : "MISSED");
    if (!met)
        writer->missed++;
}

static const struct hf_event *find_calm(const struct hf_scenario *scenario)
{
    for (size_t i = 0; i < scenario->count; i++) {
        if (scenario->events[i].kind == HF_EVENT_CALM)
            return &scenario->events[i];
    }
    abort();
}

static void check_calm(struct writer *writer)
{
    const struct hf_ledger *ledger = writer->summary->ledger;
    const struct hf_event *calm = find_calm(writer->summary->scenario);
    struct hf_load load = hf_figures_load(ledger, calm->at_s, calm->at_s + calm->length_s);
    double all = load.busiest_second / load.mean_per_s;
    double minute_mean = load.mean_of_one_per_s * 60,
           minute = load.busiest_minute_of_one / minute_mean;
    double most = SECOND_OF_ONE_MOST * ledger->proxies;
    char target[TEXT_MAX];

    check(writer, all <= STEADY_MOST, "calm: busiest second, all hosts together", "at most 2 x",
        "%" PRIu32 ", %.2f x the mean of %.1f", load.busiest_second, all, load.mean_per_s);
    check(writer, minute <= STEADY_MOST, "calm: busiest 60 s of any one host", "at most 2 x",
        "%" PRIu32 ", %.2f x the mean of %.1f", load.busiest_minute_of_one, minute, minute_mean);
    snprintf(target, sizeof(target), "at most %.0f", most);
    check(writer, load.busiest_second_of_one <= most, "calm: busiest second of any one host",
        target, "%" PRIu32 " of %" PRIu32 ", %.1f x the mean of %.2f", load.busiest_second_of_one,
        ledger->proxies, load.busiest_second_of_one / load.mean_of_one_per_s,
        load.mean_of_one_per_s);
}

/* The promise: one request per host and interval of 0.80 to 0.95 of the TTL. */
static void check_intervals(struct writer *writer)
{
    const struct hf_ledger *ledger = writer->summary->ledger;
    const struct hf_event *calm = find_calm(writer->summary->scenario);
    struct hf_load load = hf_figures_load(ledger, calm->at_s, calm->at_s + calm->length_s);
    double per_day = load.mean_of_one_per_s / ledger->proxies * 86400;
    int64_t least_ms = writer->summary->ttl_s * 800, most_ms = writer->summary->ttl_s * 950;
    double fewest = 86400000.0 / (double)most_ms, most = 86400000.0 / (double)least_ms;
    char target[TEXT_MAX];

    snprintf(
        target, sizeof(target), "%" PRId64 " to %" PRId64 " s", least_ms / 1000, most_ms / 1000);
    check(writer,
        ledger->shortest_interval_ms >= least_ms && ledger->longest_interval_ms <= most_ms,
        "all day: from a success to the next request", target, "%.3f to %.3f s",
        (double)ledger->shortest_interval_ms / 1000, (double)ledger->longest_interval_ms / 1000);
    snprintf(target, sizeof(target), "%.0f to %.0f", fewest, most);
    check(writer, per_day >= fewest && per_day <= most,
        "calm: requests of a proxy for a host, per day", target, "%.1f", per_day);
}

static void check_failures(struct writer *writer)
{
    const struct hf_summary *summary = writer->summary;
    int64_t slowest_s = 0;
    double share = 0;
    bool all_back = true;
    char text[TEXT_MAX];

    for (size_t i = 0; i < summary->scenario->count; i++) {
        int64_t all_s = recovery_s(summary, i, 100);

        if (later_share(summary, i) > share)
            share = later_share(summary, i);
        if (!is_outage(&summary->scenario->events[i]))
            continue;
        all_back = all_back && all_s >= 0;
        slowest_s = all_s > slowest_s ? all_s : slowest_s;
    }
    check(writer, share <= SAME_SECOND_MOST, "all day: proxies in the same second at one host",
        "at most 5 %", "%.1f %%", 100 * share);
    check(writer, all_back && slowest_s <= RECOVERY_MOST_S,
        "outages: until every host is fresh in every proxy", "at most 601 s", "%s",
        all_back ? duration(slowest_s, text) : "not before the next event");
}

static void write_targets(struct writer *writer)
{
    fputs("| target                                            | is                                "
          "  | should be     |        |\n|---|---|---|---|\n",
        writer->file);
    check_calm(writer);
    check_intervals(writer);
    check_failures(writer);
}

/* ---- Retry-After at its worst ---- */

/* The longest value is the hour that a Retry-After is waited for at most: nothing is left there for
 * jitter to spread, and that is how the schedule is meant. It is shown and not counted. */
static void write_retries(struct writer *writer)
{
    char value[TEXT_MAX];

    fputs("Retry-After at its worst: all proxies start in the first second of an outage of ten "
          "minutes, and one\nservice tells all of them the same. The largest share of them that it "
          "then sees in the same second, during\nthe outage and after it:\n\n",
        writer->file);
    fputs("| Retry-After   | share during | after   |        |\n|---|---|---|---|\n", writer->file);
    for (int i = 0; i < HF_RETRIES; i++) {
        const struct hf_retries *row = &writer->summary->retries[i];
        bool met = row->share_after <= SAME_SECOND_MOST, is_cap = row->retry_after_s >= 3600;

        fprintf(writer->file, "| %-13s | %10.1f %% | %5.1f %% | %-6s |\n",
            duration(row->retry_after_s, value), 100 * row->share_during, 100 * row->share_after,
            is_cap    ? "cap"
                : met ? "ok"
                      : "MISSED");
        if (!met && !is_cap)
            writer->missed++;
    }
}

static void write_remarks(const struct writer *writer)
{
    const struct hf_ledger *ledger = writer->summary->ledger;
    const struct hf_event *calm = find_calm(writer->summary->scenario);
    struct hf_load load = hf_figures_load(ledger, calm->at_s, calm->at_s + calm->length_s);
    struct hf_pair_time stale = hf_figures_pair_time(ledger, HF_SPAN_STALE);
    struct hf_pair_time unknown = hf_figures_pair_time(ledger, HF_SPAN_UNKNOWN);
    int64_t quiet_s = hf_figures_quiet_from_s(ledger, 0, calm->at_s, STEADY_MOST * load.mean_per_s);
    int64_t longest_s = ledger->longest_ms[HF_SPAN_STALE] / 1000;
    char text[TEXT_MAX], mean[TEXT_MAX], most[TEXT_MAX];

    fprintf(writer->file,
        "No second has more than twice the mean from %s after the first start on.\n",
        duration(quiet_s, text));
    fprintf(writer->file,
        "A host in a proxy was stale for %s of the day (mean; most: %s, at a time: %s),\n",
        duration((int64_t)stale.mean_s, mean), duration((int64_t)stale.most_s, most),
        duration(longest_s, text));
    fprintf(writer->file, "and without a value for %s (most: %s).\n",
        duration((int64_t)unknown.mean_s, mean), duration((int64_t)unknown.most_s, most));
}

int hf_summary_write(const struct hf_summary *summary, FILE *file)
{
    struct writer writer = {summary, file, 0};

    write_events(&writer);
    fputc('\n', file);
    write_targets(&writer);
    fputc('\n', file);
    write_remarks(&writer);
    if (summary->retries != NULL) {
        fputc('\n', file);
        write_retries(&writer);
    }
    return writer.missed;
}

/* "50,000", below a million. */
static const char *grouped(uint32_t number, char text[TEXT_MAX])
{
    if (number < 1000)
        snprintf(text, TEXT_MAX, "%" PRIu32, number);
    else
        snprintf(text, TEXT_MAX, "%" PRIu32 ",%03" PRIu32, number / 1000, number % 1000);
    return text;
}

void hf_summary_write_events(const struct hf_summary *summary, int64_t line_s, FILE *file)
{
    const struct hf_ledger *ledger = summary->ledger;
    const struct hf_scenario *scenario = summary->scenario;
    char number[TEXT_MAX];

    fprintf(file, "line_s = %" PRId64 ".0\npairs = %.1f\n", line_s,
        (double)ledger->proxies * ledger->hosts);
    fprintf(file, "title_text = \"A day of %s proxies", grouped(ledger->proxies, number));
    fprintf(file, " with %s hosts each, TTL %" PRId64 " min\"\n", grouped(ledger->hosts, number),
        summary->ttl_s / 60);
    fprintf(file, "first_second = \"off the scale: %s in the first second of a common start\"\n",
        grouped(hf_ledger_second(ledger, 0), number));
    fprintf(file,
        "events = %zu\narray from[events]; array to[events]; array what[events]; "
        "array bad[events]\n",
        scenario->count);
    for (size_t i = 0; i < scenario->count; i++) {
        const struct hf_event *event = &scenario->events[i];
        double from = (double)event->at_s / 3600;

        fprintf(file, "from[%zu] = %.4f; to[%zu] = %.4f; what[%zu] = \"%s\"; bad[%zu] = %d\n",
            i + 1, from, i + 1, from + (double)event->length_s / 3600, i + 1, event->what, i + 1,
            event->kind != HF_EVENT_START && event->kind != HF_EVENT_CALM);
    }
}

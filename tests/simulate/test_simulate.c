/* SPDX-License-Identifier: PostgreSQL
 *
 * The simulation itself: one proxy whose jitter is fixed asks exactly when the schedule says, and
 * what is counted adds up. Each latency is less than 0.1 s, so that a few of them in a row do not
 * move a request to another second.
 */
#include "tests/simulate/figures.h"
#include "tests/simulate/fleet.h"
#include "tests/simulate/summary.h"

#include "plugin/terms.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR_S 3600

static struct hf_ledger *run(uint32_t proxies, uint32_t hosts, int64_t jitter, uint64_t seed,
    const struct hf_event *events, size_t count, int64_t length_s)
{
    struct hf_fleet_options options = {proxies, hosts, 900, jitter, seed};
    struct hf_scenario scenario = {events, count, length_s};

    return hf_fleet_run(&options, &scenario);
}

static struct hf_ledger *run_one(
    int64_t jitter, const struct hf_event *events, size_t count, int64_t length_s)
{
    return run(1, 1, jitter, 1, events, count, length_s);
}

/* One request in each of these seconds, and none in any other. */
static void check_seconds(const struct hf_ledger *ledger, const int64_t *seconds, size_t count)
{
    size_t next = 0;

    for (int64_t second = 0; second < ledger->length_s; second++) {
        bool expected = next < count && seconds[next] == second;

        if (!CHECK_INT_EQ(hf_ledger_second(ledger, second), expected))
            fprintf(stderr, "in second %lld\n", (long long)second);
        next += expected;
    }
    CHECK_INT_EQ(next, count);
}

static const struct hf_event start = {.what = "start", .kind = HF_EVENT_START};

static void test_refreshes(void)
{
    static const int64_t early[] = {0, 720, 1440, 2160, 2880}, late[] = {0, 855, 1710, 2565, 3420};
    struct hf_ledger *ledger = run_one(0, &start, 1, HOUR_S);

    check_seconds(ledger, early, COUNT(early));
    CHECK_INT_EQ(ledger->shortest_interval_ms, 720000);
    CHECK_INT_EQ(ledger->longest_interval_ms, 720000);
    CHECK_INT_EQ(ledger->span_ms[HF_SPAN_STALE][0], 0);
    CHECK_INT_BETWEEN(ledger->span_ms[HF_SPAN_UNKNOWN][0], 20, 80); /* until the first answer */
    hf_ledger_destroy(ledger);
    ledger = run_one(UINT32_MAX, &start, 1, HOUR_S);
    check_seconds(ledger, late, COUNT(late));
    CHECK_INT_EQ(ledger->longest_interval_ms, 855000);
    hf_ledger_destroy(ledger);
}

/* 5, 10, 20, ... 320, 600, 600 s, each in full. */
static void test_refused(void)
{
    static const struct hf_event outage = {
        .what = "", .length_s = HOUR_S, .kind = HF_EVENT_REFUSED, .with_start = true};
    static const int64_t seconds[] = {
        0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435, 3035, 3635};
    struct hf_ledger *ledger = run_one(UINT32_MAX, &outage, 1, HOUR_S + 400);

    check_seconds(ledger, seconds, COUNT(seconds));
    CHECK_INT_EQ(ledger->by_reply[3035][HF_REPLY_REFUSED], 1);
    CHECK_INT_EQ(ledger->by_reply[3635][HF_REPLY_200], 1);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, HOUR_S, ledger->length_s, 100), 36);
    hf_ledger_destroy(ledger);
}

/* The halves of 5, 10, ... 320, 600 s are less than 120 s, or more. */
static void test_retry_after(void)
{
    static const struct hf_event outage = {.what = "",
        .length_s = 1000,
        .kind = HF_EVENT_503,
        .retry_after_s = 120,
        .with_start = true};
    static const int64_t seconds[] = {0, 120, 240, 360, 480, 600, 720, 880, 1180};
    struct hf_ledger *ledger = run_one(0, &outage, 1, 1800);

    check_seconds(ledger, seconds, COUNT(seconds));
    CHECK_INT_EQ(ledger->by_reply[880][HF_REPLY_503], 1);
    CHECK_INT_EQ(ledger->by_reply[1180][HF_REPLY_200], 1);
    hf_ledger_destroy(ledger);
}

/* Asked at 855 s, and then 5, 15, 35, 75, 155, 315, 635, 1235 and 1835 s later. */
static void test_stale(void)
{
    static const struct hf_event events[] = {{.what = "", .kind = HF_EVENT_START},
        {.what = "", .at_s = 100, .length_s = 2000, .kind = HF_EVENT_REFUSED}};
    struct hf_ledger *ledger = run_one(UINT32_MAX, events, 2, HOUR_S);

    CHECK_INT_EQ(ledger->by_reply[855 + 1835][HF_REPLY_200], 1);
    CHECK_INT_BETWEEN(ledger->span_ms[HF_SPAN_STALE][0], 1789900, 1790100); /* from 900 s on */
    CHECK_INT_EQ(ledger->longest_ms[HF_SPAN_STALE], ledger->span_ms[HF_SPAN_STALE][0]);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 500, HOUR_S, 100), 0);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 1000, 2000, 50), -1);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 2100, HOUR_S, 50), 591);
    hf_ledger_destroy(ledger);
}

/* Two a second and 20 at once; asked by 100 in the same second. */
static void test_rate_limit(void)
{
    static const struct hf_event limit = {.what = "",
        .at_s = 1000,
        .length_s = 600,
        .kind = HF_EVENT_429,
        .retry_after_s = 10,
        .per_second = 2,
        .with_start = true};
    struct hf_ledger *ledger = run(100, 1, HF_JITTER_RANDOM, 1, &limit, 1, 1600);
    uint32_t taken = 0;

    CHECK_INT_EQ(ledger->by_reply[1000][HF_REPLY_200], 20);
    CHECK_INT_EQ(ledger->by_reply[1000][HF_REPLY_429], 80);
    for (int64_t second = 1000; second < 1600; second++) {
        taken += ledger->by_reply[second][HF_REPLY_200];
        CHECK(taken <= 20 + 2 * (second + 1 - 1000));
        CHECK(second == 1000 || second >= 1010 || hf_ledger_second(ledger, second) == 0);
    }
    CHECK(taken >= 100);
    hf_ledger_destroy(ledger);
}

static void test_starts(void)
{
    static const struct hf_event events[] = {
        {.what = "", .at_s = 100, .length_s = 50, .kind = HF_EVENT_START},
        {.what = "", .at_s = 300, .length_s = 50, .kind = HF_EVENT_503},
        {.what = "", .at_s = 400, .length_s = 50, .kind = HF_EVENT_503, .with_start = true},
    };
    static const struct hf_scenario scenario = {events, COUNT(events), 500};

    CHECK_INT_EQ(hf_scenario_next_start(&scenario, 0, 10, -1), 100000);
    CHECK_INT_EQ(hf_scenario_next_start(&scenario, 3, 10, -1), 115000);
    CHECK_INT_EQ(hf_scenario_next_start(&scenario, 3, 10, 115000), 400000);
    CHECK_INT_EQ(hf_scenario_next_start(&scenario, 3, 10, 400000), HF_NEVER);
    CHECK(hf_scenario_trouble(&scenario, 299999) == NULL);
    CHECK(hf_scenario_trouble(&scenario, 300000) == &events[1]);
    CHECK(hf_scenario_trouble(&scenario, 350000) == NULL);
    CHECK_INT_EQ(hf_scenario_aftermath_s(&scenario, 0), 300);
    CHECK_INT_EQ(hf_scenario_aftermath_s(&scenario, 2), 500);
}

/* ---- what is counted adds up ---- */

/* A bit of everything; some requests of the last start are still in flight at the end. */
static const struct hf_event mixed[] = {
    {.what = "", .kind = HF_EVENT_START},
    {.what = "", .at_s = 1800, .length_s = 600, .kind = HF_EVENT_REFUSED},
    {.what = "", .at_s = 3000, .length_s = 300, .kind = HF_EVENT_START},
    {.what = "",
        .at_s = 4000,
        .length_s = 600,
        .kind = HF_EVENT_503,
        .retry_after_s = 60,
        .with_start = true},
    {.what = "",
        .at_s = 5500,
        .length_s = 900,
        .kind = HF_EVENT_429,
        .retry_after_s = 30,
        .per_second = 1,
        .with_start = true},
    {.what = "", .at_s = 7204, .length_s = 1, .kind = HF_EVENT_START},
};
#define MIXED_S 7205

static struct hf_ledger *run_mixed(uint64_t seed)
{
    return run(30, 4, HF_JITTER_RANDOM, seed, mixed, COUNT(mixed), MIXED_S);
}

static char *csv_of(struct hf_ledger *ledger)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL)
        abort();
    hf_ledger_write_csv(ledger, 10, file);
    fclose(file);
    hf_ledger_destroy(ledger);
    return text;
}

static void test_sums(void)
{
    enum { COLUMNS = 10, REQUESTS = 1, FIRST_REPLY = 4, STALE = 8 };
    struct hf_ledger *ledger = run_mixed(1);
    uint64_t requests = ledger->requests, counted = ledger->counted, sums[COLUMNS] = {0};
    char *csv = csv_of(ledger), *rest = csv, *line;
    int lines = -1; /* the first names the columns */

    while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
        for (int column = 0; column < COLUMNS && lines >= 0; column++)
            sums[column] += strtoull(strsep(&line, ","), NULL, 10);
        CHECK(lines < 0 || line == NULL);
        lines++;
    }
    CHECK_INT_EQ(lines, (MIXED_S + 9) / 10);
    CHECK_INT_EQ(counted, requests);
    CHECK_INT_EQ(sums[REQUESTS], requests);
    for (int reply = 0; reply < HF_REPLIES; reply++) {
        CHECK(sums[FIRST_REPLY + reply] > 0);
        requests -= sums[FIRST_REPLY + reply];
    }
    CHECK_INT_EQ(requests, 0);
    CHECK(sums[STALE] > 0);
    free(csv);
}

static void test_seeds(void)
{
    char *first = csv_of(run_mixed(1)), *again = csv_of(run_mixed(1)),
         *other = csv_of(run_mixed(2));

    CHECK(strcmp(first, again) == 0);
    CHECK(strcmp(first, other) != 0);
    free(first);
    free(again);
    free(other);
}

/* ---- figures ---- */

/* Two hosts and 200 s. Host 0: three requests in second 59, two in second 100; host 1: one in
 * second 100. So the busiest 60 seconds of one host are those that hold the first five. */
static void test_figures(void)
{
    static const int64_t times_ms[] = {59000, 59500, 59999, 100000, 100001};
    struct hf_ledger *ledger = hf_ledger_create(10, 2, 200);
    struct hf_load load;

    for (size_t i = 0; i < COUNT(times_ms); i++)
        hf_ledger_request(ledger, 0, HF_REPLY_200, times_ms[i]);
    hf_ledger_request(ledger, 1, HF_REPLY_429, 100999);
    load = hf_figures_load(ledger, 0, 200);
    CHECK_INT_EQ(load.requests, 6);
    CHECK_INT_EQ(load.busiest_second, 3);
    CHECK_INT_EQ(load.busiest_second_of_one, 3);
    CHECK_INT_EQ(load.busiest_minute_of_one, 5);
    CHECK_INT_EQ(load.mean_per_s * 1000, 30);
    CHECK_INT_EQ(load.mean_of_one_per_s * 1000, 15);
    load = hf_figures_load(ledger, 60, 200);
    CHECK_INT_EQ(load.busiest_second, 3); /* of both hosts together */
    CHECK_INT_EQ(load.busiest_second_of_one, 2);
    CHECK_INT_EQ(hf_figures_quiet_from_s(ledger, 0, 200, 2), 101);
    CHECK_INT_EQ(hf_figures_quiet_from_s(ledger, 0, 200, 3), 0);
    hf_ledger_destroy(ledger);
}

/* Of 20 pairs 15 are unknown until 50.001 s, and five more from 100 s to the end. */
static void test_spans(void)
{
    struct hf_ledger *ledger = hf_ledger_create(10, 2, 200);

    for (uint32_t pair = 0; pair < 15; pair++)
        hf_ledger_span(ledger, HF_SPAN_UNKNOWN, pair, 0, 50001);
    for (uint32_t pair = 15; pair < 20; pair++)
        hf_ledger_span(ledger, HF_SPAN_STALE, pair, 100000, 300000);
    hf_ledger_span(ledger, HF_SPAN_STALE, 0, 70000, 60000); /* was never stale */
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 10, 200, 25), 0);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 10, 200, 26), 41);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 100, 200, 75), 0);
    CHECK_INT_EQ(hf_figures_recovery_s(ledger, 100, 200, 100), -1);
    CHECK_INT_EQ(hf_figures_pair_time(ledger, HF_SPAN_STALE).most_s * 10, 1000);
    CHECK_INT_EQ(hf_figures_pair_time(ledger, HF_SPAN_STALE).mean_s * 10, 250);
    hf_ledger_destroy(ledger);
}

/* Proxies without jitter stay together: the summary must say so. */
static void test_herd_is_told(void)
{
    static const struct hf_event events[] = {{.what = "start", .kind = HF_EVENT_START},
        {.what = "calm", .at_s = HOUR_S + 10, .length_s = 3700, .kind = HF_EVENT_CALM}};
    static const struct hf_scenario scenario = {events, 2, 3 * HOUR_S};
    struct hf_ledger *ledger = run(50, 2, 0, 1, events, 2, 3 * HOUR_S);
    struct hf_summary summary = {ledger, &scenario, 900, NULL};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL)
        abort();
    /* The busiest second of all, the busiest minute and second of one, and the same second. */
    CHECK_INT_EQ(hf_summary_write(&summary, file), 4);
    fclose(file);
    CHECK_STR_CONTAINS(text, "MISSED");
    /* Every 720 s all of them: five times in the 3,700 s of the calm, so 250 requests. */
    CHECK_STR_CONTAINS(text, "50 of 50, 740.0 x the mean of 0.07");
    free(text);
    hf_ledger_destroy(ledger);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"one proxy without jitter asks exactly at its refresh times", test_refreshes},
        {"refused: one request at each end of a backoff, and the recovery", test_refused},
        {"503 with Retry-After: not before it, nor before the backoff", test_retry_after},
        {"values are stale from their TTL to the next success", test_stale},
        {"a service takes no more requests than its limit", test_rate_limit},
        {"starts and failures come when the table says", test_starts},
        {"the CSV adds up to what the registries count", test_sums},
        {"a seed makes the same day again, another one another day", test_seeds},
        {"busiest seconds and minutes, of all hosts and of one", test_figures},
        {"times without a fresh value", test_spans},
        {"proxies without jitter miss the targets", test_herd_is_told},
    };

    return hf_suite_run("simulate", tests, COUNT(tests), argc, argv);
}

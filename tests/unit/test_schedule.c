/* SPDX-License-Identifier: PostgreSQL
 *
 * The schedule: expected times are worked out by hand from the rules in schedule.h, never by its
 * formulas. LEAST, MIDDLE and MOST are jitters that pick the two ends of an interval and its
 * middle.
 */
#include "plugin/schedule.h"

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LEAST 0
#define MIDDLE 0x80000000u /* a hair above one half: never enough for another millisecond here */
#define MOST UINT32_MAX

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* The defaults of the settings. */
static const struct hf_policy defaults = {
    .ttl_ms = 15 * MINUTE_MS,
    .ttl_min_ms = 60 * SECOND_MS,
    .ttl_max_ms = HOUR_MS,
    .linger_ms = 15 * MINUTE_MS,
    .max_stale_ms = 0,
};

static struct hf_facts fetched_at(int64_t fetched_ms, int64_t ttl_ms)
{
    struct hf_facts facts = hf_facts_none();

    facts.fetched_ms = fetched_ms;
    facts.ttl_ms = ttl_ms;
    return facts;
}

static void check_state(const struct hf_policy *policy, const struct hf_facts *facts, int64_t now,
    enum hf_state expected)
{
    CHECK_STR_EQ(hf_state_name(hf_schedule_state(policy, facts, now)), hf_state_name(expected));
}

/* ---- TTL ---- */

static void test_ttl(void)
{
    static const struct {
        int64_t seconds, ttl_ms;
    } rows[] = {
        {900, 900000},
        {61, 61000},
        {60, 60000},
        {59, 60000},
        {1, 60000},
        {3599, 3599000},
        {3600, 3600000},
        {3601, 3600000},
        {86400, 3600000},
        {INT64_MAX / 1000, 3600000},
        {INT64_MAX / 1000 + 1, 3600000},
        {INT64_MAX, 3600000},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        CHECK_INT_EQ(hf_schedule_ttl_ms(&defaults, rows[i].seconds), rows[i].ttl_ms);
}

static void test_ttl_that_saturates(void)
{
    struct hf_policy policy = defaults;

    policy.ttl_max_ms = INT64_MAX;
    CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, INT64_MAX / 1000), 9223372036854775000);
    CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, INT64_MAX / 1000 + 1), INT64_MAX);
    CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, INT64_MAX), INT64_MAX);
}

static void test_ttl_that_is_not_usable(void)
{
    static const int64_t seconds[] = {0, -1, -900, INT64_MIN};
    struct hf_policy policy = defaults;

    for (size_t i = 0; i < COUNT(seconds); i++)
        CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, seconds[i]), 15 * MINUTE_MS);
    policy.ttl_ms = 100; /* below ttl_min: it is the operator's own word */
    CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, 0), 100);
    policy.ttl_ms = 7 * DAY_MS;
    CHECK_INT_EQ(hf_schedule_ttl_ms(&policy, 0), 7 * DAY_MS);
}

/* ---- refresh ---- */

static void test_refresh(void)
{
    static const struct {
        int64_t now, ttl_ms, least, middle, most;
    } rows[] = {
        /* 80 %, 87.5 % and 95 % of 900 s; of 60 s; of 100 ms */
        {0, 900000, 720000, 787500, 855000},
        {1, 900000, 720001, 787501, 855001},
        {5000000, 900000, 5720000, 5787500, 5855000},
        {-1000, 60000, 47000, 51500, 56000},
        {0, 100, 80, 87, 95},
        /* at least 1 ms later */
        {0, 2, 1, 1, 1},
        {0, 1, 1, 1, 1},
        {7, 0, 8, 8, 8},
        {7, -1, 8, 8, 8},
        {7, INT64_MIN, 8, 8, 8},
        /* no overflow */
        {0, INT64_MAX, 7378697629483820645, 8070450532408990104, 8762203435012037016},
        {INT64_MAX - 1, 60000, HF_NEVER, HF_NEVER, HF_NEVER},
        {INT64_MAX, 60000, HF_NEVER, HF_NEVER, HF_NEVER},
        {INT64_MAX, INT64_MAX, HF_NEVER, HF_NEVER, HF_NEVER},
        {INT64_MIN, 100, INT64_MIN + 80, INT64_MIN + 87, INT64_MIN + 95},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK_INT_EQ(hf_schedule_refresh(rows[i].now, rows[i].ttl_ms, LEAST), rows[i].least);
        CHECK_INT_EQ(hf_schedule_refresh(rows[i].now, rows[i].ttl_ms, MIDDLE), rows[i].middle);
        CHECK_INT_EQ(hf_schedule_refresh(rows[i].now, rows[i].ttl_ms, MOST), rows[i].most);
    }
}

/* The jitters of 1,000 hosts, evenly spread. */
static uint32_t even_jitter(uint32_t host)
{
    return host * (UINT32_MAX / 999);
}

/* TTL 900 s: refreshes between 720 and 855 s later, 1,000 in 135 s: 7 or 8 in each second. */
static void test_refresh_spread(void)
{
    const int64_t now = 12345678, ttl_ms = 900 * SECOND_MS;
    int64_t first = HF_NEVER, last = 0;
    int in_second[900] = {0}, peak = 0;

    for (uint32_t host = 0; host < 1000; host++) {
        int64_t after = hf_schedule_refresh(now, ttl_ms, even_jitter(host)) - now;

        if (!CHECK_INT_BETWEEN(after, 720 * SECOND_MS, 855 * SECOND_MS))
            return;
        first = after < first ? after : first;
        last = after > last ? after : last;
        if (++in_second[after / SECOND_MS] > peak)
            peak = in_second[after / SECOND_MS];
    }
    CHECK_INT_BETWEEN(last - first, ttl_ms / 10, ttl_ms * 15 / 100);
    CHECK_INT_EQ(peak, 8);
}

/* ---- backoff ---- */

static void test_backoff(void)
{
    static const struct {
        uint32_t failures;
        int64_t least, most;
    } rows[] = {
        {0, 2500, 5000}, /* as the first */
        {1, 2500, 5000},
        {2, 5000, 10000},
        {3, 10000, 20000},
        {4, 20000, 40000},
        {5, 40000, 80000},
        {6, 80000, 160000},
        {7, 160000, 320000},
        {8, 300000, 600000}, /* 640 s, were it not for the cap */
        {9, 300000, 600000},
        {32, 300000, 600000},
        {33, 300000, 600000},
        {65, 300000, 600000},
        {UINT32_MAX, 300000, 600000},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t least = rows[i].least, most = rows[i].most;

        CHECK_INT_EQ(hf_schedule_backoff(0, rows[i].failures, LEAST), least);
        CHECK_INT_EQ(hf_schedule_backoff(0, rows[i].failures, MIDDLE), least + least / 2);
        CHECK_INT_EQ(hf_schedule_backoff(0, rows[i].failures, MOST), most);
        CHECK_INT_EQ(hf_schedule_backoff(777, rows[i].failures, MOST), 777 + most);
        CHECK_INT_EQ(hf_schedule_backoff(-777, rows[i].failures, MOST), most - 777);
        CHECK_INT_EQ(hf_schedule_backoff(HF_NEVER - most, rows[i].failures, MOST), HF_NEVER);
        CHECK_INT_EQ(hf_schedule_backoff(HF_NEVER - 1, rows[i].failures, LEAST), HF_NEVER);
        CHECK_INT_EQ(hf_schedule_backoff(HF_NEVER, rows[i].failures, MIDDLE), HF_NEVER);
    }
}

/* Requests to a host that fails for an hour, the first at its start. */
static int requests_within_an_hour(uint32_t jitter)
{
    int requests = 0;

    for (int64_t now = 0; now <= HOUR_MS;
         now = hf_schedule_backoff(now, (uint32_t)requests, jitter))
        requests++;
    return requests;
}

static void test_failing_host(void)
{
    /* at 0, 2.5, 7.5, 17.5, 37.5, 77.5, 157.5, 317.5 s, then every 300 s up to 3317.5 s */
    CHECK_INT_EQ(requests_within_an_hour(LEAST), 18);
    /* at 0, 5, 15, 35, 75, 155, 315, 635 s, then every 600 s up to 3035 s */
    CHECK_INT_EQ(requests_within_an_hour(MOST), 12);
}

static void test_recovery(void)
{
    int64_t tenth = hf_schedule_backoff(HOUR_MS, 10, MOST);

    CHECK_INT_EQ(tenth, HOUR_MS + 10 * MINUTE_MS);
    CHECK_INT_EQ(hf_schedule_refresh(tenth, 900000, LEAST), tenth + 720 * SECOND_MS);
    CHECK_INT_EQ(hf_schedule_backoff(tenth, 1, MOST), tenth + 5 * SECOND_MS);
}

/* ---- idle hosts ---- */

static void test_resume(void)
{
    static const struct {
        int64_t fetched_ms, ttl_ms, not_before_ms, now, expected;
    } rows[] = {
        {HF_NEVER, 0, 0, 5000, 5000}, /* never asked: at once */
        {HF_NEVER, 0, 0, 0, 0},
        {HF_NEVER, 900000, 0, 5000, 5000}, /* a TTL without values means nothing */
        {HF_NEVER, 0, 8000, 5000, 8000}, /* under its backoff */
        {HF_NEVER, 0, 5000, 5000, 5000},
        {HF_NEVER, 0, 4000, 5000, 5000}, /* past it */
        {1000, 60000, 0, 5000, 61000}, /* fresh */
        {1000, 60000, 0, 60999, 61000},
        {1000, 60000, 0, 61000, 61000}, /* just expired */
        {1000, 60000, 0, 70000, 70000},
        {1000, 60000, 9000, 5000, 61000}, /* fresh, after a failed refresh */
        {1000, 60000, 75000, 5000, 75000}, /* the same, with a backoff beyond the TTL */
        {1000, 60000, 75000, 70000, 75000}, /* stale, under its backoff */
        {1000, 60000, 75000, 80000, 80000},
        {0, 60000, 0, 0, 60000},
        {HF_NEVER - 1, 60000, 0, 5000, HF_NEVER},
        {1000, INT64_MAX, 0, 5000, HF_NEVER},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_facts facts = fetched_at(rows[i].fetched_ms, rows[i].ttl_ms);

        facts.not_before_ms = rows[i].not_before_ms;
        CHECK_INT_EQ(hf_schedule_resume(&facts, rows[i].now), rows[i].expected);
    }
}

static void test_leave(void)
{
    static const struct {
        int64_t linger_ms, fetched_ms, ttl_ms, idle_since_ms, expected;
    } rows[] = {
        {900000, 1000, 900000, 5000, 901000}, /* the value is too old before linger is over */
        {900000, 5000, 900000, 5000, 905000}, /* both at once */
        {60000, 1000, 900000, 5000, 65000}, /* linger is over before */
        {900000, 1000, 60000, 200000, 61000}, /* too old already: long ago, so at once */
        {900000, HF_NEVER, 0, 5000, 905000}, /* no values: only linger counts */
        {900000, HF_NEVER, 60000, 5000, 905000},
        {0, 1000, 900000, 5000, 5000}, /* linger 0: at once */
        {0, HF_NEVER, 0, 5000, 5000},
        {900000, 0, 900000, 0, 900000},
        {INT64_MAX, HF_NEVER, 0, 5000, HF_NEVER},
        {INT64_MAX, INT64_MAX - 1, INT64_MAX, INT64_MAX, HF_NEVER},
        {-1, HF_NEVER, 0, 5000, 5000},
    };
    struct hf_policy policy = defaults;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_facts facts = fetched_at(rows[i].fetched_ms, rows[i].ttl_ms);

        policy.linger_ms = rows[i].linger_ms;
        CHECK_INT_EQ(hf_schedule_leave(&policy, &facts, rows[i].idle_since_ms), rows[i].expected);
    }
}

/* ---- states ---- */

static void test_never_asked(void)
{
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, DAY_MS, INT64_MAX};
    struct hf_policy policy = defaults;
    struct hf_facts facts = hf_facts_none();

    policy.max_stale_ms = 1;
    for (size_t i = 0; i < COUNT(times); i++)
        check_state(&policy, &facts, times[i], HF_UNKNOWN);
    CHECK_INT_EQ(hf_schedule_expiry(&policy, &facts), HF_NEVER);
    CHECK_INT_EQ(facts.due_ms, HF_NEVER);
    CHECK_INT_EQ(facts.not_before_ms, 0);
    CHECK_INT_EQ(facts.asked_ms, HF_NEVER);
    CHECK_INT_EQ(facts.logged_ms, HF_NEVER);
    CHECK_INT_EQ(facts.failures, 0);
    CHECK_INT_EQ(facts.http_status, 0);
    CHECK_INT_EQ(facts.outcome, HF_OUTCOME_OK);
    CHECK(!facts.in_flight);
}

static void test_fresh_and_stale(void)
{
    struct hf_facts facts = fetched_at(1000, 900000);

    check_state(&defaults, &facts, 1000, HF_FRESH);
    check_state(&defaults, &facts, 900999, HF_FRESH);
    check_state(&defaults, &facts, 901000, HF_STALE);
    check_state(&defaults, &facts, 901001, HF_STALE);
    check_state(&defaults, &facts, 365 * DAY_MS, HF_STALE); /* max_stale 0: for ever */
    check_state(&defaults, &facts, INT64_MAX, HF_STALE);
    CHECK_INT_EQ(hf_schedule_expiry(&defaults, &facts), HF_NEVER);
    facts.failures = 7; /* a failure changes nothing within the TTL */
    check_state(&defaults, &facts, 900999, HF_FRESH);
    facts = fetched_at(1000, 0);
    check_state(&defaults, &facts, 1000, HF_STALE);
}

/* The instant of the state is the instant at which the other functions act. */
static void test_one_predicate(void)
{
    struct hf_facts facts = fetched_at(1000, 900000);

    CHECK_INT_EQ(hf_schedule_resume(&facts, 900999), 901000);
    CHECK_INT_EQ(hf_schedule_resume(&facts, 901000), 901000);
    CHECK_INT_EQ(hf_schedule_leave(&defaults, &facts, 900000), 901000);
}

static void test_max_stale(void)
{
    struct hf_policy policy = defaults;
    struct hf_facts facts = fetched_at(1000, 900000);

    policy.max_stale_ms = 60000;
    CHECK_INT_EQ(hf_schedule_expiry(&policy, &facts), 961000);
    check_state(&policy, &facts, 900999, HF_FRESH);
    check_state(&policy, &facts, 901000, HF_STALE);
    check_state(&policy, &facts, 960999, HF_STALE);
    check_state(&policy, &facts, 961000, HF_EXPIRED);
    check_state(&policy, &facts, INT64_MAX, HF_EXPIRED);
    facts.fetched_ms = 961000; /* a later success */
    check_state(&policy, &facts, 961000, HF_FRESH);
    policy.max_stale_ms = INT64_MAX;
    CHECK_INT_EQ(hf_schedule_expiry(&policy, &facts), HF_NEVER);
    check_state(&policy, &facts, INT64_MAX - 1, HF_STALE);
    policy.max_stale_ms = -1; /* as 0 */
    CHECK_INT_EQ(hf_schedule_expiry(&policy, &facts), HF_NEVER);
}

/* ---- any machine ---- */

/* What happens depends on how far times are apart, not on how long the machine has been up. */
static void test_uptime(void)
{
    static const int64_t boots[] = {0, 1, -5000, 100, 3650 * DAY_MS};
    struct hf_policy policy = defaults;

    policy.max_stale_ms = 60000;
    for (size_t i = 0; i < COUNT(boots); i++) {
        int64_t boot = boots[i];
        struct hf_facts facts = hf_facts_none();

        facts.not_before_ms = boot;
        check_state(&policy, &facts, boot, HF_UNKNOWN);
        CHECK_INT_EQ(hf_schedule_resume(&facts, boot), boot);
        CHECK_INT_EQ(hf_schedule_leave(&policy, &facts, boot), boot + 900000);
        CHECK_INT_EQ(hf_schedule_backoff(boot, 1, LEAST), boot + 2500);
        CHECK_INT_EQ(hf_schedule_refresh(boot, 900000, LEAST), boot + 720000);
        facts.fetched_ms = boot;
        facts.ttl_ms = 900000;
        check_state(&policy, &facts, boot, HF_FRESH);
        check_state(&policy, &facts, boot + 899999, HF_FRESH);
        check_state(&policy, &facts, boot + 900000, HF_STALE);
        check_state(&policy, &facts, boot + 960000, HF_EXPIRED);
        CHECK_INT_EQ(hf_schedule_resume(&facts, boot), boot + 900000);
        CHECK_INT_EQ(hf_schedule_leave(&policy, &facts, boot), boot + 900000);
    }
}

static const struct hf_test tests[] = {
    {"C44 C46 the service's TTL is applied between ttl_min and ttl_max", test_ttl},
    {"C46 a TTL beyond all milliseconds saturates", test_ttl_that_saturates},
    {"C45 a TTL that is not usable gives way to the setting, which is not clamped",
        test_ttl_that_is_not_usable},
    {"C46 C49 a refresh comes 80 to 95 % of the TTL later, never at once", test_refresh},
    {"C69 1,000 hosts started at once do not refresh at once", test_refresh_spread},
    {"C62 a backoff grows from 5 s by doubling up to 600 s, with jitter", test_backoff},
    {"C62 a host that fails for an hour is asked 12 to 18 times", test_failing_host},
    {"C63 after a success the backoff begins anew", test_recovery},
    {"C12 C62 a host that is held again is asked after TTL and backoff, not before", test_resume},
    {"C04 C12 an idle host leaves after linger, or when its value is too old", test_leave},
    {"C47 a host that was never asked is unknown at any time", test_never_asked},
    {"C47 C59 at TTL - 1 ms fresh, at TTL not", test_fresh_and_stale},
    {"C47 resume and leave act when fresh ends", test_one_predicate},
    {"C67 max_stale past the TTL the value expires, and a success revives it", test_max_stale},
    {"C48 only differences count: booted just now or ten years ago", test_uptime},
};

int main(int argc, char **argv)
{
    return hf_suite_run("schedule", tests, COUNT(tests), argc, argv);
}

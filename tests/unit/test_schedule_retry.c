/* SPDX-License-Identifier: PostgreSQL
 *
 * The schedule after a Retry-After, after a refusal, and when somebody wants to know at once.
 * LEAST, MIDDLE and MOST are jitters that pick the two ends of an interval and its middle.
 */
#include "plugin/schedule.h"

#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LEAST 0
#define MIDDLE 0x80000000u /* a hair above one half: never enough for another millisecond here */
#define MOST UINT32_MAX

#define HOUR_MS INT64_C(3600000)

/* 1,000 of them, from LEAST to MOST. */
static uint32_t even_jitter(uint32_t i)
{
    return i == 999 ? MOST : i * (UINT32_MAX / 999);
}

/* x U(1.0, 1.5), at most an hour: the range narrows from 40 min on. */
static void test_retry_after(void)
{
    static const struct {
        int64_t retry_after_ms, least, middle, most;
    } rows[] = {
        {1, 1, 1, 1},
        {2, 2, 2, 3},
        {1000, 1000, 1250, 1500},
        {60000, 60000, 75000, 90000},
        {2400000, 2400000, 3000000, 3600000},
        {2400001, 2400001, 3000000, 3600000},
        {3000000, 3000000, 3300000, 3600000},
        {3600000, 3600000, 3600000, 3600000},
        {3600001, 3600000, 3600000, 3600000},
        {86400000, 3600000, 3600000, 3600000},
        {INT64_MAX / 3 * 2 + 2, 3600000, 3600000, 3600000},
        {INT64_MAX, 3600000, 3600000, 3600000},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = rows[i].retry_after_ms;

        CHECK_INT_EQ(hf_schedule_retry_after(0, value, LEAST), rows[i].least);
        CHECK_INT_EQ(hf_schedule_retry_after(0, value, MIDDLE), rows[i].middle);
        CHECK_INT_EQ(hf_schedule_retry_after(0, value, MOST), rows[i].most);
        CHECK_INT_EQ(hf_schedule_retry_after(777, value, MOST), 777 + rows[i].most);
        CHECK_INT_EQ(hf_schedule_retry_after(INT64_MIN, value, LEAST), INT64_MIN + rows[i].least);
        CHECK_INT_EQ(hf_schedule_retry_after(HF_NEVER - 1, value, LEAST), HF_NEVER);
        CHECK_INT_EQ(hf_schedule_retry_after(HF_NEVER, value, MOST), HF_NEVER);
    }
}

/* Over the whole range of jitter it is a floor. */
static void test_retry_after_is_a_floor(void)
{
    for (int64_t value = 1; value <= 4 * HOUR_MS; value = value * 3 / 2 + 1) {
        int64_t most = value + value / 2 < HOUR_MS ? value + value / 2 : HOUR_MS;

        for (uint32_t i = 0; i < 1000; i++) {
            int64_t due = hf_schedule_retry_after(5000, value, even_jitter(i));

            CHECK_INT_BETWEEN(due, 5000 + (value < HOUR_MS ? value : HOUR_MS), 5000 + most);
            CHECK(due >= hf_schedule_retry_floor(5000, value));
        }
    }
}

static void test_retry_floor(void)
{
    CHECK_INT_EQ(hf_schedule_retry_floor(0, 1), 1);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, 60000), 65000);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, HOUR_MS), 5000 + HOUR_MS);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, HOUR_MS + 1), 5000 + HOUR_MS);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, INT64_MAX), 5000 + HOUR_MS);
    CHECK_INT_EQ(hf_schedule_retry_floor(HF_NEVER - 1, 60000), HF_NEVER);
    CHECK_INT_EQ(hf_schedule_retry_floor(HF_NEVER, 1), HF_NEVER);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, 0), 5000);
    CHECK_INT_EQ(hf_schedule_retry_floor(5000, INT64_MIN), 5000);
}

static void test_refusal(void)
{
    CHECK_INT_EQ(hf_schedule_refusal(0, LEAST), 900000);
    CHECK_INT_EQ(hf_schedule_refusal(0, MIDDLE), 945000);
    CHECK_INT_EQ(hf_schedule_refusal(0, MOST), 990000);
    CHECK_INT_EQ(hf_schedule_refusal(-5000, MOST), 985000);
    CHECK_INT_EQ(hf_schedule_refusal(HF_NEVER - 900000, LEAST), HF_NEVER);
    CHECK_INT_EQ(hf_schedule_refusal(HF_NEVER, MOST), HF_NEVER);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK_INT_BETWEEN(hf_schedule_refusal(7, even_jitter(i)), 900007, 990007);
}

static void test_ask_again(void)
{
    static const struct {
        int64_t asked_ms, retry_at_ms, now, expected;
    } rows[] = {
        {HF_NEVER, 0, 5000, 5000}, /* nothing was ever sent: at once */
        {1000, 0, 5000, 5000},
        {4000, 0, 5000, 5000},
        {4001, 0, 5000, 5001}, /* a second after the last request */
        {5000, 0, 5000, 6000},
        {1000, 4999, 5000, 5000}, /* a Retry-After that is over */
        {1000, 5000, 5000, 5000},
        {1000, 65000, 5000, 65000}, /* one that is not */
        {4500, 5200, 5000, 5500}, /* both: the later one */
        {HF_NEVER, 65000, 5000, 65000},
        {HF_NEVER - 1, 0, 5000, HF_NEVER},
        {1000, 0, HF_NEVER, HF_NEVER},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_facts facts = hf_facts_none();

        facts.asked_ms = rows[i].asked_ms;
        facts.retry_at_ms = rows[i].retry_at_ms;
        facts.not_before_ms = HOUR_MS; /* is what may be passed over */
        CHECK_INT_EQ(hf_schedule_ask_again(&facts, rows[i].now), rows[i].expected);
    }
}

static const struct hf_test tests[] = {
    {"C65 Retry-After is stretched by up to a half, and at most an hour", test_retry_after},
    {"C65 up to an hour Retry-After is a floor, whatever the jitter", test_retry_after_is_a_floor},
    {"C65 what nobody may shorten is Retry-After itself, at most an hour", test_retry_floor},
    {"C66 after 401, 403 and 404: 15 minutes and a little more", test_refusal},
    {"C65 C66 asking ahead: a second after the last request, and after Retry-After",
        test_ask_again},
};

int main(int argc, char **argv)
{
    return hf_suite_run("schedule_retry", tests, COUNT(tests), argc, argv);
}

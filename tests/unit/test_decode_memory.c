/* SPDX-License-Identifier: PostgreSQL
 *
 * decode.h where memory runs out: each allocation of json-c fails in turn, alone and with all that
 * follow it. Either the document is refused or it means what it always means: json-c says nothing
 * of a name, a text or a member that it had no memory for, and goes on without.
 */
#include "plugin/decode.h"

#include "tests/oom/allocations.h"
#include "tests/oom/lost.h"
#include "tests/oom/within.h"
#include "tests/support/suite.h"

#include <string.h>

#define FORTY "0123456789012345678901234567890123456789"

static const struct hf_protocol connector = {
    .list = "flags", .flag_name = "name", .flag_value = "value", .ttl = "ttl_seconds"};
static const char *const flags[] = {"a", "b", "c", "d"};

static const char *decode(const char *body, struct hf_document *document)
{
    const char *refused;

    memset(document, 0xff, sizeof(*document));
    hf_allocations_enter();
    refused = hf_decode(&connector, flags, 4, body, strlen(body), document);
    hf_allocations_leave();
    return refused;
}

static bool is_same(const struct hf_document *a, const struct hf_document *b)
{
    return a->sent == b->sent && a->on == b->on && a->ttl_seconds == b->ttl_seconds;
}

/* Blocks that were not allocated by json-c's reader: what that loses is held apart (lost.h). */
static size_t kept_blocks(void)
{
    static struct hf_kept kept[64];
    size_t count = hf_kept_list(kept, 64), blocks = 0;

    CHECK(count <= 64);
    for (size_t i = 0; i < count; i++) {
        if (kept[i].within != HF_WITHIN_JSON_PARSE)
            blocks += kept[i].count;
    }
    return blocks;
}

/* Refused, or read as always; whether that held. */
static bool try_without(const char *body, unsigned n, bool rest, const struct hf_document *whole)
{
    static unsigned lost_before;
    size_t kept = kept_blocks();
    struct hf_document document;
    const char *refused;
    struct hf_lost lost;
    bool good = true;

    hf_allocations_refuse(HF_BY_CALLER, n, rest);
    refused = decode(body, &document);
    hf_allocations_refuse_none();
    good &= CHECK(hf_allocations_refused() > 0);
    if (refused != NULL)
        good &= CHECK_STR_EQ(refused, "out of memory");
    else
        good &= CHECK(is_same(&document, whole));
    lost = hf_lost_by_json_c(lost_before);
    lost_before += lost.found;
    good &= CHECK_INT_EQ(lost.found, lost.expected);
    good &= CHECK_INT_EQ(kept_blocks(), kept);
    return good;
}

/* Each allocation in turn. */
static void sweep(const char *body, bool rest)
{
    struct hf_document whole;
    unsigned count, n = 1;

    hf_allocations_refuse(HF_BY_CALLER, 0, false);
    if (!CHECK_STR_EQ(decode(body, &whole), NULL))
        return;
    count = hf_allocations_count(HF_BY_CALLER);
    CHECK(count > 20);
    while (n <= count && try_without(body, n, rest, &whole))
        n++;
}

static void sweep_both(const char *body)
{
    if (hf_allocations_unavailable())
        return hf_test_skip(hf_allocations_unavailable());
    sweep(body, false);
    sweep(body, true);
}

static void test_array(void)
{
    sweep_both("{\"flags\":[{\"name\":\"a\",\"value\":\"true\"},{\"name\":\"b\",\"value\":false}],"
               "\"ttl_seconds\":900}");
}

/* The last of two wins: also where memory for the second name was short. */
static void test_duplicates(void)
{
    sweep_both("{\"flags\":[{\"name\":\"a\",\"value\":\"true\",\"value\":\"false\"},"
               "{\"name\":\"b\",\"value\":\"true\"},1,2,{\"name\":\"b\",\"value\":\"false\"}]}");
}

/* json-c takes a text piece by piece where it has escapes. */
static void test_cut_texts(void)
{
    sweep_both("{\"flags\":[{\"name\":\"a\",\"value\":\"true\\u0041" FORTY "\"},"
               "{\"name\":\"b\\u0041" FORTY FORTY "\",\"value\":\"true\"},"
               "{\"name\":\"c\",\"value\":\"false\"}],\"x\\u0041" FORTY FORTY FORTY FORTY
               "\":1,\"ttl_seconds\":900}");
}

/* A table of members that has to grow, with numbers in between. */
static void test_members(void)
{
    sweep_both(
        "{\"flags\":{\"a\":\"true\",\"m1\":1,\"m2\":2,\"m3\":3,\"m4\":4,\"m5\":5,\"m6\":6,"
        "\"m7\":7,\"m8\":8,\"m9\":9,\"b\":false,\"n1\":1,\"n2\":2,\"n3\":3,\"n4\":4,\"n5\":5,"
        "\"c\":true,\"n6\":[6,[7],{\"x\":8}],\"a\":\"false\",\"n7\":1.5,\"d\":\"true\"},"
        "\"ttl_seconds\":60}");
}

static const struct hf_test tests[] = {
    {"C35 no memory for an array of flags: refused, or read as always", test_array},
    {"C40 no memory among duplicates: refused, or the last wins", test_duplicates},
    {"C36 no memory for a long text: refused, never cut to one that we know", test_cut_texts},
    {"C39 no memory for members: refused, never read without one", test_members},
};

int main(int argc, char **argv)
{
    hf_within_prepare(NULL);
    return hf_suite_run("decode_memory", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

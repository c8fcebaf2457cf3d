/* SPDX-License-Identifier: PostgreSQL
 *
 * kept.h of make test-oom: what it says is still there. Addresses are made up: nothing looks behind
 * them.
 */
#include "tests/oom/kept.h"

#include "tests/support/suite.h"

#include <stdint.h>
#include <unistd.h>

static void *page(unsigned number)
{
    return (void *)(uintptr_t)(0x10000000u + number * (unsigned)sysconf(_SC_PAGESIZE));
}

static size_t pages(unsigned count)
{
    return count * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_mappings(void)
{
    char first, second;
    struct hf_kept list[4];

    hf_kept_map(page(0), pages(4), &first, HF_WITHIN_OTHER);
    hf_kept_map(page(0), pages(4), &second, HF_WITHIN_OTHER); /* all of it: the first's still */
    hf_kept_unmap(page(1), pages(1) - 10);
    CHECK_INT_EQ(hf_kept_list(list, 4), 2);
    CHECK(list[0].caller == &first && list[0].bytes == pages(1));
    CHECK(list[1].caller == &first && list[1].bytes == pages(2));
    hf_kept_map(page(3), pages(2), &second, HF_WITHIN_OTHER); /* a part of it */
    hf_kept_unmap(page(0), pages(3));
    CHECK_INT_EQ(hf_kept_list(list, 4), 1);
    CHECK(list[0].kind == HF_KEPT_MAPPING && list[0].caller == &second);
    CHECK_INT_EQ(list[0].bytes, pages(2));
    hf_kept_unmap(page(0), pages(9));
    CHECK_INT_EQ(hf_kept_list(list, 4), 0);
}

static void test_list(void)
{
    char first, second;
    struct hf_kept list[2];

    hf_kept_add(page(1), 8, &first, HF_WITHIN_OTHER);
    hf_kept_add(page(2), 8, &first, HF_WITHIN_OTHER);
    hf_kept_add(page(3), 8, &second, HF_WITHIN_OTHER);
    CHECK_INT_EQ(hf_kept_list(list, 2), 2);
    CHECK_INT_EQ(list[0].count + list[1].count, 3);
    hf_kept_add(page(4), 8, &first, HF_WITHIN_JSON_PARSE);
    CHECK_INT_EQ(hf_kept_list(list, 2), 3); /* there are more */
    CHECK_INT_EQ(hf_kept_blocks_within(HF_WITHIN_JSON_PARSE, NULL, 0), 1);
    for (unsigned i = 1; i <= 4; i++)
        hf_kept_remove(page(i));
    CHECK_INT_EQ(hf_kept_list(list, 2), 0);
}

static const struct hf_test tests[] = {
    {"a mapping is kept as far as it is not unmapped, and belongs to who asked first",
        test_mappings},
    {"blocks are counted by who asked and within what, and a list that is too short says so",
        test_list},
};

int main(int argc, char **argv)
{
    return hf_suite_run("kept", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

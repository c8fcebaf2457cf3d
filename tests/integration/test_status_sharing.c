/* SPDX-License-Identifier: PostgreSQL
 *
 * test_status_sharing.c: the line of `hostflags-host status` about processes that share one cache,
 * against answers that are known byte by byte.
 */
#include "tests/integration/status_fixture.h"

#define TABLE \
    "No hosts: no connection to an upstream has been opened for a while.\n" \
    "\n" \
    "connections 0, hosts 0, rejected -, evictions -\n" \
    "requests: 0; 304s: -\n"

/* What the member `sharing` becomes, after all the rest. */
static void check_line(struct world *world, const char *sharing, const char *line)
{
    char answer[512], expected[512];

    snprintf(answer, sizeof(answer), "{\"hosts\":[],\"connections\":0%s}", sharing);
    snprintf(expected, sizeof(expected), TABLE "%s", line);
    check_table(world, answer, expected);
}

static void test_line(void)
{
    struct world world;

    if (begin(&world, "")) {
        check_line(&world,
            ",\"sharing\":{\"processes\":4,\"own\":0,\"refresher\":2,\"refresher_pid\":4711,"
            "\"take_overs\":1,\"returned_references\":300}",
            "4 processes, refreshed by process 2 (pid 4711), 1 take-over, 300 references "
            "returned\n");
        check_line(&world,
            ",\"sharing\":{\"processes\":1,\"own\":1,\"refresher\":0,\"refresher_pid\":0,"
            "\"take_overs\":0,\"returned_references\":1}",
            "1 process, refreshed by none, 0 take-overs, 1 reference returned\n");
    }
    end(&world);
}

/* Of another version, or another type. */
static void test_absent(void)
{
    struct world world;

    if (begin(&world, "")) {
        check_line(&world, "", "");
        check_line(&world, ",\"sharing\":true", "");
        check_line(&world, ",\"sharing\":{}", "");
        check_line(&world, ",\"sharing\":{\"processes\":\"4\",\"refresher\":1}", "");
        check_line(&world, ",\"sharing\":{\"processes\":4}", "4 processes\n");
        check_line(&world, ",\"sharing\":{\"processes\":2,\"refresher\":1,\"take_overs\":\"x\"}",
            "2 processes, refreshed by process 1\n");
    }
    end(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"processes that share: who refreshes, take-overs, returned references", test_line},
        {"no sharing: no line", test_absent},
    };

    return hf_suite_run("status_sharing", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

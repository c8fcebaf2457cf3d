/* SPDX-License-Identifier: PostgreSQL
 *
 * test_status_command.c: `hostflags-host status` against answers that are known byte by byte. With
 * a real proxy: test_status_live.c. What it says when there is no answer: test_status_errors.c.
 */
#include "tests/integration/status_fixture.h"

#include "tests/support/pty.h"

/* Every member, and hosts in each rank, in an order that is none. */
static const char full[] =
    "{\"version\":\"1.0.0\",\"enabled\":true,\"hosts\":["
    "{\"scheme\":\"https\",\"host\":\"fresh-b\",\"port\":443,\"org_id\":\"\",\"references\":3,"
    "\"state\":\"fresh\",\"age_ms\":999,\"ttl_ms\":900000,\"next_refresh_ms\":760000,\"requests\":"
    "1,"
    "\"not_modified\":0,\"failures\":0,\"last_error\":\"ok\",\"http_status\":200,"
    "\"last_message\":\"\",\"flags\":{\"a\":{\"enabled\":true},\"b\":{\"enabled\":true},"
    "\"c\":{\"enabled\":false}}},"
    "{\"scheme\":\"https\",\"host\":\"new\",\"port\":443,\"org_id\":\"\",\"references\":1,"
    "\"state\":\"unknown\",\"age_ms\":-1,\"ttl_ms\":-1,\"next_refresh_ms\":0,\"requests\":0,"
    "\"not_modified\":0,\"failures\":0,\"last_error\":\"ok\",\"http_status\":0,"
    "\"last_message\":\"\",\"flags\":{\"a\":{\"enabled\":false}}},"
    "{\"scheme\":\"https\",\"host\":\"refused\",\"port\":443,\"org_id\":\"7\",\"references\":1,"
    "\"state\":\"unknown\",\"age_ms\":-1,\"ttl_ms\":-1,\"next_refresh_ms\":5000,\"requests\":2,"
    "\"not_modified\":0,\"failures\":2,\"last_error\":\"http\",\"http_status\":401,"
    "\"last_message\":\"401: this service wants a token\",\"flags\":{\"a\":{\"enabled\":false}}},"
    "{\"scheme\":\"http\",\"host\":\"fresh-a\",\"port\":80,\"org_id\":\"\",\"references\":2,"
    "\"state\":\"fresh\",\"age_ms\":3600000,\"ttl_ms\":90061000,\"next_refresh_ms\":3660000,"
    "\"requests\":10,\"not_modified\":9,\"failures\":0,\"last_error\":\"ok\",\"http_status\":304,"
    "\"last_message\":\"\",\"flags\":{}},"
    "{\"scheme\":\"http\",\"host\":\"::1\",\"port\":8443,\"org_id\":\"\",\"references\":0,"
    "\"state\":\"stale\",\"age_ms\":905000,\"ttl_ms\":900000,\"next_refresh_ms\":-1,\"requests\":4,"
    "\"not_modified\":1,\"failures\":1,\"last_error\":\"timeout\",\"http_status\":0,"
    "\"last_message\":\"no answer within 10 s\",\"flags\":{\"a\":{\"enabled\":true}}},"
    "{\"scheme\":\"https\",\"host\":\"gone\",\"port\":8443,\"org_id\":\"\",\"references\":1,"
    "\"state\":\"expired\",\"age_ms\":172800000,\"ttl_ms\":60000,\"next_refresh_ms\":61000,"
    "\"requests\":99,\"not_modified\":0,\"failures\":98,\"last_error\":\"dns\",\"http_status\":0,"
    "\"last_message\":\"\",\"flags\":{\"a\":{\"enabled\":false}}}],"
    "\"connections\":8,\"max_connections\":65536,\"max_hosts\":1024,\"host_slots\":6,"
    "\"rejected\":3,\"rejected_for\":{\"table\":0,\"name\":2,\"not_allowed\":1},\"evictions\":4,"
    "\"requests_by_outcome\":{\"ok\":20,\"dns\":98,\"tls\":0,\"http\":2},\"not_modified\":10}";

static void test_full_table(void)
{
    struct world world;

    if (begin(&world, full))
        check_table(&world, full,
            "HOST               ORG ID  REFS  STATE       AGE    TTL    NEXT  REQ  304  FAIL  ON   "
            "LAST ERROR\n"
            "gone:8443          -          1  expired      2d     1m   1m01s   99    0    98  0/1  "
            "dns\n"
            "http://[::1]:8443  -          0  stale    15m05s    15m       -    4    1     1  1/1  "
            "timeout\n"
            "    no answer within 10 s\n"
            "refused            7          1  unknown       -      -      5s    2    0     2  0/1  "
            "http 401\n"
            "    401: this service wants a token\n"
            "new                -          1  unknown       -      -     due    0    0     0  0/1  "
            "-\n"
            "http://fresh-a     -          2  fresh        1h  1d01h   1h01m   10    9     0  0/0  "
            "-\n"
            "fresh-b            -          3  fresh     999ms    15m  12m40s    1    0     0  2/3  "
            "-\n"
            "\n"
            "connections 8/65536, hosts 6/1024, rejected 3 (name 2, not_allowed 1), evictions 4\n"
            "requests: ok 20, dns 98, http 2; 304s: 10\n");
    end(&world);
}

/* What another version leaves out, or has another type for, is a dash. */
static void test_absent_members(void)
{
    struct world world;

    if (begin(&world, "")) {
        check_table(&world, "{\"hosts\":[{}]}",
            "HOST  REFS  STATE       AGE  TTL    NEXT  REQ  304  FAIL  ON  LAST ERROR\n"
            "-        -  -             -    -       -    -    -     -  -   -\n"
            "\n"
            "connections -, hosts 1, rejected -, evictions -\n"
            "requests: 0; 304s: -\n");
        check_table(&world,
            "{\"hosts\":[{\"host\":\"h\",\"port\":\"443\",\"state\":\"fresh\",\"requests\":7,"
            "\"flags\":[1]},5],\"connections\":\"many\",\"version\":1,\"rejected_for\":[],"
            "\"requests_by_outcome\":{\"ok\":\"x\"}}",
            "HOST  REFS  STATE       AGE  TTL    NEXT  REQ  304  FAIL  ON  LAST ERROR\n"
            "-        -  -             -    -       -    -    -     -  -   -\n"
            "h        -  fresh         -    -       -    7    -     -  -   -\n"
            "\n"
            "connections -, hosts 2, rejected -, evictions -\n"
            "requests: 7; 304s: -\n");
    }
    end(&world);
}

static void test_nothing_there(void)
{
    struct world world;

    if (begin(&world, "")) {
        check_table(&world, "{\"hosts\":[],\"connections\":0,\"rejected\":0,\"evictions\":0}",
            "No hosts: no connection to an upstream has been opened for a while.\n"
            "\n"
            "connections 0, hosts 0, rejected 0, evictions 0\n"
            "requests: 0; 304s: -\n");
        check_table(&world, "{}",
            "No hosts: the proxy has no plugin, or one that has no status.\n"
            "\n"
            "connections -, hosts -, rejected -, evictions -\n"
            "requests: -; 304s: -\n");
        check_table(&world, "{\"enabled\":false,\"hosts\":[],\"connections\":0,\"rejected\":0}",
            "The setting `enabled` is off: nothing is asked.\n"
            "No hosts: no connection to an upstream has been opened for a while.\n"
            "\n"
            "connections 0, hosts 0, rejected 0, evictions -\n"
            "requests: 0; 304s: -\n");
    }
    end(&world);
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text != '\n' && (*text < ' ' || *text > '~'))
            return false;
    return true;
}

/* Escapes of JSON, raw bytes, DEL and the 8-bit controls, in each text that is shown. */
#define EVIL "\\u001b[2J\\u0007\\r\\n\x7f\x9b\xc2\x9b"

static void test_control_characters(void)
{
    struct world world;
    char *out, *err;

    if (begin(&world,
            "{\"hosts\":[{\"scheme\":\"" EVIL "\",\"host\":\"h" EVIL "\",\"org_id\":\"o" EVIL
            "\",\"state\":\"s" EVIL "\",\"last_error\":\"e" EVIL "\",\"last_message\":\"m" EVIL
            "\"}],\"rejected_for\":{\"r" EVIL "\":1},\"requests_by_outcome\":{\"q" EVIL "\":1}}")) {
        CHECK_INT_EQ(RUN(&out, &err, "--socket", world.socket), 0);
        CHECK(is_printable(out));
        CHECK_STR_CONTAINS(out, "h?[2J??");
        CHECK_STR_CONTAINS(out, "    m?[2J??");
        CHECK_STR_CONTAINS(out, "(r?[2J??");
        free(out);
        free(err);
    }
    end(&world);
}

static void check_raw(struct world *world, const char *option, const char *answer,
    const char *request, const char *expected)
{
    char *out, *err, *asked;

    hf_status_peer_set_answer(world->peer, answer);
    CHECK_INT_EQ(RUN(&out, &err, option, "--socket", world->socket), 0);
    asked = hf_status_peer_request(world->peer);
    CHECK_STR_EQ(asked, request);
    CHECK_STR_EQ(out, expected);
    free(asked);
    free(out);
    free(err);
}

/* As they came, byte by byte, when no terminal reads them. */
static void test_raw_answers(void)
{
    struct world world;

    if (begin(&world, "")) {
        check_raw(&world, "--json", "{ \"a\":\xc3\xa9 1 }\n", "json\n", "{ \"a\":\xc3\xa9 1 }\n");
        check_raw(&world, "--json", "{}", "json\n", "{}\n");
        check_raw(&world, "--prometheus", "# HELP x y\nx{a=\"\x01\"} 1\n", "prometheus\n",
            "# HELP x y\nx{a=\"\x01\"} 1\n");
    }
    end(&world);
}

/* Runs the command in a terminal of that width; what it wrote, for the caller to free. */
static char *run_in_terminal(
    struct world *world, const char *option, const char *no_colour, unsigned short columns)
{
    const char *argv[] = {
        hf_build_path("hostflags-host"), "status", "--socket", world->socket, option, NULL};
    const char *env[] = {no_colour, NULL};
    struct hf_pty *pty = hf_pty_start(argv, env, columns, 24);
    char *text = NULL;

    if (CHECK(pty != NULL) && CHECK_INT_EQ(hf_pty_wait_exit(pty, BOUND_MS), 0))
        text = strdup(hf_pty_output(pty));
    hf_pty_destroy(pty);
    return text ? text : strdup("");
}

static void test_raw_in_terminal(void)
{
    struct world world;
    char *text;

    if (begin(&world, "x\033[2J\x9b\x7f\n\ty\n")) {
        text = run_in_terminal(&world, "--prometheus", "NO_COLOR=1", 80);
        CHECK(!strpbrk(text, "\033\x9b\x7f"));
        CHECK_STR_CONTAINS(text, "x?[2J??\r\n");
        CHECK_STR_CONTAINS(text, "y\r\n");
        free(text);
    }
    end(&world);
}

#define LONG_NAME "warehouse-0123456789-0123456789-0123456789-0123456789.example.com"

static size_t longest_line(const char *text)
{
    size_t longest = 0;

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        size_t length = strcspn(text, "\r\n");

        longest = length > longest ? length : longest;
    }
    return longest;
}

/* In a terminal a long name is cut so that the rows fit; elsewhere nothing is lost. */
static void test_long_names(void)
{
    struct world world;
    char *text, *out, *err;

    if (begin(&world,
            "{\"hosts\":[{\"host\":\"" LONG_NAME "\",\"state\":\"stale\",\"last_error\":\"http\","
            "\"http_status\":503}]}")) {
        text = run_in_terminal(&world, NULL, "NO_COLOR=1", 90);
        CHECK_STR_CONTAINS(text, "warehouse-01234");
        CHECK_STR_CONTAINS(text, "...  ");
        CHECK_STR_CONTAINS(text, "http 503\r\n");
        CHECK(!strstr(text, LONG_NAME));
        CHECK_INT_BETWEEN(longest_line(text), 60, 90);
        free(text);
        text = run_in_terminal(&world, NULL, "NO_COLOR=1", 22);
        CHECK_STR_CONTAINS(text, "HOST          REFS  ST\r\nwarehouse...     -  st\r\n");
        free(text);
        CHECK_INT_EQ(RUN(&out, &err, "--socket", world.socket), 0);
        CHECK_STR_CONTAINS(out, LONG_NAME "  ");
        free(out);
        free(err);
    }
    end(&world);
}

static void test_colour(void)
{
    struct world world;
    char *text, *out, *err;

    if (begin(&world, full)) {
        text = run_in_terminal(&world, NULL, "NO_COLOR=", 120); /* empty: not set */
        CHECK_STR_CONTAINS(text, "\033[31mgone:8443");
        CHECK_STR_CONTAINS(text, "\033[33mhttp://[::1]");
        CHECK_STR_CONTAINS(text, "\033[31mrefused");
        CHECK_STR_CONTAINS(text, "\nnew ");
        CHECK_STR_CONTAINS(text, "\nfresh-b ");
        free(text);
        text = run_in_terminal(&world, NULL, "NO_COLOR=1", 120);
        CHECK_STR_CONTAINS(text, "\ngone:8443");
        CHECK(!strchr(text, '\033'));
        free(text);
        CHECK_INT_EQ(RUN(&out, &err, "--socket", world.socket), 0);
        CHECK(!strchr(out, '\033'));
        free(out);
        free(err);
    }
    end(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"the whole table: every column, the worst first", test_full_table},
        {"members that are absent or of another type are dashes", test_absent_members},
        {"no hosts, no plugin, switched off", test_nothing_there},
        {"control characters do not get out", test_control_characters},
        {"--json and --prometheus pass the answer on", test_raw_answers},
        {"control characters of a raw answer do not reach a terminal", test_raw_in_terminal},
        {"long names are cut in a terminal only", test_long_names},
        {"colour in a terminal only, and not with NO_COLOR", test_colour},
    };

    return hf_suite_run("status_command", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

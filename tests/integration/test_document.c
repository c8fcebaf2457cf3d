/* SPDX-License-Identifier: PostgreSQL
 *
 * What becomes of the documents that a service sends, over the wire. Here each rule has a few rows;
 * the decoder's unit tests have all of them. Times of validity: test_ttl.c.
 *
 * The defaults of both flags are on. So a flag that counts as not sent is on, and its reason is
 * DEFAULT.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/fds.h"

/* What one flag looks like afterwards. */
enum seen {
    ON, /* the service's value */
    OFF,
    NOT_SENT /* the default, which is on */
};

struct row {
    const char *body;
    size_t length; /* 0: up to the NUL */
    enum seen flags[2]; /* a and b */
    int32_t last_error;
};

/* A row for one value of a, beside a b that is off. */
#define VALUE(value, a) \
    { \
        .body = "{\"flags\":[{\"name\":\"a\",\"value\":" value "}," \
                "{\"name\":\"b\",\"value\":\"false\"}]}", \
        .flags = { \
            (a), \
            OFF \
        } \
    }
#define TAKEN(text, a, b) \
    { \
        .body = (text), .flags = {(a), (b) } \
    }
#define REFUSED(text) \
    { \
        .body = (text), .flags = {NOT_SENT, NOT_SENT}, .last_error = HF_FETCH_PARSE \
    }
/* The same with NUL bytes in it. */
#define REFUSED_BYTES(text) \
    { \
        .body = (text), .length = sizeof(text) - 1, .flags = {NOT_SENT, NOT_SENT}, \
        .last_error = HF_FETCH_PARSE \
    }

static bool check_flag(const struct row *row, hf_conn conn, uint32_t flag)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, flag);
    int expected = row->flags[flag] != OFF;
    int32_t reason = row->flags[flag] == NOT_SENT ? HF_REASON_DEFAULT : HF_REASON_STATIC;

    return CHECK_INT_EQ(plugin->is_enabled(conn, flag), expected) &&
        CHECK_INT_EQ(answer.enabled, expected) && CHECK_INT_EQ(answer.reason, reason) &&
        CHECK_INT_EQ(answer.last_error, row->last_error) && CHECK_INT_EQ(answer.http_status, 200);
}

static void check_row(const struct row *row, hf_conn conn)
{
    if (!CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS)) || !check_flag(row, conn, A) ||
        !check_flag(row, conn, B))
        fprintf(stderr, "the document was: %.400s\n", row->body);
}

/* Each row is sent to a host of its own. */
static void check_rows(const struct row *rows, size_t count)
{
    struct hf_flag_reply reply = {.status = 200};
    char host[32];

    start_service();
    start_cache("defaults = a=on, b=on\nservice = %s\n", hf_flag_service_url(service));
    for (size_t i = 0; i < count; i++) {
        reply.body = rows[i].body;
        reply.body_len = rows[i].length ? rows[i].length : strlen(rows[i].body);
        hf_flag_service_set_reply(service, &reply);
        snprintf(host, sizeof(host), "row-%zu.example", i);
        check_row(&rows[i], hf_test_connect(plugin, host));
    }
    CHECK_INT_EQ(requests(), (long long)count);
    stop_all();
}

/* ---- values ---- */

static void test_booleans(void)
{
    static const struct row rows[] = {
        VALUE("\"true\"", ON),
        VALUE("\"false\"", OFF),
        VALUE("\"TRUE\"", ON),
        VALUE("\"TrUe\"", ON),
        VALUE("true", ON),
        VALUE("\"False\"", OFF),
        VALUE("false", OFF),
    };

    check_rows(rows, COUNT(rows));
}

static void test_no_booleans(void)
{
    static const struct row rows[] = {
        VALUE("\" true \"", NOT_SENT),
        VALUE("\"1\"", NOT_SENT),
        VALUE("\"yes\"", NOT_SENT),
        VALUE("\"\"", NOT_SENT),
        VALUE("\"\\\"true\\\"\"", NOT_SENT),
        VALUE("\"null\"", NOT_SENT),
        VALUE("null", NOT_SENT),
        VALUE("42", NOT_SENT),
        VALUE("1", NOT_SENT),
        VALUE("0", NOT_SENT),
        VALUE("{}", NOT_SENT),
        VALUE("[]", NOT_SENT),
        VALUE("[true]", NOT_SENT),
        VALUE("\"false\\u0000\"", NOT_SENT),
    };

    check_rows(rows, COUNT(rows));
}

/* ---- the document ---- */

static void test_absent(void)
{
    static const struct row rows[] = {
        TAKEN("{\"flags\":[]}", NOT_SENT, NOT_SENT),
        TAKEN("{\"flags\":{}}", NOT_SENT, NOT_SENT),
        TAKEN("{\"flags\":[{\"name\":\"c\",\"value\":\"false\"}]}", NOT_SENT, NOT_SENT),
        TAKEN("{\"flags\":[{\"name\":\"b\",\"value\":\"false\"}]}", NOT_SENT, OFF),
        TAKEN("{\"flags\":[{\"name\":\"a\"},{\"value\":\"false\"},{},null,7]}", NOT_SENT, NOT_SENT),
        REFUSED("{}"),
        REFUSED("{\"flags\":null}"),
        REFUSED("{\"flags\":\"a\"}"),
        REFUSED("{\"flags\":42}"),
        REFUSED("{\"ttl_seconds\":900}"),
        REFUSED("{\"error\":\"not now\",\"FLAGS\":[]}"),
    };

    check_rows(rows, COUNT(rows));
}

#define MANY 64

static void test_many_flags(void)
{
    char list[MANY * 16] = "", name[16];
    hf_conn conn;

    start_service();
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "flag.%d", i);
        hf_flag_service_set_flag(service, name, i % 3 == 0);
    }
    for (int i = 0; i < MANY; i++)
        sprintf(list + strlen(list), "%sflag.%d", i ? ", " : "", MANY - 1 - i);
    CHECK_INT_EQ(hf_test_init(plugin, "flags = %s\nallow_http = loopback\n", list), HF_OK);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "flag.%d", i);
        CHECK_INT_EQ(plugin->flag_index(name), MANY - 1 - i);
        CHECK_INT_EQ(plugin->is_enabled(conn, (uint32_t)(MANY - 1 - i)), i % 3 == 0);
    }
    CHECK_INT_EQ(plugin->is_enabled(conn, MANY), 0);
    stop_all();
}

static void test_case_of_names(void)
{
    static const struct row rows[] = {
        TAKEN("{\"flags\":[{\"name\":\"A\",\"value\":false},{\"name\":\"b\",\"value\":false}]}",
            NOT_SENT, OFF),
        TAKEN("{\"flags\":[{\"name\":\"a \",\"value\":false},{\"name\":\"aa\",\"value\":false}]}",
            NOT_SENT, NOT_SENT),
    };

    check_rows(rows, COUNT(rows));
}

static void test_older_shape(void)
{
    static const struct row rows[] = {
        TAKEN("{\"flags\":{\"a\":true,\"b\":false}}", ON, OFF),
        TAKEN("{\"flags\":{\"a\":\"false\",\"b\":\"true\"}}", OFF, ON),
        TAKEN("{\"flags\":{\"a\":null,\"b\":false}}", NOT_SENT, OFF),
    };

    check_rows(rows, COUNT(rows));
}

static void test_unknown_and_double(void)
{
    static const struct row rows[] = {
        TAKEN("{\"version\":2,\"flags\":[{\"id\":[1,{}],\"name\":\"a\",\"value\":\"true\"}],"
              "\"b\":false,\"more\":{\"flags\":[{\"name\":\"b\",\"value\":\"false\"}]}}",
            ON, NOT_SENT),
        TAKEN("{\"flags\":[{\"name\":\"a\",\"value\":true},{\"name\":\"b\",\"value\":false},"
              "{\"name\":\"a\",\"value\":false}]}",
            OFF, OFF),
        TAKEN("{\"flags\":[{\"name\":\"a\",\"value\":false},{\"name\":\"a\",\"value\":true}]}", ON,
            NOT_SENT),
        TAKEN("{\"flags\":[{\"name\":\"a\",\"value\":false},{\"name\":\"a\",\"value\":42}]}",
            NOT_SENT, NOT_SENT),
        TAKEN("{\"flags\":{\"a\":true,\"a\":false}}", OFF, NOT_SENT),
    };

    check_rows(rows, COUNT(rows));
}

#define GOOD "{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}]}"

static void test_no_document(void)
{
    static const struct row rows[] = {
        REFUSED("hello"),
        REFUSED("<!DOCTYPE html><html><body>Please log in</body></html>"),
        REFUSED("{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}"),
        REFUSED("{\"flags\":[{\"name\":\"a\",\"value\":\"fal"),
        REFUSED(GOOD "garbage"),
        REFUSED(GOOD GOOD),
        REFUSED("[" GOOD "]"),
        REFUSED("[{\"name\":\"a\",\"value\":\"false\"}]"),
        REFUSED("\"flags\""),
        REFUSED("42"),
        REFUSED("null"),
        REFUSED("{'flags':[{'name':'a','value':'false'}]}"),
        REFUSED("{flags:[{name:\"a\",value:false}]}"),
        REFUSED(" "),
    };

    check_rows(rows, COUNT(rows));
}

static void test_empty_body(void)
{
    struct row refused = REFUSED("(nothing)");
    struct gate gate = gate_open();
    hf_conn conn;

    start_cache("%s", "defaults = a=on, b=on\n");
    conn = hf_test_connect(plugin, gate.url);
    gate_answer(gate_take(&gate), "");
    check_row(&refused, conn);
    stop_all();
    gate_close(&gate);
}

/* ---- bytes ---- */

static void test_bytes(void)
{
    static const struct row rows[] = {
        REFUSED_BYTES("\0"),
        REFUSED_BYTES("{\"flags\":{\"a\xff\":false,\"b\":true}}"),
        REFUSED_BYTES("{\"flags\":{\"a\":\"\xc3\x28\"}}"),
        REFUSED_BYTES("{\"flags\":{\"a\":\"false\0\"}}"),
        REFUSED_BYTES("{\"flags\":{\"a\":false}}\0"),
        REFUSED_BYTES("{\"flags\":{\"a\0x\":false}}"),
        REFUSED_BYTES("\xef\xbb\xbf" GOOD),
        REFUSED_BYTES("\xff\xfe{\0}\0"),
        REFUSED("{\"flags\":{\"a\\u0000x\":false}}"),
        TAKEN("{\"flags\":[{\"name\":\"a\\u0000\",\"value\":false},{\"name\":\"\xc3\xa4\","
              "\"value\":false},{\"name\":\"b\",\"value\":false}]}",
            NOT_SENT, OFF),
    };

    check_rows(rows, COUNT(rows));
}

/* ---- too much ---- */

#define LIMIT "1MB"
#define BOMB_MIB 128
#define GROWTH_MAX_KB (32 * 1024)

static void check_too_large(hf_conn conn)
{
    struct hf_answer answer;

    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.last_error, HF_FETCH_TOO_LARGE);
    CHECK_INT_EQ(answer.reason, HF_REASON_DEFAULT);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 0);
    CHECK(
        HF_WAIT_UNTIL(hf_test_log_count_level(HF_LOG_WARNING, "max_response_size") == 1, BOUND_MS));
}

static void test_bomb(void)
{
    const struct hf_flag_reply bomb = {.fault = HF_FAULT_BOMB, .bomb_mib = BOMB_MIB};
    long before_kb;

    start_service();
    hf_flag_service_set_reply(service, &bomb);
    start_cache("max_response_size = " LIMIT "\n");
    CHECK(hf_fds_reset_peak());
    before_kb = hf_fds_peak_kb();
    check_too_large(connect_service());
    CHECK_INT_BETWEEN(hf_fds_peak_kb() - before_kb, 0, GROWTH_MAX_KB);
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* Sends spaces until the client hangs up; how many bytes it took (its buffers' content included).
 * */
static size_t pour(int fd, const char *head)
{
    char spaces[65536];
    size_t sent = 0;
    ssize_t got;

    memset(spaces, ' ', sizeof(spaces));
    send(fd, head, strlen(head), MSG_NOSIGNAL);
    while (
        sent < (size_t)BOMB_MIB << 20 && (got = send(fd, spaces, sizeof(spaces), MSG_NOSIGNAL)) > 0)
        sent += (size_t)got;
    close(fd);
    return sent;
}

static void test_large(void)
{
    static const char *const heads[] = {"HTTP/1.1 200 OK\r\nContent-Length: 134217728\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"};
    struct gate gate;
    long before_kb;
    hf_conn conn;

    for (size_t i = 0; i < COUNT(heads); i++) {
        gate = gate_open();
        start_cache("max_response_size = " LIMIT "\n");
        CHECK(hf_fds_reset_peak());
        before_kb = hf_fds_peak_kb();
        conn = hf_test_connect(plugin, gate.url);
        CHECK_INT_BETWEEN(pour(gate_take(&gate), heads[i]), 1 << 20, 32 << 20);
        check_too_large(conn);
        CHECK_INT_BETWEEN(hf_fds_peak_kb() - before_kb, 0, GROWTH_MAX_KB);
        stop_all();
        gate_close(&gate);
    }
}

/* At the limit it is taken, one byte beyond it is not. */
static void test_limit(void)
{
    static const char document[] = "{\"flags\":{\"a\":true}}";
    char body[1024 + 2];
    hf_conn conn;

    for (size_t over = 0; over <= 1; over++) {
        memset(body, ' ', sizeof(body));
        memcpy(body, document, sizeof(document) - 1);
        body[1024 + over] = '\0';
        start_service();
        hf_flag_service_set_body(service, body);
        start_cache("max_response_size = 1kB\n");
        conn = connect_service();
        if (over)
            check_too_large(conn);
        else
            CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
        stop_all();
    }
}

/* The body is opening, then all the opened closed again, in a member that would be ignored. */
static void check_deep(const char *opening, const char *inner, const char *closing, size_t depth)
{
    size_t size = 64 + depth * (strlen(opening) + strlen(closing));
    char *body = malloc(size), *end = body;
    struct row row = REFUSED(body);

    if (!body)
        abort();
    end = stpcpy(end, "{\"flags\":{\"a\":false},\"more\":");
    for (size_t i = 0; i < depth; i++)
        end = stpcpy(end, opening);
    end = stpcpy(end, inner);
    for (size_t i = 0; i < depth; i++)
        end = stpcpy(end, closing);
    stpcpy(end, "}");
    check_rows(&row, 1);
    free(body);
}

static void test_deep(void)
{
    check_deep("[", "", "]", 200);
    check_deep("[", "", "]", 100000);
    check_deep("{\"a\":", "1", "}", 200);
    check_deep("{\"a\":", "1", "}", 100000);
    check_deep("[", "", "", 100000);
}

static const struct hf_test tests[] = {
    {"C35 true and false, as text in any case or as JSON", test_booleans},
    {"C36 what is no boolean counts as not sent, the others stand", test_no_booleans},
    {"C37 an absent flag is the default; without a list it is no document", test_absent},
    {"C38 many flags, each by its number", test_many_flags},
    {"C38 a name that differs is another flag", test_case_of_names},
    {"C39 the older shape", test_older_shape},
    {"C40 unknown members are ignored, the last of two wins", test_unknown_and_double},
    {"C41 no document: a failure", test_no_document},
    {"C41 an empty body: a failure", test_empty_body},
    {"C42 a compressed bomb is refused in bounded memory", test_bomb},
    {"C42 a body without end is refused in bounded memory", test_large},
    {"C42 a body of max_response_size is taken, one byte more is not", test_limit},
    {"C42 nested too deep: a failure", test_deep},
    {"C43 invalid UTF-8 and NUL bytes: no wrong flag", test_bytes},
};

int main(int argc, char **argv)
{
    return run_tests("document", tests, COUNT(tests), argc, argv);
}

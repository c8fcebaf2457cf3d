/* SPDX-License-Identifier: PostgreSQL
 *
 * What host_api.h promises: tables of other sizes and versions, NULL callbacks, the header, the
 * object file. A table that is shorter than ours lies directly before a page without access, so
 * that reading beyond its end does not go unnoticed. Layout and numbers are in test_layout.c, the
 * small stacks in test_stack.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000
#define SETTINGS "flags = a, b\nallow_http = loopback\n"
#define HEADER(bytes) ((struct hf_header){HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, (bytes), 0})

static const struct hf_plugin *plugin;

/* ---- a page that ends where reading has to end ---- */

static char *page; /* followed by a page without access */
static size_t page_bytes;

static void make_page(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + page_bytes, page_bytes, PROT_NONE) != 0)
        abort();
}

/* The first `bytes` of a table, so that the next byte cannot be touched. bytes: a multiple of 8. */
static void *at_the_end(const void *table, size_t bytes)
{
    return memcpy(page + page_bytes - bytes, table, bytes);
}

static void set_size(void *table, size_t bytes)
{
    ((struct hf_header *)table)->size = (uint32_t)bytes;
}

static int32_t init_with_short_host(const struct hf_host *host, size_t bytes)
{
    struct hf_host *cut = at_the_end(host, bytes);

    set_size(cut, bytes);
    return hf_test_init_with(plugin, cut, SETTINGS);
}

/* ---- C86: the host's table ---- */

static void test_older_host(void)
{
    struct hf_host host = hf_test_host();
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_request *request;
    hf_conn conn;

    hf_test_log_clear();
    CHECK_INT_EQ(init_with_short_host(&host, offsetof(struct hf_host, ctx)), HF_OK);
    CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_log_count(""), 0);
    hf_flag_service_set_flag(service, "b", true);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 1) == 1, BOUND_MS));
    request = hf_flag_service_request(service, 0);
    if (CHECK(request != NULL))
        CHECK_STR_CONTAINS(hf_flag_request_header(request, "User-Agent"), "(test 1.0)");
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_oldest_host(void)
{
    struct hf_host host = hf_test_host();

    CHECK_INT_EQ(init_with_short_host(&host, sizeof(struct hf_header)), HF_OK);
    plugin->fini();
    CHECK_INT_EQ(init_with_short_host(&host, offsetof(struct hf_host, version)), HF_OK);
    plugin->fini();
    CHECK_INT_EQ(init_with_short_host(&host, offsetof(struct hf_host, get_token)), HF_OK);
    hf_test_log_clear();
    CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_log_count("no such"), 1);
    plugin->fini();
}

static void test_newer_host(void)
{
    struct {
        struct hf_host host;
        unsigned char tail[512];
    } newer = {.host = hf_test_host()};

    memset(newer.tail, 0xee, sizeof(newer.tail));
    set_size(&newer, sizeof(newer));
    newer.host.hdr.abi_minor = HF_ABI_MINOR + 7;
    hf_test_log_clear();
    CHECK_INT_EQ(hf_test_init_with(plugin, &newer.host, SETTINGS), HF_OK);
    CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_log_count("no such"), 1);
    plugin->fini();
}

static void test_long_host_name(void)
{
    struct hf_host host = hf_test_host();
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_request *request;
    char name[600];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    host.name = name;
    CHECK_INT_EQ(hf_test_init_with(plugin, &host, SETTINGS), HF_OK);
    hf_test_connect(plugin, hf_flag_service_url(service));
    if (CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS))) {
        request = hf_flag_service_request(service, 0);
        CHECK_STR_CONTAINS(hf_flag_request_header(request, "User-Agent"), "nnn 1.0)");
    }
    plugin->fini();
    hf_flag_service_stop(service);
}

/* ---- C86: the answer ---- */

#define ANSWER_ROOM (sizeof(struct hf_answer) + 64)
#define PATTERN 0xa5

/* explain into a table of `bytes`; whether all beyond it, and the header, stayed as they were. */
static bool explain_into(hf_conn conn, size_t bytes, int32_t *result, struct hf_answer *answer)
{
    const struct hf_header header = HEADER((uint32_t)bytes);
    unsigned char room[ANSWER_ROOM];
    bool untouched = true;

    memset(room, PATTERN, sizeof(room));
    memcpy(room, &header, sizeof(header));
    *result = plugin->explain(conn, 0, (struct hf_answer *)(void *)room);
    for (size_t i = bytes; i < sizeof(room); i++)
        untouched = untouched && (i < sizeof(header) || room[i] == PATTERN);
    memcpy(answer, room, sizeof(*answer));
    return untouched && memcmp(room, &header, sizeof(header)) == 0;
}

static void check_answer_of(hf_conn conn, size_t bytes)
{
    struct hf_answer answer;
    int32_t result;

    CHECK(explain_into(conn, bytes, &result, &answer));
    if (bytes <= sizeof(struct hf_header)) {
        CHECK_INT_EQ(result, HF_E_INVALID);
        return;
    }
    CHECK_INT_EQ(result, HF_OK);
    if (bytes >= offsetof(struct hf_answer, reason))
        CHECK_INT_EQ(answer.enabled, 1);
    if (bytes >= offsetof(struct hf_answer, state))
        CHECK_INT_EQ(answer.reason, HF_REASON_STATIC);
    if (bytes >= offsetof(struct hf_answer, reserved))
        CHECK_INT_EQ(answer.http_status, 200);
    if (bytes >= sizeof(struct hf_answer))
        CHECK_INT_BETWEEN(answer.next_refresh_ms, 1, 900000);
}

static void test_answers(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_answer older = {.hdr = HEADER(offsetof(struct hf_answer, age_ms))};
    struct hf_answer *cut = at_the_end(&older, older.hdr.size);
    hf_conn conn;

    hf_flag_service_set_flag(service, "a", true);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    for (size_t bytes = 0; bytes <= ANSWER_ROOM; bytes++)
        check_answer_of(conn, bytes);
    CHECK_INT_EQ(plugin->explain(conn, 0, cut), HF_OK);
    CHECK_INT_EQ(cut->enabled, 1);
    CHECK_INT_EQ(cut->http_status, 200);
    plugin->fini();
    hf_flag_service_stop(service);
}

/* ---- C86: the upstream ---- */

static hf_conn connect_short(const struct hf_upstream *upstream, size_t bytes)
{
    struct hf_upstream *cut = at_the_end(upstream, bytes);

    set_size(cut, bytes);
    return plugin->on_connect(cut);
}

static void test_short_upstreams(void)
{
    char secret[] = "no digits at all"; /* an org id that would be refused if it were looked at */
    struct hf_upstream upstream = {
        .hdr = HEADER(0), .host = "http://127.0.0.1:9", .port = 9, .org_id = secret};
    hf_conn conn;

    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    set_size(&upstream, sizeof(upstream));
    CHECK(plugin->on_connect(&upstream) == HF_NO_CONN);
    conn = connect_short(&upstream, offsetof(struct hf_upstream, org_id));
    CHECK(conn != HF_NO_CONN);
    upstream.port = 10; /* would contradict the name if it were looked at */
    CHECK(connect_short(&upstream, offsetof(struct hf_upstream, org_id)) == HF_NO_CONN);
    CHECK(connect_short(&upstream, offsetof(struct hf_upstream, port)) != HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", 9, "references"), 2);
    CHECK(connect_short(&upstream, offsetof(struct hf_upstream, host)) == HF_NO_CONN);
    CHECK(plugin->on_connect(NULL) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 4);
    plugin->fini();
}

static void test_newer_upstream(void)
{
    struct {
        struct hf_upstream upstream;
        unsigned char tail[64];
    } newer = {.upstream = {.hdr = HEADER(sizeof(newer)), .host = "http://127.0.0.1:9"}};

    memset(newer.tail, 0xee, sizeof(newer.tail));
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    CHECK(plugin->on_connect(&newer.upstream) != HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", 9, "references"), 1);
    plugin->fini();
}

/* ---- C86: other versions ---- */

static const struct hf_header strangers[] = {
    {0, HF_ABI_MAJOR, HF_ABI_MINOR, 4096, 0},
    {~HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, 4096, 0},
    {HF_ABI_MAGIC, 0, HF_ABI_MINOR, 4096, 0},
    {HF_ABI_MAGIC, HF_ABI_MAJOR + 1, HF_ABI_MINOR, 4096, 0},
};

static void check_stranger(const struct hf_header *header)
{
    struct hf_upstream upstream = {.hdr = *header, .host = "http://127.0.0.1:9"};
    struct hf_answer answer = {.hdr = *header, .enabled = 77};
    struct hf_host host = hf_test_host();
    hf_conn conn;

    host.hdr = *header;
    CHECK_INT_EQ(hf_test_init_with(plugin, &host, SETTINGS), HF_E_ABI);
    CHECK_STR_CONTAINS(hf_test_error(), "48464c47"); /* what was expected */
    if (!CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK))
        return;
    CHECK(plugin->on_connect(&upstream) == HF_NO_CONN);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 1);
    upstream.hdr = HEADER(sizeof(upstream));
    conn = plugin->on_connect(&upstream);
    CHECK_INT_EQ(plugin->explain(conn, 0, &answer), HF_E_ABI);
    CHECK_INT_EQ(answer.enabled, 77);
    plugin->fini();
}

static void test_strangers(void)
{
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        check_stranger(&strangers[i]);
}

static void test_has(void)
{
    struct hf_plugin older = *plugin;

    CHECK(HF_HAS(plugin, refresh));
    CHECK(HF_HAS(plugin, status));
    older.hdr.size = offsetof(struct hf_plugin, refresh);
    CHECK(!HF_HAS(&older, refresh));
    CHECK(HF_HAS(&older, status));
    older.hdr.size += sizeof(older.refresh) - 1;
    CHECK(!HF_HAS(&older, refresh));
    older.status = NULL;
    CHECK(!HF_HAS(&older, status));
}

/* ---- C87 ---- */

/* Everything that would log or ask for a token, under the given host. */
static void live_with(const struct hf_host *host)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    hf_conn conn;

    hf_flag_service_set_status(service, 500);
    if (CHECK_INT_EQ(hf_test_init_with(plugin, host, SETTINGS), HF_OK)) {
        CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
        conn = hf_test_connect(plugin, hf_flag_service_url(service));
        CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, 0).http_status == 500, BOUND_MS));
        CHECK_INT_EQ(plugin->is_enabled(conn, 0), 0);
        plugin->on_disconnect(conn);
    }
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_null_callbacks(void)
{
    struct hf_host host = hf_test_host();

    host.log = NULL;
    host.get_token = NULL;
    live_with(&host);
    host.name = host.version = NULL;
    live_with(&host);
}

static void test_null_host(void)
{
    const struct hf_setting settings[] = {{"flags", "a"}, {"allow_http", "loopback"}};
    const struct hf_setting holes[] = {{"flags", NULL}, {NULL, "a"}};
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    hf_conn conn;

    CHECK_INT_EQ(plugin->init(NULL, settings, 2, NULL, 0), HF_OK);
    CHECK(hf_test_connect(plugin, "no such/host") == HF_NO_CONN);
    hf_flag_service_set_flag(service, "a", true);
    conn = hf_test_connect(plugin, hf_flag_service_url(service));
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, BOUND_MS));
    plugin->fini();
    CHECK_INT_EQ(plugin->init(NULL, &holes[0], 1, NULL, 0), HF_E_INVALID);
    CHECK_INT_EQ(plugin->init(NULL, &holes[1], 1, NULL, 0), HF_E_INVALID);
    CHECK_INT_EQ(plugin->init(NULL, NULL, 3, NULL, 0), HF_E_INVALID);
    CHECK_INT_EQ(plugin->init(NULL, NULL, 0, NULL, 0), HF_OK);
    plugin->fini();
    hf_flag_service_stop(service);
}

static void test_null_arguments(void)
{
    char buffer[4] = "xyz";
    size_t needed;
    hf_conn conn;

    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    conn = hf_test_connect(plugin, "http://127.0.0.1:9");
    CHECK_INT_EQ(plugin->explain(conn, 0, NULL), HF_E_INVALID);
    CHECK_INT_EQ(plugin->flag_index(NULL), HF_E_NOTFOUND);
    CHECK(hf_test_connect(plugin, NULL) == HF_NO_CONN);
    needed = plugin->status(HF_STATUS_JSON, NULL, 0);
    CHECK(needed > 20);
    CHECK(plugin->status(HF_STATUS_JSON, buffer, 0) > 20);
    CHECK_STR_EQ(buffer, "xyz");
    CHECK(plugin->status(HF_STATUS_JSON, buffer, 3) > 20);
    CHECK_STR_EQ(buffer, "{\"");
    CHECK_INT_EQ(plugin->status(99, buffer, sizeof(buffer)), 0);
    CHECK_STR_EQ(buffer, "");
    plugin->fini();
}

static const struct hf_test tests[] = {
    {"C86 an older host: its table ends after name and version", test_older_host},
    {"C86 an older host: its table ends elsewhere", test_oldest_host},
    {"C86 a newer host: its table goes on where ours ends", test_newer_host},
    {"C86 C27 a host with a very long name", test_long_host_name},
    {"C86 explain fills what the caller's answer has room for", test_answers},
    {"C86 an upstream that ends before its org id, its port, its host", test_short_upstreams},
    {"C86 an upstream that goes on where ours ends", test_newer_upstream},
    {"C86 another magic or major version is refused in each table", test_strangers},
    {"C86 HF_HAS: a member beyond the size, and one that is NULL, is not there", test_has},
    {"C87 a host without log, get_token, name and version", test_null_callbacks},
    {"C87 no host, no error buffer, no settings", test_null_host},
    {"C87 NULL arguments and small buffers", test_null_arguments},
};

int main(int argc, char **argv)
{
    make_page();
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("contract", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * What a reload leaves as it was: backoffs, refusals, a service's Retry-After, plans, and ETags as
 * long as they mean something. test_reload_requests.c has what it changes.
 */
#include "tests/integration/cache_fixture.h"

#define SETTINGS "flags = a, b\nallow_http = loopback\n"
#define ENV "HF_TEST_RELOAD_TOKEN"

/* NULL: not sent. */
static const char *header_of(size_t i, const char *name)
{
    const struct hf_flag_request *request = hf_flag_service_request(service, i);

    return request ? hf_flag_request_header(request, name) : "there is no such request";
}

static bool has_status(hf_conn conn, int32_t status)
{
    return hf_test_explain(plugin, conn, A).http_status == status;
}

/* ---- patience ---- */

#define STORM 20

/* The same settings, again and again. */
static void test_same_settings(void)
{
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 500);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    for (int i = 0; i < STORM; i++)
        CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    CHECK(asked_ms(1) - asked_ms(0) >= 2500); /* the shortest first backoff */
    CHECK(HF_WAIT_UNTIL(member("failures_in_a_row") == 2, BOUND_MS));
    stop_all();
}

static void test_same_settings_after_refusal(void)
{
    static const unsigned statuses[] = {401, 403, 404};
    hf_conn conn;

    for (size_t i = 0; i < COUNT(statuses); i++) {
        start_service();
        hf_flag_service_set_status(service, statuses[i]);
        setenv(ENV, "a-token", 1);
        start_cache("token_env = " ENV "\nallowed_hosts = 127.0.0.1\n");
        conn = connect_service();
        CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
        for (int j = 0; j < STORM; j++)
            CHECK_INT_EQ(
                hf_test_reload(plugin, SETTINGS "token_env = " ENV "\nallowed_hosts = 127.0.0.1\n"),
                HF_OK);
        CHECK(worker_has_moved_on());
        CHECK_INT_EQ(requests(), 1);
        CHECK(hf_test_explain(plugin, conn, A).next_refresh_ms > 600000);
        stop_all();
    }
}

/* Nobody is asked either where nothing has failed, and the plan stays what it was. */
static void test_good_host(void)
{
    struct hf_answer before, after;
    hf_conn conn;

    start_service();
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    before = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "client = JDBC\n"), HF_OK);
    CHECK(worker_has_moved_on());
    after = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(after.age_ms + after.next_refresh_ms, before.age_ms + before.next_refresh_ms);
    stop_all();
}

static void test_retry_after(void)
{
    static const char *const reloads[] = {"", "endpoint = /other\n", "client = JDBC\n",
        "token_file = /nowhere/{host}\n", "client_version = 3\nallowed_hosts = 127.0.0.1\n"};
    int64_t left_ms;
    hf_conn conn;

    start_service();
    hf_flag_service_set_status(service, 429);
    hf_flag_service_set_headers(service, "Retry-After: 1800\n");
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_status(conn, 429), BOUND_MS));
    left_ms = member("retry_after_ms");
    CHECK_INT_BETWEEN(left_ms, 1, 1800000);
    for (size_t i = 0; i < COUNT(reloads); i++) {
        CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "%s", reloads[i]), HF_OK);
        CHECK_INT_BETWEEN(member("retry_after_ms"), 1, left_ms);
        CHECK(member("next_refresh_ms") >= member("retry_after_ms"));
        CHECK_INT_EQ(plugin->refresh(hf_flag_service_url(service)), HF_E_TOO_SOON);
    }
    CHECK(worker_has_moved_on());
    CHECK_INT_EQ(requests(), 1);
    stop_all();
}

/* ---- ETags ---- */

#define TAG "\"tag-1\""
#define TAG_HEADER "ETag: " TAG "\n"

/* Asks once more; whether that request was conditional. */
static bool asks_with_tag(size_t i)
{
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(hf_flag_service_wait_requests(service, i + 1, BOUND_MS));
    return header_of(i, "If-None-Match") != NULL;
}

static void test_tag_is_dropped(void)
{
    char same_service[128];
    const char *const lines[] = {"endpoint = /flags\n", same_service, "client = JDBC\n",
        "client_version = 2\n", "client_version = 3\nclient = NODEJS\n"};
    hf_conn conn;

    start_service();
    hf_flag_service_set_headers(service, TAG_HEADER);
    snprintf(same_service, sizeof(same_service), "service = %s\n", hf_flag_service_url(service));
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    for (size_t i = 0; i < COUNT(lines); i++) {
        CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS "%s", lines[i]), HF_OK);
        CHECK(!asks_with_tag(i + 1));
        CHECK(HF_WAIT_UNTIL(member("next_refresh_ms") > 0, BOUND_MS)); /* it is answered */
    }
    CHECK_INT_EQ(member("not_modified"), 0);
    stop_all();
}

static void test_tag_is_kept(void)
{
    const struct hf_flag_reply not_modified = {.status = 304, .headers = TAG_HEADER};
    hf_conn conn;

    start_service();
    hf_flag_service_set_headers(service, TAG_HEADER);
    start_cache("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    hf_flag_service_script(service, &not_modified, 1);
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(
        hf_test_reload(plugin,
            SETTINGS "ttl = 1h\nttl_min = 1s\nttl_max = 2h\nlinger = 5min\nmax_stale = 1h\n"
                     "prefetch = off\nconnect_timeout = 5s\nrequest_timeout = 1min\n"
                     "max_response_size = 2MB\nmax_in_flight = 5\noverrides = b=on\n"
                     "defaults = a=on\nallowed_hosts = 127.0.0.1\n"),
        HF_OK);
    CHECK(asks_with_tag(1));
    CHECK_STR_EQ(header_of(1, "If-None-Match"), TAG);
    CHECK(HF_WAIT_UNTIL(member("not_modified") == 1, BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK_INT_EQ(hf_test_explain(plugin, conn, A).reason, HF_REASON_STATIC);
    CHECK_INT_EQ(member("failures"), 0);
    stop_all();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C84 C62 the same settings: the backoff stays", test_same_settings},
        {"C84 C66 the same settings after 401, 403, 404: nobody is asked",
            test_same_settings_after_refusal},
        {"C84 C49 a host that has not failed is not asked, whatever changes", test_good_host},
        {"C84 C65 a Retry-After stands, whatever changes", test_retry_after},
        {"C84 C72 other endpoint, service, client, client_version: the ETag is dropped",
            test_tag_is_dropped},
        {"C84 C71 other settings: the ETag is kept", test_tag_is_kept},
    };

    return run_tests("reload_kept", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * share = on: processes that were forked after init have one cache.
 */
#include "tests/integration/children.h"

static bool all_read(int flag, int expected)
{
    for (int i = 0; i < CHILDREN; i++) {
        if (tell(i, READ, flag) != expected)
            return false;
    }
    return true;
}

static void connect_all(int count)
{
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECT, count), count);
}

static void test_one_request(void)
{
    start_sharing("%s", "");
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    CHECK(all_read(B, 0));
    CHECK_INT_EQ(requests(), 1);
    CHECK_INT_EQ(sharing("processes"), CHILDREN);
    CHECK_INT_EQ(sharing("own"), 0);
    end_sharing();
}

static void test_one_request_at_once(void)
{
    start_sharing("%s", "");
    hf_flag_service_set_delay(service, 100);
    for (int i = 0; i < CHILDREN; i++) {
        struct order what = {.kind = CONNECT, .count = 200};
        snprintf(what.url, sizeof(what.url), "%s", hf_flag_service_url(service));
        order(i, what);
    }
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(reply_of(i), 200);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    CHECK_INT_EQ(requests(), 1);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECTIONS, 0), 200 * CHILDREN);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, DISCONNECT, 0), 200 * (CHILDREN - 1 - i));
    CHECK_INT_EQ(requests(), 1);
    end_sharing();
}

/* What one child's connection is told is refreshed for all of them, by one request at a time. */
static void test_one_refresh(void)
{
    start_sharing("ttl = 1s\nttl_min = 100ms\n");
    hf_flag_service_set_ttl(service, NULL);
    connect_all(3);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(all_read(A, 0), BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_max_in_flight(service), 1);
    for (size_t i = 1; i < requests(); i++)
        CHECK(asked_ms(i) - asked_ms(i - 1) >= 750);
    end_sharing();
}

/* Four that fail are one that fails. */
static void test_one_backoff(void)
{
    start_sharing("%s", "");
    hf_flag_service_set_status(service, 500);
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(member("failures") == 1, BOUND_MS));
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_INT_EQ(tell(i, DISCONNECT, 0), CHILDREN - 1 - i);
        CHECK_INT_EQ(tell(i, READ, A), 0);
    }
    connect_all(1);
    CHECK_INT_EQ(requests(), 1);
    end_sharing();
}

static void test_last_release(void)
{
    start_sharing("linger = 0\n");
    CHECK_INT_EQ(tell(0, CONNECT, 2), 2);
    CHECK_INT_EQ(tell(1, CONNECT, 1), 1);
    CHECK(HF_WAIT_UNTIL(tell(1, READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell(0, DISCONNECT, 0), 1);
    CHECK(has_entry());
    CHECK_INT_EQ(tell(1, DISCONNECT, 0), 0);
    CHECK(!has_entry());
    end_sharing();
}

/* ---- handles of others ---- */

static void test_inherited_handle(void)
{
    hf_conn conn;

    start_sharing("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_INT_EQ(tell_about(i, READ, A, conn, ""), 1);
        tell_about(i, RELEASE, 0, conn, "");
    }
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    tell_about(0, RELEASE, 0, conn, "");
    CHECK_INT_EQ(tell(1, CONNECTIONS, 0), 2);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    plugin->on_disconnect(conn);
    CHECK_INT_EQ(tell(1, CONNECTIONS, 0), 1);
    end_sharing();
}

/* ---- what one says holds for all ---- */

static int64_t reload_with(int number, const char *line)
{
    return tell_about(number, RELOAD, 0, HF_NO_CONN, line);
}

static void test_reload(void)
{
    start_sharing("%s", "");
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    CHECK_INT_EQ(reload_with(2, "overrides = a=off\n"), HF_OK);
    CHECK(all_read(A, 0));
    CHECK_INT_EQ(hf_test_reload(plugin, "%s", settings_text), HF_OK);
    CHECK(all_read(A, 1));
    CHECK_INT_EQ(requests(), 1);
    end_sharing();
}

static void test_reload_of_the_refresher(void)
{
    int first;

    start_sharing("ttl = 1s\nttl_min = 100ms\n");
    hf_flag_service_set_ttl(service, NULL);
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    first = refreshing_child();
    CHECK_INT_EQ(reload_with(first, ""), HF_OK);
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(all_read(A, 0), BOUND_MS));
    end_sharing();
}

/* Other requests: an ETag means nothing to them, whoever makes them. */
static void test_reload_drops_etags(void)
{
    int first;

    start_sharing("%s", "");
    hf_flag_service_set_etag(service, "\"x\"");
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(member("not_modified") == 1, BOUND_MS));
    first = refreshing_child();
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(reload_with((first + i) % CHILDREN, "client = OTHER\n"), HF_OK);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(hf_flag_service_wait_requests(service, 3, BOUND_MS));
    CHECK_STR_EQ(
        hf_flag_request_header(hf_flag_service_request(service, 2), "If-None-Match"), NULL);
    CHECK_STR_CONTAINS(hf_flag_service_request(service, 2)->path, "/OTHER/");
    end_sharing();
}

static void test_restart_needed(void)
{
    start_sharing("%s", "");
    CHECK_INT_EQ(hf_test_reload(plugin, "flags = a, b\nallow_http = loopback\n"), HF_E_INVALID);
    CHECK_STR_CONTAINS(hf_test_error(), "share");
    end_sharing();
}

static void test_refresh(void)
{
    start_sharing("%s", "");
    CHECK_INT_EQ(plugin->refresh(NULL), HF_E_NOTFOUND);
    connect_all(1);
    CHECK(HF_WAIT_UNTIL(all_read(A, 1), BOUND_MS));
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(all_read(A, 0), BOUND_MS));
    CHECK_INT_EQ(requests(), 2);
    CHECK_INT_EQ(sharing("own"), 0);
    end_sharing();
}

static void test_refusals_of_all(void)
{
    start_sharing("max_connections = 8\n");
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECT, 3), i < 2 ? 3 : i == 2 ? 2 : 0);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 8);
    CHECK_INT_EQ(hf_test_status_total(plugin, "rejected"), 4);
    CHECK_INT_EQ(tell(0, DISCONNECT, 0), 5);
    CHECK_INT_EQ(tell(3, CONNECT, 3), 3);
    end_sharing();
}

static void test_off(void)
{
    start_service();
    start_cache("%s", "");
    CHECK_INT_EQ(sharing("processes"), HF_TEST_NO_VALUE);
    stop_all();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C90 four children, one host: one request, and all see its result", test_one_request},
        {"C90 200 connections at once in each of four: one request", test_one_request_at_once},
        {"C90 a refresh is one request for all", test_one_refresh},
        {"C90 C63 a failing service sees one backoff, not four", test_one_backoff},
        {"C90 C11 linger = 0: the last release of all ends the entry", test_last_release},
        {"C90 C07 the handle of another process is read, and released by nobody else",
            test_inherited_handle},
        {"C90 C84 a reload in one process holds for all", test_reload},
        {"C90 C84 a reload where it is refreshed: the refreshing goes on",
            test_reload_of_the_refresher},
        {"C90 C84 a reload that makes other requests drops ETags", test_reload_drops_etags},
        {"C90 C84 share needs a restart", test_restart_needed},
        {"C90 refresh() in a process without connections reaches the one that refreshes",
            test_refresh},
        {"C90 C15 a full table, and refusals, are those of all", test_refusals_of_all},
        {"C90 share = off: nothing is said of sharing", test_off},
    };
    return run_tests("sharing", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * status(HF_STATUS_JSON): its members are those that host_api.h names, and its numbers are right
 * after a known history. test_status_calls.c has the rest of status.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/tmpdir.h"

#include <json-c/json.h>

/* ---- reading it ---- */

/* For the caller to put; an empty object when it is not strict JSON, which fails the test. */
static struct json_object *read_status(void)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *root;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    root = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
    if (!CHECK(root && json_tokener_get_error(tokener) == json_tokener_success))
        root = json_object_new_object();
    json_tokener_free(tokener);
    free(text);
    return root;
}

/* A number in an object within the document. */
static int64_t number_in(const char *object, const char *member)
{
    struct json_object *root = read_status(), *inner = json_object_object_get(root, object);
    struct json_object *value = inner ? json_object_object_get(inner, member) : NULL;
    int64_t number = value ? json_object_get_int64(value) : -1;

    json_object_put(root);
    return number;
}

static int64_t total(const char *member)
{
    return hf_test_status_total(plugin, member);
}

/* ---- its members ---- */

struct member_row {
    const char *name;
    enum json_type type;
};

static const struct member_row top_members[] = {{"version", json_type_string},
    {"enabled", json_type_boolean}, {"hosts", json_type_array}, {"connections", json_type_int},
    {"max_connections", json_type_int}, {"max_hosts", json_type_int}, {"host_slots", json_type_int},
    {"in_flight", json_type_int}, {"rejected", json_type_int}, {"rejected_for", json_type_object},
    {"evictions", json_type_int}, {"requests_by_outcome", json_type_object},
    {"not_modified", json_type_int}, {"published", json_type_object}};

static const struct member_row host_members[] = {{"scheme", json_type_string},
    {"host", json_type_string}, {"port", json_type_int}, {"org_id", json_type_string},
    {"references", json_type_int}, {"state", json_type_string}, {"age_ms", json_type_int},
    {"ttl_ms", json_type_int}, {"next_refresh_ms", json_type_int},
    {"retry_after_ms", json_type_int}, {"requests", json_type_int}, {"not_modified", json_type_int},
    {"failures", json_type_int}, {"failures_in_a_row", json_type_int},
    {"last_error", json_type_string}, {"http_status", json_type_int},
    {"last_message", json_type_string}, {"flags", json_type_object}};

static const struct member_row flag_members[] = {
    {"enabled", json_type_boolean}, {"reason", json_type_string}};

static const char *const outcomes[] = {"ok", "dns", "connect", "tls", "timeout", "http", "parse",
    "too_large", "token", "refused", "other"};
static const char *const reasons[] = {"default", "static", "stale", "override", "disabled"};
static const char *const refusals[] = {
    "table", "name", "not_allowed", "hosts_full", "connections_full", "not_sharing"};

/* These members with these types, and no others. */
static void check_members(struct json_object *object, const struct member_row *rows, size_t count)
{
    CHECK_INT_EQ(json_object_object_length(object), count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *value = NULL;

        if (!json_object_object_get_ex(object, rows[i].name, &value) ||
            json_object_get_type(value) != rows[i].type)
            CHECK_STR_EQ(rows[i].name, "a member of that type");
    }
}

static void check_counts(
    struct json_object *root, const char *name, const char *const *words, size_t count)
{
    struct member_row rows[16];

    for (size_t i = 0; i < count; i++)
        rows[i] = (struct member_row){words[i], json_type_int};
    check_members(json_object_object_get(root, name), rows, count);
}

static void check_host(struct json_object *host)
{
    check_members(host, host_members, COUNT(host_members));
    json_object_object_foreach(json_object_object_get(host, "flags"), name, flag)
    {
        CHECK(strcmp(name, "a") == 0 || strcmp(name, "b") == 0);
        check_members(flag, flag_members, COUNT(flag_members));
    }
    CHECK_INT_EQ(json_object_object_length(json_object_object_get(host, "flags")), 2);
}

/* Hosts in every state of knowledge: the members are the same. */
static void test_members(void)
{
    struct json_object *root, *hosts;
    hf_conn good, bad;

    start_service();
    start_cache("%s", "");
    root = read_status();
    check_members(root, top_members, COUNT(top_members));
    json_object_put(root);

    good = connect_service();
    bad = hf_test_connect_to(plugin, "https://127.0.0.1:1", 0, "123");
    hf_test_connect(plugin, "https://[::1]:1");
    CHECK(HF_WAIT_UNTIL(is_known(good) && has_failed(bad), BOUND_MS));
    root = read_status();
    check_members(root, top_members, COUNT(top_members));
    check_counts(root, "rejected_for", refusals, COUNT(refusals));
    check_counts(root, "requests_by_outcome", outcomes, COUNT(outcomes));
    check_counts(root, "published", reasons, COUNT(reasons));
    hosts = json_object_object_get(root, "hosts");
    CHECK_INT_EQ(json_object_array_length(hosts), 3);
    for (size_t i = 0; i < json_object_array_length(hosts); i++)
        check_host(json_object_array_get_idx(hosts, i));
    CHECK_STR_EQ(json_object_get_string(json_object_object_get(root, "version")), HF_VERSION);
    CHECK_STR_EQ(json_object_get_string(json_object_object_get(root, "version")), plugin->version);
    json_object_put(root);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", 1, "org_id", "123"));
    CHECK(hf_test_status_is(plugin, "127.0.0.1", 1, "scheme", "https"));
    CHECK(hf_test_status_is(plugin, "127.0.0.1", hf_flag_service_port(service), "scheme", "http"));
    CHECK(hf_test_status_has(plugin, "::1", 1));
    stop_all();
}

static bool is_named(const struct member_row *rows, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
            return true;
    }
    return false;
}

/* The tables above against the comment in host_api.h, in both directions. */
static void test_description(void)
{
    char *header = hf_tmpdir_read("host_api.h"), *text, *end;
    size_t words = 0;

    if (!CHECK(header != NULL))
        return;
    text = strstr(header, "JSON: \"version\"");
    end = text ? strstr(text, "Prometheus: ") : NULL;
    if (CHECK(end != NULL)) {
        *end = '\0';
        for (char *open = strchr(text, '"'); open; open = strchr(open, '"'), words++) {
            size_t length = strcspn(++open, "\"");

            CHECK(is_named(top_members, COUNT(top_members), open, length) ||
                is_named(host_members, COUNT(host_members), open, length) ||
                is_named(flag_members, COUNT(flag_members), open, length));
            open += length + 1;
        }
        CHECK_INT_EQ(words, COUNT(top_members) + COUNT(host_members) + COUNT(flag_members));
    }
    free(header);
}

/* ---- a known history ---- */

static struct hf_flag_service *start_on(unsigned status)
{
    struct hf_flag_service *started = hf_flag_service_start(NULL);

    hf_flag_service_set_flag(started, "a", true);
    hf_flag_service_set_flag(started, "b", false);
    hf_flag_service_set_headers(started, "ETag: \"1\"");
    hf_flag_service_set_status(started, status);
    return started;
}

/* Three hosts fill the table, six connections the other. Each refusal's reason has its number. */
static void refuse_all(const char *held)
{
    struct hf_upstream wrong = {.hdr = {.magic = 1}, .host = "127.0.0.1"};
    hf_conn extra[2];

    CHECK(plugin->on_connect(NULL) == HF_NO_CONN);
    CHECK(plugin->on_connect(&wrong) == HF_NO_CONN);
    for (int i = 0; i < 3; i++)
        CHECK(hf_test_connect(plugin, "two words") == HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "elsewhere.example") == HF_NO_CONN);
    for (int i = 0; i < 4; i++)
        CHECK(hf_test_connect(plugin, "127.0.0.1:1") == HF_NO_CONN);
    for (int i = 0; i < 2; i++)
        CHECK((extra[i] = hf_test_connect(plugin, held)) != HF_NO_CONN);
    for (int i = 0; i < 5; i++)
        CHECK(hf_test_connect(plugin, held) == HF_NO_CONN);
    CHECK_INT_EQ(total("connections"), 6);
    for (int i = 0; i < 2; i++)
        plugin->on_disconnect(extra[i]);
}

static void check_refusals(void)
{
    CHECK_INT_EQ(number_in("rejected_for", "table"), 2);
    CHECK_INT_EQ(number_in("rejected_for", "name"), 3);
    CHECK_INT_EQ(number_in("rejected_for", "not_allowed"), 1);
    CHECK_INT_EQ(number_in("rejected_for", "hosts_full"), 4);
    CHECK_INT_EQ(number_in("rejected_for", "connections_full"), 5);
    CHECK_INT_EQ(total("rejected"), 15);
}

static void check_good_host(uint16_t port)
{
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "references"), 2);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "state", "fresh"));
    CHECK_INT_BETWEEN(hf_test_status_int(plugin, "127.0.0.1", port, "age_ms"), 0, 600000);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "ttl_ms"), 700000);
    CHECK_INT_BETWEEN(hf_test_status_int(plugin, "127.0.0.1", port, "next_refresh_ms"), 1, 665000);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "retry_after_ms"), 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "requests"), 2);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "not_modified"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "failures"), 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "failures_in_a_row"), 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "http_status"), 304);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "last_error", "ok"));
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "last_message", ""));
    CHECK_INT_EQ(hf_test_status_flag(plugin, "127.0.0.1", port, "a"), 1);
    CHECK(hf_test_status_reason_is(plugin, "127.0.0.1", port, "a", "static"));
    CHECK_INT_EQ(hf_test_status_flag(plugin, "127.0.0.1", port, "b"), 1);
    CHECK(hf_test_status_reason_is(plugin, "127.0.0.1", port, "b", "override"));
}

static void check_failing_host(uint16_t port)
{
    char *message = hf_test_status_string(plugin, "127.0.0.1", port, "last_message");

    CHECK_STR_CONTAINS(message, "404: ");
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "state", "unknown"));
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "age_ms"), -1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "ttl_ms"), -1);
    CHECK(hf_test_status_int(plugin, "127.0.0.1", port, "next_refresh_ms") > 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "requests"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "failures"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "failures_in_a_row"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "http_status"), 404);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "last_error", "http"));
    CHECK_INT_EQ(hf_test_status_flag(plugin, "127.0.0.1", port, "a"), 0);
    CHECK(hf_test_status_reason_is(plugin, "127.0.0.1", port, "a", "default"));
    free(message);
}

static void check_silent_host(uint16_t port)
{
    CHECK_INT_EQ(total("in_flight"), 1);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "state", "unknown"));
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "next_refresh_ms"), 0);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "requests"), 1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "http_status"), 0);
    CHECK(hf_test_status_is(plugin, "127.0.0.1", port, "last_error", "ok"));
}

/* Counted so far: requests by how they ended, and what each decided, with flag b overridden. */
static void check_sums(int64_t ok, int64_t http, int64_t evictions)
{
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        int64_t expected = strcmp(outcomes[i], "ok") == 0 ? ok
            : strcmp(outcomes[i], "http") == 0            ? http
                                                          : 0;
        CHECK_INT_EQ(number_in("requests_by_outcome", outcomes[i]), expected);
    }
    CHECK_INT_EQ(number_in("published", "static"), ok);
    CHECK_INT_EQ(number_in("published", "default"), http);
    CHECK_INT_EQ(number_in("published", "override"), ok + http);
    CHECK_INT_EQ(number_in("published", "stale"), 0);
    CHECK_INT_EQ(number_in("published", "disabled"), 0);
    CHECK_INT_EQ(total("not_modified"), 1);
    CHECK_INT_EQ(total("evictions"), evictions);
    CHECK_INT_EQ(total("host_slots"), 3);
    CHECK_INT_EQ(total("hosts"), 3);
    CHECK_INT_EQ(total("max_hosts"), 3);
    CHECK_INT_EQ(total("max_connections"), 6);
}

static void test_history(void)
{
    struct hf_flag_service *good = start_on(200), *failing = start_on(404), *next = start_on(200);
    struct gate silent = gate_open();
    hf_conn conns[5];
    int fd;

    hf_flag_service_set_ttl(good, "700");
    start_cache("max_hosts = 3\nmax_connections = 6\noverrides = b=on\nallowed_hosts = 127.0.0.1\n"
                "request_timeout = 5min\n");
    for (size_t i = 0; i < 2; i++)
        conns[i] = hf_test_connect(plugin, hf_flag_service_url(good));
    conns[2] = hf_test_connect(plugin, hf_flag_service_url(failing));
    conns[3] = hf_test_connect(plugin, silent.url);
    fd = gate_take(&silent);
    CHECK(HF_WAIT_UNTIL(is_known(conns[0]) && has_failed(conns[2]), BOUND_MS));
    hf_flag_service_set_status(good, 304);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(hf_flag_service_url(good)) == HF_OK, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(total("not_modified") == 1, BOUND_MS));
    CHECK_INT_EQ(total("connections"), 4);
    refuse_all(hf_flag_service_url(good));
    CHECK_INT_EQ(total("connections"), 4);
    check_refusals();
    check_good_host(hf_flag_service_port(good));
    check_failing_host(hf_flag_service_port(failing));
    check_silent_host(gate_port(&silent));
    check_sums(2, 1, 0);

    plugin->on_disconnect(conns[2]); /* idle, it makes room for another */
    conns[4] = hf_test_connect(plugin, hf_flag_service_url(next));
    CHECK(HF_WAIT_UNTIL(is_known(conns[4]), BOUND_MS));
    gate_answer(fd, "{\"flags\":{\"a\":true,\"b\":true}}");
    CHECK(HF_WAIT_UNTIL(is_known(conns[3]), BOUND_MS));
    CHECK_INT_EQ(total("in_flight"), 0);
    CHECK(!hf_test_status_has(plugin, "127.0.0.1", hf_flag_service_port(failing)));
    check_refusals();
    check_sums(4, 1, 1);
    plugin->fini();
    hf_flag_service_stop(good);
    hf_flag_service_stop(failing);
    hf_flag_service_stop(next);
    gate_close(&silent);
}

/* The counts of a life end with it. */
static void test_counts_end(void)
{
    start_service();
    start_cache("%s", "");
    CHECK(HF_WAIT_UNTIL(is_known(connect_service()), BOUND_MS));
    CHECK(plugin->on_connect(NULL) == HF_NO_CONN);
    CHECK_INT_EQ(number_in("requests_by_outcome", "ok"), 1);
    plugin->fini();
    start_cache("enabled = off\n");
    CHECK_INT_EQ(total("enabled"), 0);
    CHECK_INT_EQ(total("hosts"), 0);
    CHECK_INT_EQ(total("rejected"), 0);
    CHECK_INT_EQ(total("host_slots"), 0);
    CHECK_INT_EQ(number_in("rejected_for", "table"), 0);
    CHECK_INT_EQ(number_in("requests_by_outcome", "ok"), 0);
    CHECK_INT_EQ(number_in("published", "static"), 0);
    stop_all();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C86 the status JSON has these members with these types, and no others", test_members},
        {"C86 these members are those that host_api.h describes", test_description},
        {"C15 C16 C34 C71 its numbers after a known history", test_history},
        {"C76 its numbers begin anew with init", test_counts_end},
    };

    return run_tests("status", tests, COUNT(tests), argc, argv);
}

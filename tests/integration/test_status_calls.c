/* SPDX-License-Identifier: PostgreSQL
 *
 * status as a function: buffers of any size, formats that are none, many callers at once; and
 * explain after each way in which a request may end.
 */
#include "tests/integration/cache_fixture.h"

#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- buffers ---- */

#define UNTOUCHED 0x5a

static void check_cut(int32_t format, const char *whole, size_t size)
{
    size_t length = strlen(whole), kept = size == 0 ? 0 : size - 1 < length ? size - 1 : length;
    char *buffer = malloc(length + 64);

    memset(buffer, UNTOUCHED, length + 64);
    CHECK_INT_EQ(plugin->status(format, buffer, size), length);
    CHECK(memcmp(buffer, whole, kept) == 0);
    if (size > 0)
        CHECK_INT_EQ(buffer[kept], '\0');
    for (size_t i = size == 0 ? 0 : kept + 1; i < length + 64; i++) {
        if (buffer[i] != UNTOUCHED && !CHECK_INT_EQ(i, size))
            break;
    }
    free(buffer);
}

/* All flags are overridden, so that nothing in the text depends on time. */
static void test_sizes(void)
{
    start_cache("overrides = a=on, b=off\n");
    hf_test_connect_to(plugin, "one.example", 0, "17");
    hf_test_connect(plugin, "https://[::1]:8443");
    for (int32_t format = HF_STATUS_JSON; format <= HF_STATUS_PROMETHEUS; format++) {
        char *whole = hf_test_status(plugin, format);
        size_t length = strlen(whole);

        CHECK(length > 500);
        CHECK_INT_EQ(plugin->status(format, NULL, 0), length);
        CHECK_INT_EQ(plugin->status(format, NULL, 100), length);
        for (size_t size = 0; size < 10; size++)
            check_cut(format, whole, size);
        for (size_t size = length - 2; size <= length + 2; size++)
            check_cut(format, whole, size);
        free(whole);
    }
    plugin->fini();
}

static void check_nothing(int32_t format)
{
    char buffer[8] = "before";

    CHECK_INT_EQ(plugin->status(format, NULL, 0), 0);
    CHECK_INT_EQ(plugin->status(format, buffer, 0), 0);
    CHECK_STR_EQ(buffer, "before");
    CHECK_INT_EQ(plugin->status(format, buffer, sizeof(buffer)), 0);
    CHECK_STR_EQ(buffer, "");
}

static void test_nothing_to_say(void)
{
    check_nothing(HF_STATUS_JSON);
    start_cache("%s", "");
    check_nothing(-1);
    check_nothing(2);
    check_nothing(INT32_MAX);
    check_nothing(INT32_MIN);
    plugin->fini();
    check_nothing(HF_STATUS_JSON);
    check_nothing(HF_STATUS_PROMETHEUS);
}

/* ---- many callers ---- */

enum { CALLERS = 4, CHANGES = 200, LOOKS_BETWEEN = 4 };

struct crowd {
    atomic_bool over;
    atomic_uint_fast64_t looks;
};

/* Valid, and of one piece: the sum of the references is the number of connections. */
static bool is_sound(const char *text)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *root, *hosts;
    int64_t references = 0;
    bool sound;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    root = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
    sound = root && json_object_object_get_ex(root, "hosts", &hosts);
    for (size_t i = 0; sound && i < json_object_array_length(hosts); i++)
        references += json_object_get_int64(
            json_object_object_get(json_object_array_get_idx(hosts, i), "references"));
    sound =
        sound && json_object_get_int64(json_object_object_get(root, "connections")) == references;
    json_object_put(root);
    json_tokener_free(tokener);
    return sound;
}

static void *look(void *arg)
{
    struct crowd *crowd = arg;

    while (!atomic_load(&crowd->over)) {
        char *json = hf_test_status(plugin, HF_STATUS_JSON);
        char *metrics = hf_test_status(plugin, HF_STATUS_PROMETHEUS);

        hf_thread_check(is_sound(json));
        hf_thread_check(strncmp(metrics, "# HELP ", 7) == 0);
        hf_thread_check(metrics[strlen(metrics) - 1] == '\n');
        free(json);
        free(metrics);
        atomic_fetch_add(&crowd->looks, 1);
    }
    return NULL;
}

/* Hosts come and go, answers change, settings are reloaded. */
static void change(size_t i, hf_conn *held, size_t count)
{
    hf_conn *conn = &held[i % count];
    char org_id[16];

    snprintf(org_id, sizeof(org_id), "%zu", i);
    plugin->on_disconnect(*conn);
    *conn = hf_test_connect_to(plugin, hf_flag_service_url(service), 0, i % 3 ? org_id : NULL);
    hf_flag_service_set_status(service, i % 5 ? 200 : 500);
    if (i % 10 == 0)
        CHECK_INT_EQ(hf_test_reload(plugin,
                         "flags = a, b\nallow_http = loopback\nmax_hosts = 8\nlinger = %s\n",
                         i % 20 ? "0" : "1h"),
            HF_OK);
}

static void test_many_callers(void)
{
    struct crowd crowd = {.over = false};
    pthread_t threads[CALLERS];
    hf_conn held[6] = {HF_NO_CONN};

    start_service();
    start_cache("max_hosts = 8\n");
    for (size_t i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, look, &crowd);
    for (size_t i = 0; i < CHANGES; i++) {
        uint64_t goal = atomic_load(&crowd.looks) + LOOKS_BETWEEN;

        change(i, held, COUNT(held));
        CHECK(HF_WAIT_UNTIL(atomic_load(&crowd.looks) >= goal, BOUND_MS));
    }
    atomic_store(&crowd.over, true);
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), COUNT(held));
    stop_all();
}

/* ---- explain ---- */

#define LARGE "flag document that is larger than one kilobyte: "
#define LARGE_4 LARGE LARGE LARGE LARGE LARGE LARGE

static const struct ending {
    struct hf_flag_reply reply;
    const char *settings;
    int32_t last_error, http_status;
    int64_t next_min_ms, next_max_ms; /* with room for a slow machine */
} endings[] = {
    {{.status = 200}, "", HF_FETCH_OK, 200, 300000, 855000},
    {{.status = 401}, "", HF_FETCH_HTTP, 401, 600000, 990000},
    {{.status = 403}, "", HF_FETCH_HTTP, 403, 600000, 990000},
    {{.status = 404}, "", HF_FETCH_HTTP, 404, 600000, 990000},
    {{.status = 429, .headers = "Retry-After: 1800"}, "", HF_FETCH_HTTP, 429, 1000000, 2700000},
    {{.status = 503, .headers = "Retry-After: 1800"}, "", HF_FETCH_HTTP, 503, 1000000, 2700000},
    {{.status = 503}, "", HF_FETCH_HTTP, 503, 0, 20000},
    {{.status = 500, .headers = "Retry-After: 1800"}, "", HF_FETCH_HTTP, 500, 0, 20000},
    {{.status = 303, .headers = "Location: /login"}, "", HF_FETCH_HTTP, 303, 0, 20000},
    {{.body = "no", .body_len = 2}, "", HF_FETCH_PARSE, 200, 0, 20000},
    {{.body = LARGE_4 LARGE_4 LARGE_4 LARGE_4, .body_len = sizeof(LARGE_4) * 4 - 4},
        "max_response_size = 1kB\n", HF_FETCH_TOO_LARGE, 200, 0, 20000},
    {{.fault = HF_FAULT_RESET}, "", HF_FETCH_CONNECT, 0, 0, 20000},
    {{.fault = HF_FAULT_SILENCE}, "request_timeout = 200ms\n", HF_FETCH_TIMEOUT, 0, 0, 20000},
    {{.status = 200}, "token_file = /nowhere/{host}\n", HF_FETCH_TOKEN, 0, 0, 20000},
};

static void check_ending(const struct ending *row)
{
    struct hf_answer answer;
    hf_conn conn;

    start_service();
    hf_flag_service_set_reply(service, &row->reply);
    start_cache("%s", row->settings);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    answer = hf_test_explain(plugin, conn, A);
    CHECK_INT_EQ(answer.last_error, row->last_error);
    CHECK_INT_EQ(answer.http_status, row->http_status);
    CHECK_INT_BETWEEN(answer.next_refresh_ms, row->next_min_ms, row->next_max_ms);
    CHECK_INT_EQ(answer.enabled, row->last_error == HF_FETCH_OK);
    CHECK_INT_EQ(
        answer.reason, row->last_error == HF_FETCH_OK ? HF_REASON_STATIC : HF_REASON_DEFAULT);
    stop_all();
}

static void test_endings(void)
{
    for (size_t i = 0; i < COUNT(endings); i++)
        check_ending(&endings[i]);
}

/* A value, then a 304, then a failure: what explain says belongs to the latest request. */
static void test_sequence(void)
{
    const struct hf_flag_reply replies[] = {
        {.headers = "ETag: \"1\""}, {.status = 304}, {.status = 404}};
    static const int32_t statuses[] = {200, 304, 404};
    hf_conn conn;

    start_service();
    hf_flag_service_script(service, replies, COUNT(replies));
    start_cache("%s", "");
    conn = connect_service();
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct hf_answer answer;

        if (i > 0)
            CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS));
        CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, conn, A).http_status == statuses[i], BOUND_MS));
        answer = hf_test_explain(plugin, conn, A);
        CHECK_INT_EQ(answer.last_error, i < 2 ? HF_FETCH_OK : HF_FETCH_HTTP);
        CHECK_INT_EQ(answer.state, HF_STATE_FRESH);
        CHECK_INT_EQ(answer.enabled, 1);
        CHECK(answer.age_ms >= 0);
        CHECK(answer.next_refresh_ms > 0);
    }
    stop_all();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C87 status with no buffer and buffers of any size, like snprintf", test_sizes},
        {"C87 status of an unknown format, before init and after fini: 0", test_nothing_to_say},
        {"C57 many callers of status during changes: each text is whole", test_many_callers},
        {"C60 explain after each way in which a first request may end", test_endings},
        {"C59 C71 explain after a value, a 304 and a failure", test_sequence},
    };

    return run_tests("status_calls", tests, COUNT(tests), argc, argv);
}

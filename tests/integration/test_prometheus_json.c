/* SPDX-License-Identifier: PostgreSQL
 *
 * The metrics of hosts in all states: what promtool says of them, and their numbers against those
 * of the JSON, which test_status.c checks.
 */
#include "tests/integration/metrics_fixture.h"

#include <json-c/json.h>

/* ---- its numbers against those of the JSON ---- */

static struct json_object *hosts_of(struct json_object *root)
{
    return json_object_object_get(root, "hosts");
}

/* A number, or the sum of the numbers in an object. */
static int64_t number_of(struct json_object *value)
{
    int64_t sum = 0;

    if (!json_object_is_type(value, json_type_object))
        return json_object_get_int64(value);
    json_object_object_foreach(value, name, inner)
    {
        (void)name;
        sum += json_object_get_int64(inner);
    }
    return sum;
}

static int64_t json_sum(struct json_object *root, const struct metric_row *row)
{
    int64_t sum = 0;

    if (!row->of_host)
        return number_of(json_object_object_get(root, row->json));
    for (size_t i = 0; i < json_object_array_length(hosts_of(root)); i++)
        sum += number_of(
            json_object_object_get(json_object_array_get_idx(hosts_of(root), i), row->json));
    return sum;
}

static void check_equal(const char *text, const char *name, const char *label, int64_t expected)
{
    size_t count;

    if (!CHECK_INT_EQ(sum_of(text, name, label, &count), expected))
        fprintf(stderr, "%s %s\n", name, label);
}

/* For each word of an object there is a series with that label. */
static void check_words(struct json_object *root, const char *member, const char *text,
    const char *name, const char *label)
{
    char pair[64];

    json_object_object_foreach(json_object_object_get(root, member), word, value)
    {
        size_t count;

        snprintf(pair, sizeof(pair), "{%s=\"%s\"}", label, word);
        sum_of(text, name, pair, &count);
        CHECK_INT_EQ(count, 1);
        check_equal(text, name, pair, json_object_get_int64(value));
    }
}

/* How many hosts have that word in that member. */
static int64_t hosts_with(struct json_object *root, const char *member, const char *word)
{
    int64_t count = 0;

    for (size_t i = 0; i < json_object_array_length(hosts_of(root)); i++)
        count += strcmp(json_object_get_string(json_object_object_get(
                            json_object_array_get_idx(hosts_of(root), i), member)),
                     word) == 0;
    return count;
}

/* How many flags of all hosts are on; are answered for that reason. */
static int64_t flags_with(struct json_object *root, const char *reason)
{
    int64_t count = 0;

    for (size_t i = 0; i < json_object_array_length(hosts_of(root)); i++) {
        struct json_object *host = json_object_array_get_idx(hosts_of(root), i);

        json_object_object_foreach(json_object_object_get(host, "flags"), name, flag)
        {
            (void)name;
            count += reason ? strcmp(json_object_get_string(json_object_object_get(flag, "reason")),
                                  reason) == 0
                            : json_object_get_boolean(json_object_object_get(flag, "enabled"));
        }
    }
    return count;
}

static void check_derived(struct json_object *root, const char *text)
{
    static const char *const states[] = {"unknown", "fresh", "stale", "expired"};
    static const char *const reasons[] = {"default", "static", "stale", "override", "disabled"};
    static const char *const errors[] = {"ok", "http", "connect"};
    size_t hosts = json_object_array_length(hosts_of(root)), count;
    char label[64];

    for (size_t i = 0; i < COUNT(states); i++) {
        snprintf(label, sizeof(label), "state=\"%s\"", states[i]);
        check_equal(text, "hostflags_hosts", label, hosts_with(root, "state", states[i]));
        check_equal(text, "hostflags_host_state", label, hosts_with(root, "state", states[i]));
        sum_of(text, "hostflags_host_state", label, &count);
        CHECK_INT_EQ(count, hosts);
    }
    for (size_t i = 0; i < COUNT(reasons); i++) {
        snprintf(label, sizeof(label), "reason=\"%s\"", reasons[i]);
        check_equal(text, "hostflags_answers", label, flags_with(root, reasons[i]));
    }
    for (size_t i = 0; i < COUNT(errors); i++) {
        snprintf(label, sizeof(label), "error=\"%s\"", errors[i]);
        check_equal(
            text, "hostflags_host_last_error", label, hosts_with(root, "last_error", errors[i]));
    }
    check_equal(text, "hostflags_host_last_error", "", (int64_t)hosts);
    check_equal(text, "hostflags_flag_enabled", "", flags_with(root, NULL));
}

/* Only where nothing changes meanwhile. */
static void check_against_json(void)
{
    char *text = read_metrics(), *json = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_object *root = json_tokener_parse(json);

    for (size_t i = 0; i < COUNT(metric_rows); i++) {
        if (metric_rows[i].json)
            check_equal(text, metric_rows[i].name, "", json_sum(root, &metric_rows[i]));
    }
    check_words(root, "requests_by_outcome", text, "hostflags_requests_total", "outcome");
    check_words(root, "rejected_for", text, "hostflags_rejected_connections_total", "reason");
    check_words(root, "published", text, "hostflags_published_answers_total", "reason");
    check_derived(root, text);
    json_object_put(root);
    free(json);
    free(text);
}

/* ---- hosts in all states ---- */

struct world {
    struct hf_flag_service *fading, *fresh, *failing;
    hf_conn fading_conn, failing_conn;
};

static struct hf_flag_service *start_at(const char *address, const char *ttl, unsigned status)
{
    struct hf_flag_service_options options = {.address = address};
    struct hf_flag_service *started = hf_flag_service_start(&options);

    if (!started)
        abort();
    hf_flag_service_set_flag(started, "a", true);
    hf_flag_service_set_ttl(started, ttl);
    hf_flag_service_set_status(started, status);
    return started;
}

/* The fading one answers once; all that fails is left alone for 15 minutes. */
static void world_start(struct world *world)
{
    world->fading = start_at("127.0.0.1", "1", 404);
    world->fresh = start_at("127.0.0.1", "900", 200);
    world->failing = start_at("::1", NULL, 401);
    hf_flag_service_script(world->fading, &(struct hf_flag_reply){.status = 200}, 1);
    start_cache("ttl_min = 1s\noverrides = b=on\nallowed_hosts = 127.0.0.1, ::1\n");
    world->fading_conn = hf_test_connect(plugin, hf_flag_service_url(world->fading));
    world->failing_conn = hf_test_connect_to(plugin, hf_flag_service_url(world->failing), 0, "17");
    hf_test_connect(plugin, hf_flag_service_url(world->fresh));
    hf_test_connect_to(plugin, hf_flag_service_url(world->fresh), 0, "18446744073709551615");
    CHECK(hf_test_connect_to(
              plugin, hf_flag_service_url(world->fresh), 0, "18446744073709551615") != HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "elsewhere.example") == HF_NO_CONN);
    CHECK(hf_test_connect(plugin, "no name") == HF_NO_CONN);
    CHECK(HF_WAIT_UNTIL(has_failed(world->failing_conn), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(has_failed(world->fading_conn), BOUND_MS));
    CHECK(HF_WAIT_UNTIL(metric("hostflags_hosts", "state=\"fresh\"") == 2, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(is_stale(world->fading_conn), BOUND_MS));
}

static void world_stop(struct world *world)
{
    plugin->fini();
    hf_flag_service_stop(world->fading);
    hf_flag_service_stop(world->fresh);
    hf_flag_service_stop(world->failing);
}

/* A series of one host, by all of its labels. */
static int64_t metric_of(const char *name, const char *address, struct hf_flag_service *of,
    const char *org_id, const char *more)
{
    char label[256];

    snprintf(label, sizeof(label), "{scheme=\"http\",host=\"%s\",port=\"%u\",org_id=\"%s\"%s}",
        address, hf_flag_service_port(of), org_id, more);
    return metric(name, label);
}

static void check_one_host_each(struct world *world)
{
    CHECK_INT_EQ(metric_of("hostflags_host_references", "127.0.0.1", world->fresh, "", ""), 1);
    CHECK_INT_EQ(metric_of("hostflags_host_references", "127.0.0.1", world->fresh,
                     "18446744073709551615", ""),
        2);
    CHECK_INT_EQ(metric_of("hostflags_host_http_status", "::1", world->failing, "17", ""), 401);
    CHECK_INT_EQ(
        metric_of("hostflags_host_last_error", "::1", world->failing, "17", ",error=\"http\""), 1);
    CHECK_INT_EQ(metric_of("hostflags_host_failures_total", "::1", world->failing, "17", ""), 1);
    CHECK_INT_EQ(metric_of("hostflags_host_age_seconds", "::1", world->failing, "17", ""), -1);
    CHECK_INT_EQ(metric_of("hostflags_host_ttl_seconds", "127.0.0.1", world->fresh, "", ""), 900);
    CHECK_INT_EQ(
        metric_of("hostflags_flag_enabled", "127.0.0.1", world->fresh, "", ",flag=\"a\""), 1);
    CHECK_INT_EQ(
        metric_of("hostflags_flag_enabled", "::1", world->failing, "17", ",flag=\"a\""), 0);
    CHECK_INT_EQ(
        metric_of("hostflags_flag_enabled", "::1", world->failing, "17", ",flag=\"b\""), 1);
    CHECK_INT_EQ(
        metric_of("hostflags_host_state", "127.0.0.1", world->fading, "", ",state=\"stale\""), 1);
}

/* The age is that of a moment between two looks at the JSON. */
static void check_age(struct world *world)
{
    uint16_t port = hf_flag_service_port(world->fading);
    int64_t before = hf_test_status_int(plugin, "127.0.0.1", port, "age_ms");
    char *text = read_metrics(), label[64];
    int64_t after = hf_test_status_int(plugin, "127.0.0.1", port, "age_ms");
    size_t count;
    double seconds;

    snprintf(label, sizeof(label), "port=\"%u\"", port);
    seconds = sum_of(text, "hostflags_host_age_seconds", label, &count);
    CHECK_INT_EQ(count, 1);
    CHECK_INT_BETWEEN(seconds * 1000 + 0.5, before, after);
    free(text);
}

static void test_states(void)
{
    struct world world;

    SKIP_WITHOUT_PROMTOOL();
    world_start(&world);
    check_text();
    check_against_json();
    check_one_host_each(&world);
    check_age(&world);
    CHECK_INT_EQ(metric("hostflags_hosts", ""), 4);
    CHECK_INT_EQ(metric("hostflags_hosts", "state=\"stale\""), 1);
    /* Past what max_stale will be: then the reload itself is what makes it expire. */
    CHECK(HF_WAIT_UNTIL(hf_test_explain(plugin, world.fading_conn, A).age_ms > 1100, BOUND_MS));
    CHECK_INT_EQ(hf_test_reload(plugin,
                     "flags = a, b\nallow_http = loopback\nttl_min = 1s\noverrides = b=on\n"
                     "allowed_hosts = 127.0.0.1, ::1\nmax_stale = 100ms\n"),
        HF_OK);
    CHECK(HF_WAIT_UNTIL(metric("hostflags_hosts", "state=\"expired\"") == 1, BOUND_MS));
    check_text();
    check_against_json();
    CHECK_INT_EQ(hf_test_reload(plugin,
                     "flags = a, b\nallow_http = loopback\nttl_min = 1s\noverrides = b=on\n"
                     "allowed_hosts = 127.0.0.1, ::1\nenabled = off\n"),
        HF_OK);
    CHECK_INT_EQ(metric("hostflags_answers", "reason=\"disabled\""), 4);
    check_text();
    check_against_json();
    world_stop(&world);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"metrics of hosts in all states: promtool's opinion, and the JSON's numbers", test_states},
    };

    return run_tests("prometheus_json", tests, COUNT(tests), argc, argv);
}

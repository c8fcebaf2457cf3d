/* SPDX-License-Identifier: PostgreSQL
 *
 * The fault matrix: each failure of C59 and C68, met by a host of which nothing is known (cold),
 * whose values are within their TTL (fresh), and whose values are past it (stale), over http and
 * https. Each cell is a host of its own; all of them live in one life of the plugin, side by side:
 *
 *     1. the hosts of fresh and stale cells work, and their values are known
 *     2. enabled = off: no request is made, none is under way while everything breaks
 *     3. the values of stale cells grow older than their TTL, of 2 s
 *     4. enabled = on: stale hosts are due, cold ones are connected to, fresh ones get a refresh()
 *     5. each request fails, as its row says; and each host is asked again when its backoff is
 *        over, and fails again
 *
 * The matrix is printed at the end, with ! where something was wrong; the tests then say what. A
 * cell that is impossible on this machine is printed as such, with the reason, and the rest of its
 * test stands; a test of which no cell is possible is skipped.
 */
#include <json-c/json.h>

#include "tests/integration/fault_report.h"

#define CONNECT_MS 1500
#define REQUEST_MS 2500
#define RESOLVER_MS 8000 /* the resolver gives up by itself after 10 s, and that is another error */
#define SWEEP_MS 20
#define NOT_SOON_MS 60000 /* longer than this test */

static int64_t swept_ms, previous_ms; /* when status() was read the last two times */
static size_t open_cells; /* of which something is still awaited */

/* ---- status() ---- */

/* Borrowed from root; NULL: no such host. */
static struct json_object *host_in(struct json_object *root, const struct cell *cell)
{
    struct json_object *hosts = json_object_object_get(root, "hosts");
    const char *scheme = names_of_schemes[cell->scheme];

    for (size_t i = 0; i < json_object_array_length(hosts); i++) {
        struct json_object *host = json_object_array_get_idx(hosts, i);
        if (json_object_get_int(json_object_object_get(host, "port")) == cell->port &&
            strcmp(json_object_get_string(json_object_object_get(host, "scheme")), scheme) == 0)
            return host;
    }
    return NULL;
}

static int64_t number(struct json_object *host, const char *name)
{
    return json_object_get_int64(json_object_object_get(host, name));
}

/* For the caller to put. */
static struct json_object *read_status(void)
{
    char *text = hf_test_status(plugin, HF_STATUS_JSON);
    struct json_object *root = json_tokener_parse(text);

    if (!root)
        abort();
    free(text);
    return root;
}

/* Calls act for each cell that is possible. */
static void for_each(void (*act)(struct cell *cell, struct json_object *root))
{
    struct json_object *root = read_status();

    for (size_t i = 0; i < CELLS; i++) {
        if (!cell_number(i)->impossible)
            act(cell_number(i), root);
    }
    json_object_put(root);
}

/* ---- before the failure ---- */

static int64_t connect_ms(void)
{
    int64_t slow_ms = hf_wait_slow_ms(CONNECT_MS);

    return slow_ms < RESOLVER_MS ? slow_ms : RESOLVER_MS;
}

static int64_t request_ms(void)
{
    return connect_ms() + hf_wait_slow_ms(REQUEST_MS - CONNECT_MS);
}

#define SETTINGS \
    "flags = a, b\ndefaults = b=on\nallow_http = any\nttl_min = 100ms\nmax_in_flight = 256\n" \
    "ca_file = %s\nconnect_timeout = %lldms\nrequest_timeout = %lldms\nenabled = %s\n"

static void switch_to(const char *enabled)
{
    CHECK_INT_EQ(hf_test_reload(plugin, SETTINGS, hf_certs_ca_file(certs), (long long)connect_ms(),
                     (long long)request_ms(), enabled),
        HF_OK);
}

static void plan_cells(void)
{
    for (size_t row = 0; row < COUNT(faults); row++) {
        for (int column = 0; column < COLUMNS; column++) {
            struct cell *cell = &cells[row][column];
            cell->fault = &faults[row];
            cell->scheme = (enum scheme)(column / AGES);
            cell->age = (enum age)(column % AGES);
            if (cell->fault->https_only && cell->scheme == HTTP)
                cell->impossible = no_such_thing;
            else if (cell->fault->how == NAME)
                cell->impossible = no_names;
        }
    }
}

static void start_cell(struct cell *cell, struct json_object *root)
{
    (void)root;
    start_working(cell);
    if (cell->age != COLD)
        cell->conn = hf_test_connect(plugin, cell->url);
}

static void await_values(struct cell *cell, struct json_object *root)
{
    (void)root;
    if (cell->age != COLD)
        CHECK(HF_WAIT_UNTIL(
            plugin->is_enabled(cell->conn, A) == 1 && plugin->is_enabled(cell->conn, B) == 0,
            BOUND_MS));
}

static void break_cell(struct cell *cell, struct json_object *root)
{
    struct json_object *host = host_in(root, cell);

    cell->requests_before = host ? number(host, "requests") : 0;
    break_host(cell);
    if (!cell->impossible && server_sees(cell))
        cell->seen_before = seen_by_server(cell);
}

static void await_old_age(struct cell *cell, struct json_object *root)
{
    (void)root;
    if (cell->age == OLD)
        CHECK(HF_WAIT_UNTIL(is_stale(cell->conn), BOUND_MS));
}

/* ---- the failure ---- */

static void ask(struct cell *cell, struct json_object *root)
{
    (void)root;
    if (cell->age == OLD) /* is due, and has been asked as soon as that was possible */
        return;
    cell->began_ms = hf_wait_now_ms();
    if (cell->age == COLD)
        cell->conn = hf_test_connect(plugin, cell->url);
    else
        CHECK(HF_WAIT_UNTIL(plugin->refresh(cell->url) == HF_OK, BOUND_MS));
}

static void check_answer(struct cell *cell, uint32_t flag, const struct hf_answer *answer)
{
    const struct expected *good = &expected[cell->age];

    expect(cell, "is_enabled", plugin->is_enabled(cell->conn, flag), flag == A ? good->a : good->b);
    expect(cell, "enabled", answer->enabled, flag == A ? good->a : good->b);
    expect(cell, "reason", answer->reason, good->reason);
    expect(cell, "state", answer->state, good->state);
    expect(cell, "last_error", answer->last_error, cell->fault->last_error);
    expect(cell, "http_status", answer->http_status, cell->fault->http_status);
    if (cell->age == COLD)
        expect(cell, "age_ms", answer->age_ms, -1);
}

/* Each request since the host broke has failed and is counted, but for one that is under way. */
static void check_counts(struct cell *cell, struct json_object *host)
{
    int64_t asked = number(host, "requests") - cell->requests_before;
    int64_t under_way = number(host, "next_refresh_ms") == 0;

    expect(cell, "failures", number(host, "failures"), asked - under_way);
    expect(cell, "failures_in_a_row", number(host, "failures_in_a_row"), asked - under_way);
    if (cell->fault->how == REPLY || cell->fault->how == MUTE)
        expect_between(cell, "requests at the server", (int64_t)cell->seen_at_failure,
            asked - under_way, asked);
}

static void check_time(struct cell *cell)
{
    int64_t took_ms = hf_wait_now_ms() - cell->began_ms;

    switch (cell->fault->takes) {
    case AT_ONCE:
        break;
    case CONNECT_TIMEOUT:
        expect_between(cell, "the time until it failed", took_ms, connect_ms(), INT64_MAX);
        break;
    case REQUEST_TIMEOUT:
        expect_between(cell, "the time until it failed", took_ms, request_ms(), INT64_MAX);
        break;
    }
}

static const char *word_of_reason(int32_t reason)
{
    for (int age = 0; age < AGES; age++) {
        if (expected[age].reason == reason)
            return expected[age].word;
    }
    return "?";
}

/* It has failed since status() was read the last time but one. */
static void check_failure(struct cell *cell, struct json_object *host)
{
    const char *word = json_object_get_string(json_object_object_get(host, "last_error"));
    int64_t now = hf_wait_now_ms(), late_ms;
    struct hf_answer a = hf_test_explain(plugin, cell->conn, A);
    struct hf_answer b = hf_test_explain(plugin, cell->conn, B);

    late_ms = hf_wait_now_ms() - previous_ms;
    cell->has_failed = true;
    cell->planned_ms = now + a.next_refresh_ms;
    snprintf(cell->shown, sizeof(cell->shown), "%s %s", word_of_reason(a.reason), word);
    check_answer(cell, A, &a);
    check_answer(cell, B, &b);
    if (strcmp(word, cell->fault->word) != 0)
        note(cell->wrong, sizeof(cell->wrong), "status() says %s, should say %s", word,
            cell->fault->word);
    check_counts(cell, host);
    check_time(cell);
    expect_between(cell, "next_refresh_ms", a.next_refresh_ms, cell->fault->wait_least_ms - late_ms,
        cell->fault->wait_most_ms);
}

/* ---- the next request ---- */

static size_t asked_so_far(struct cell *cell, struct json_object *host)
{
    if (server_sees(cell))
        return seen_by_server(cell) - cell->seen_before;
    return (size_t)(number(host, "requests") - cell->requests_before);
}

static void look_for_next(struct cell *cell, struct json_object *host)
{
    int64_t now;

    cell->is_asked_again = asked_so_far(cell, host) > cell->seen_at_failure;
    now = hf_wait_now_ms();
    if (!cell->is_asked_again)
        return;
    if (now < cell->planned_ms)
        note(cell->too_soon, sizeof(cell->too_soon), "asked %lld ms before its backoff was over",
            (long long)(cell->planned_ms - now));
}

/* What the second request brought is applied once its failure is counted. */
static void look_for_second_failure(struct cell *cell, struct json_object *host)
{
    const struct expected *good = &expected[cell->age];

    cell->has_failed_again = number(host, "failures") > cell->failures;
    if (!cell->has_failed_again)
        return;
    expect(cell, "a after the second failure", plugin->is_enabled(cell->conn, A), good->a);
    expect(cell, "b after the second failure", plugin->is_enabled(cell->conn, B), good->b);
}

static void sweep_cell(struct cell *cell, struct json_object *root)
{
    struct json_object *host = host_in(root, cell);
    bool is_soon = cell->fault->wait_least_ms < NOT_SOON_MS;

    if (!host) {
        note(cell->wrong, sizeof(cell->wrong), "status() does not show it");
        return;
    }
    if (cell->is_asked_again && !cell->has_failed_again) {
        look_for_second_failure(cell, host);
    } else if (cell->has_failed && !cell->is_asked_again) {
        look_for_next(cell, host);
    } else if (!cell->has_failed && number(host, "failures") > 0) {
        cell->seen_at_failure = asked_so_far(cell, host);
        cell->failures = number(host, "failures");
        check_failure(cell, host);
    }
    open_cells += !cell->has_failed || (is_soon && !cell->has_failed_again);
}

/* True: every host has failed, and was asked again and failed again unless that is not soon. */
static bool sweep(void)
{
    if (hf_wait_now_ms() - swept_ms < SWEEP_MS)
        return false;
    previous_ms = swept_ms;
    swept_ms = hf_wait_now_ms();
    open_cells = 0;
    for_each(sweep_cell);
    return open_cells == 0;
}

static void close_cell(struct cell *cell, struct json_object *root)
{
    bool is_soon = cell->fault->wait_least_ms < NOT_SOON_MS;

    (void)root;
    if (!cell->has_failed)
        note(cell->wrong, sizeof(cell->wrong), "it did not fail");
    else if (is_soon && !cell->is_asked_again)
        note(cell->too_soon, sizeof(cell->too_soon), "not asked again after its backoff");
    else if (is_soon && !cell->has_failed_again)
        note(cell->wrong, sizeof(cell->wrong), "the second request did not fail");
}

static void run_life(void)
{
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS, hf_certs_ca_file(certs), (long long)connect_ms(),
                     (long long)request_ms(), "on"),
        HF_OK);
    for_each(start_cell);
    for_each(await_values);
    switch_to("off");
    for_each(break_cell);
    for_each(await_old_age);
    swept_ms = hf_wait_now_ms();
    for (size_t i = 0; i < CELLS; i++)
        cell_number(i)->began_ms = swept_ms;
    switch_to("on");
    for_each(ask);
    CHECK(HF_WAIT_UNTIL(sweep(), BOUND_MS));
    for_each(close_cell);
}

/* Once, whichever tests are chosen. */
static void run_matrix(void)
{
    static bool has_run;

    if (has_run)
        return;
    has_run = true;
    certs = hf_certs_create();
    if (!certs)
        abort();
    start_names();
    plan_cells();
    run_life();
    plugin->fini();
    for (size_t i = 0; i < CELLS; i++)
        stop_host(cell_number(i));
    hf_dns_server_stop(names);
    hf_certs_destroy(certs);
    print_matrix();
}

/* ---- the tests ---- */

static void check_group(enum group group)
{
    const char *impossible = NULL;
    size_t looked_at = 0;
    char text[320];

    run_matrix();
    for (size_t i = 0; i < CELLS; i++) {
        const struct cell *cell = cell_number(i);
        if (cell->fault->group != group || cell->impossible == no_such_thing)
            continue;
        if (cell->impossible) {
            impossible = cell->impossible;
            continue;
        }
        looked_at++;
        snprintf(text, sizeof(text), "%s, %s, %s: %s", cell->fault->name,
            names_of_schemes[cell->scheme], names_of_ages[cell->age], cell->wrong);
        if (cell->wrong[0] != '\0')
            CHECK_STR_EQ(text, "");
    }
    if (looked_at == 0)
        hf_test_skip(impossible);
}

static void test_status(void)
{
    check_group(BY_STATUS);
}

static void test_connection(void)
{
    check_group(BY_CONNECTION);
}

static void test_tls(void)
{
    check_group(BY_TLS);
}

static void test_name(void)
{
    check_group(BY_NAME);
}

static void test_queue(void)
{
    check_group(BY_QUEUE);
}

static void test_time(void)
{
    check_group(BY_TIME);
}

static void test_backoff(void)
{
    char text[192];

    run_matrix();
    for (size_t i = 0; i < CELLS; i++) {
        const struct cell *cell = cell_number(i);
        snprintf(text, sizeof(text), "%s, %s, %s: %s", cell->fault->name,
            names_of_schemes[cell->scheme], names_of_ages[cell->age], cell->too_soon);
        if (cell->too_soon[0] != '\0')
            CHECK_STR_EQ(text, "");
    }
}

static const struct hf_test tests[] = {
    {"C59 C60 C64 4xx and 5xx: cold, fresh and stale, http and https", test_status},
    {"C59 C60 refused, reset, closed: cold, fresh and stale, http and https", test_connection},
    {"C59 C60 bad TLS: cold, fresh and stale", test_tls},
    {"C59 C60 C68 DNS failures and a black hole: cold, fresh and stale, http and https", test_name},
    {"C59 C60 C68 a connection that is never made: cold, fresh and stale, http and https",
        test_queue},
    {"C59 C60 C68 no answer, or a byte a second: cold, fresh and stale, http and https", test_time},
    {"C62 C65 C66 each failed host is asked again, and not before its time", test_backoff},
};

/* Look-ups of names stay on this machine, whatever proxy the environment names. */
int main(int argc, char **argv)
{
    setenv("no_proxy", "*", 1);
    return run_tests("fault_matrix", tests, COUNT(tests), argc, argv);
}

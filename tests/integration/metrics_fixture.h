/* SPDX-License-Identifier: PostgreSQL
 *
 * metrics_fixture.h: reading status(HF_STATUS_PROMETHEUS), the table of its metrics, and promtool.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_METRICS_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_METRICS_FIXTURE_H

#include "tests/integration/cache_fixture.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"

/* ---- reading it ---- */

FIXTURE char *read_metrics(void)
{
    return hf_test_status(plugin, HF_STATUS_PROMETHEUS);
}

/* The sum of the metric's series whose labels contain the text ("": all); how many: *count. */
FIXTURE double sum_of(const char *text, const char *metric, const char *label, size_t *count)
{
    size_t length = strlen(metric);
    double sum = 0;

    *count = 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *labels = (line += *line == '\n') + length, *end;

        if (strncmp(line, metric, length) != 0 || (*labels != '{' && *labels != ' '))
            continue;
        end = *labels == '{' ? strstr(labels, "} ") + 1 : labels;
        if (*label && !memmem(labels, (size_t)(end - labels), label, strlen(label)))
            continue;
        sum += strtod(end, NULL);
        ++*count;
    }
    return sum;
}

/* The same, of the whole seconds or numbers, in a look of its own; -1: there is no such series. */
FIXTURE int64_t metric(const char *name, const char *label)
{
    char *text = read_metrics();
    size_t count;
    double sum = sum_of(text, name, label, &count);

    free(text);
    return count ? (int64_t)sum : -1;
}

/* ---- what there is ---- */

FIXTURE const struct metric_row {
    const char *name, *type;
    const char *json; /* the member of a host, or at the top, with the same number; NULL: none */
    bool of_host;
} metric_rows[] = {
    {"hostflags_build_info", "gauge", NULL, false},
    {"hostflags_enabled", "gauge", "enabled", false},
    {"hostflags_connections", "gauge", "connections", false},
    {"hostflags_connections_limit", "gauge", "max_connections", false},
    {"hostflags_hosts", "gauge", NULL, false},
    {"hostflags_hosts_limit", "gauge", "max_hosts", false},
    {"hostflags_host_slots", "gauge", "host_slots", false},
    {"hostflags_requests_total", "counter", "requests_by_outcome", false},
    {"hostflags_not_modified_total", "counter", "not_modified", false},
    {"hostflags_requests_in_flight", "gauge", "in_flight", false},
    {"hostflags_published_answers_total", "counter", "published", false},
    {"hostflags_answers", "gauge", NULL, false},
    {"hostflags_rejected_connections_total", "counter", "rejected_for", false},
    {"hostflags_evictions_total", "counter", "evictions", false},
    {"hostflags_host_references", "gauge", "references", true},
    {"hostflags_host_state", "gauge", NULL, true},
    {"hostflags_host_age_seconds", "gauge", NULL, true},
    {"hostflags_host_ttl_seconds", "gauge", NULL, true},
    {"hostflags_host_requests_total", "counter", "requests", true},
    {"hostflags_host_not_modified_total", "counter", "not_modified", true},
    {"hostflags_host_failures_total", "counter", "failures", true},
    {"hostflags_host_failures_in_a_row", "gauge", "failures_in_a_row", true},
    {"hostflags_host_http_status", "gauge", "http_status", true},
    {"hostflags_host_last_error", "gauge", NULL, true},
    {"hostflags_flag_enabled", "gauge", NULL, true},
};

FIXTURE size_t count_lines(const char *text, const char *beginning)
{
    size_t count = strncmp(text, beginning, strlen(beginning)) == 0;
    char with_newline[128];

    snprintf(with_newline, sizeof(with_newline), "\n%s", beginning);
    for (const char *at = text; (at = strstr(at, with_newline)); at++)
        count++;
    return count;
}

/* Each metric is introduced once, and there is no other. */
FIXTURE void check_introductions(const char *text)
{
    char line[128];

    for (size_t i = 0; i < COUNT(metric_rows); i++) {
        snprintf(line, sizeof(line), "# HELP %s ", metric_rows[i].name);
        if (!CHECK_INT_EQ(count_lines(text, line), 1))
            fprintf(stderr, "%s\n", line);
        snprintf(line, sizeof(line), "# TYPE %s %s\n", metric_rows[i].name, metric_rows[i].type);
        if (!CHECK_INT_EQ(count_lines(text, line), 1))
            fprintf(stderr, "%s\n", line);
    }
    CHECK_INT_EQ(count_lines(text, "# HELP "), COUNT(metric_rows));
    CHECK_INT_EQ(count_lines(text, "# TYPE "), COUNT(metric_rows));
    CHECK_INT_EQ(count_lines(text, "#"), 2 * COUNT(metric_rows));
}

FIXTURE bool has_promtool(void)
{
    const char *argv[] = {"promtool", "--version", NULL};

    return hf_process_run(argv, BOUND_MS, NULL) == 0;
}

/* promtool's own opinion: silence is consent. */
FIXTURE void check_by_promtool(const char *text)
{
    char *directory = hf_tmpdir_create(), *path = hf_tmpdir_write(directory, "metrics", text);
    const char *argv[] = {"sh", "-c", "exec promtool check metrics <\"$0\"", path, NULL};
    char *said = NULL;

    CHECK_INT_EQ(hf_process_run(argv, hf_wait_slow_ms(BOUND_MS), &said), 0);
    CHECK_STR_EQ(said, "");
    free(said);
    free(path);
    hf_tmpdir_remove(directory);
}

FIXTURE void check_text(void)
{
    char *text = read_metrics();

    check_introductions(text);
    check_by_promtool(text);
    free(text);
}

#define SKIP_WITHOUT_PROMTOOL() \
    do { \
        if (!has_promtool()) \
            return hf_test_skip("there is no promtool (Debian package prometheus) here"); \
    } while (0)

#endif

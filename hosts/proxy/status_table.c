/* SPDX-License-Identifier: PostgreSQL
 *
 * status_table.c: see status_table.h. Cells first, as texts, since the widths of the columns depend
 * on all of them; then lines.
 */
#include "hosts/proxy/status_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosts/proxy/memory.h"

enum column { HOST, ORG_ID, REFS, STATE, AGE, TTL, NEXT, REQ, N304, FAIL, ON, LAST_ERROR, COLUMNS };

enum { GAP = 2, LEAST_HOST = 12 /* a host name is not cut to less */, CELL_SIZE = 320 };

static const struct {
    const char *title;
    bool right; /* a number */
    int least; /* wide, so that the table stands still while times pass */
} columns[COLUMNS] = {
    [HOST] = {"HOST", false, 4},
    [ORG_ID] = {"ORG ID", false, 6},
    [REFS] = {"REFS", true, 4},
    [STATE] = {"STATE", false, 7},
    [AGE] = {"AGE", true, 6},
    [TTL] = {"TTL", true, 3},
    [NEXT] = {"NEXT", true, 6},
    [REQ] = {"REQ", true, 3},
    [N304] = {"304", true, 3},
    [FAIL] = {"FAIL", true, 4},
    [ON] = {"ON", false, 2},
    [LAST_ERROR] = {"LAST ERROR", false, 10},
};

struct table {
    const struct hf_status_view *view;
    const struct hf_table_style *style;
    size_t shown; /* hosts, from the first */
    char *(*cells)[COLUMNS]; /* of these; "": not there */
    int widths[COLUMNS]; /* 0: the column is left out */
    FILE *out;
};

/* What a cell shows. text has CELL_SIZE bytes. */

static void number(char *text, int64_t value)
{
    if (value == HF_ABSENT)
        snprintf(text, CELL_SIZE, "-");
    else
        snprintf(text, CELL_SIZE, "%" PRId64, value);
}

/* Two units at most, and no second one that is 0. */
static void duration(char *text, int64_t value_ms)
{
    static const struct {
        int64_t ms;
        const char *name, *next_name;
        int64_t next_ms;
    } units[] = {
        {86400000, "d", "h", 3600000},
        {3600000, "h", "m", 60000},
        {60000, "m", "s", 1000},
        {1000, "s", NULL, 1},
        {1, "ms", NULL, 1},
    };
    size_t i = 0;

    if (value_ms < 0) {
        snprintf(text, CELL_SIZE, "-");
        return;
    }
    while (value_ms < units[i].ms && units[i].ms > 1)
        i++;
    int64_t first = value_ms / units[i].ms, second = value_ms % units[i].ms / units[i].next_ms;
    if (units[i].next_name && second > 0)
        snprintf(text, CELL_SIZE, "%" PRId64 "%s%02" PRId64 "%s", first, units[i].name, second,
            units[i].next_name);
    else
        snprintf(text, CELL_SIZE, "%" PRId64 "%s", first, units[i].name);
}

/* The name as one would write it in a URL, without what goes without saying. */
static void name(char *text, const struct hf_status_host *host)
{
    bool http = strcmp(host->scheme, "http") == 0, brackets = strchr(host->host, ':') != NULL;
    char port[32] = "";

    if (host->port != HF_ABSENT && host->port != (http ? 80 : 443))
        snprintf(port, sizeof(port), ":%" PRId64, host->port);
    snprintf(text, CELL_SIZE, "%s%s%s%s%s", http ? "http://" : "", brackets ? "[" : "",
        *host->host ? host->host : "-", brackets ? "]" : "", port);
}

static void last_error(char *text, const struct hf_status_host *host)
{
    if (!*host->last_error || strcmp(host->last_error, "ok") == 0)
        snprintf(text, CELL_SIZE, "-");
    else if (host->http_status > 0)
        snprintf(text, CELL_SIZE, "%s %" PRId64, host->last_error, host->http_status);
    else
        snprintf(text, CELL_SIZE, "%s", host->last_error);
}

static void flags_on(char *text, const struct hf_status_host *host)
{
    if (host->flag_count == HF_ABSENT)
        snprintf(text, CELL_SIZE, "-");
    else
        snprintf(text, CELL_SIZE, "%" PRId64 "/%" PRId64, host->flags_on, host->flag_count);
}

static void fill_cell(char *text, const struct hf_status_host *host, enum column column)
{
    switch (column) {
    case HOST:
        return name(text, host);
    case ORG_ID:
        snprintf(text, CELL_SIZE, "%s", *host->org_id ? host->org_id : "-");
        return;
    case REFS:
        return number(text, host->references);
    case STATE:
        snprintf(text, CELL_SIZE, "%s", *host->state ? host->state : "-");
        return;
    case AGE:
        return duration(text, host->age_ms);
    case TTL:
        return duration(text, host->ttl_ms);
    case NEXT:
        if (host->next_refresh_ms != 0)
            return duration(text, host->next_refresh_ms);
        snprintf(text, CELL_SIZE, "due");
        return;
    case REQ:
        return number(text, host->requests);
    case N304:
        return number(text, host->not_modified);
    case FAIL:
        return number(text, host->failures);
    case ON:
        return flags_on(text, host);
    case LAST_ERROR:
        return last_error(text, host);
    case COLUMNS:
        return;
    }
}

static bool has_org_ids(const struct table *table)
{
    for (size_t i = 0; i < table->view->host_count; i++)
        if (*table->view->hosts[i].org_id)
            return true;
    return false;
}

static void fill_cells(struct table *table)
{
    bool org_ids = has_org_ids(table);

    for (int column = 0; column < COLUMNS; column++)
        table->widths[column] = column == ORG_ID && !org_ids ? 0 : columns[column].least;
    table->cells = hf_memory_new((table->shown + 1) * sizeof(*table->cells));
    for (size_t i = 0; i < table->shown; i++) {
        for (int column = 0; column < COLUMNS; column++) {
            char text[CELL_SIZE];

            fill_cell(text, &table->view->hosts[i], column);
            table->cells[i][column] = hf_memory_copy(text);
            if (table->widths[column] > 0 && table->widths[column] < (int)strlen(text))
                table->widths[column] = (int)strlen(text);
        }
    }
}

/* Takes from the host names what is too much for the width. */
static void fit(struct table *table)
{
    int total = -GAP, least = table->widths[HOST] < LEAST_HOST ? table->widths[HOST] : LEAST_HOST;

    for (int column = 0; column < COLUMNS; column++)
        total += table->widths[column] > 0 ? table->widths[column] + GAP : 0;
    if (table->style->width > 0 && total > table->style->width)
        table->widths[HOST] -= total - table->style->width;
    if (table->widths[HOST] < least)
        table->widths[HOST] = least;
}

/* Writes one line; colour: an SGR parameter or NULL. cut: to the width, if there is one. */
static void put_line(struct table *table, const char *text, const char *colour, bool cut)
{
    int length = (int)strlen(text);

    if (cut && table->style->width > 0 && length > table->style->width)
        length = table->style->width;
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if (colour && table->style->colour)
        fprintf(table->out, "\033[%sm%.*s\033[0m\n", colour, length, text);
    else
        fprintf(table->out, "%.*s\n", length, text);
}

static void put_cell(FILE *line, const char *text, int width, bool right)
{
    int length = (int)strlen(text);

    if (length > width) /* a host name only */
        fprintf(line, "%.*s...", width - 3, text);
    else if (right)
        fprintf(line, "%*s", width, text);
    else
        fprintf(line, "%-*s", width, text);
}

static void put_cells(struct table *table, char *const *cells, const char *colour)
{
    char *text = NULL;
    size_t size;
    FILE *line = open_memstream(&text, &size);

    for (int column = 0; column < COLUMNS; column++) {
        if (table->widths[column] == 0)
            continue;
        if (column > 0)
            fprintf(line, "%*s", GAP, "");
        put_cell(line, cells[column], table->widths[column], columns[column].right);
    }
    fclose(line);
    put_line(table, text, colour, true);
    free(text);
}

static const char *colour_of(const struct hf_status_host *host)
{
    if (strcmp(host->state, "expired") == 0 || hf_status_host_fails(host))
        return "31"; /* red: defaults are answered */
    if (strcmp(host->state, "stale") == 0 ||
        (*host->last_error && strcmp(host->last_error, "ok") != 0))
        return "33"; /* yellow: the last value is */
    return NULL;
}

/* Lines around the table are cut on a screen only: otherwise they may wrap. */
static void put_text(struct table *table, const char *text)
{
    put_line(table, text, NULL, table->style->lines > 0);
}

static void put_hosts(struct table *table)
{
    char *titles[COLUMNS], text[64];
    size_t left = table->view->host_count - table->shown;

    fill_cells(table);
    fit(table);
    for (int column = 0; column < COLUMNS; column++)
        titles[column] = (char *)columns[column].title;
    put_cells(table, titles, NULL);
    for (size_t i = 0; i < table->shown; i++) {
        const struct hf_status_host *host = &table->view->hosts[i];
        char *message = hf_memory_new(strlen(host->last_message) + 5);

        put_cells(table, table->cells[i], colour_of(host));
        sprintf(message, "    %s", host->last_message);
        if (*host->last_message)
            put_text(table, message);
        free(message);
        for (int column = 0; column < COLUMNS; column++)
            free(table->cells[i][column]);
    }
    free(table->cells);
    snprintf(text, sizeof(text), "... and %zu more", left);
    if (left > 0)
        put_text(table, text);
}

static void add_limited(FILE *line, const char *what, int64_t value, int64_t limit)
{
    char text[CELL_SIZE];

    number(text, value);
    fprintf(line, "%s %s", what, text);
    if (limit != HF_ABSENT)
        fprintf(line, "/%" PRId64, limit);
}

/* "name 2, table 1": those that are not 0; how many these are. */
static size_t add_counts(FILE *line, const struct hf_status_counts *counts, const char *before)
{
    size_t count = 0;

    for (size_t i = 0; i < counts->count; i++)
        if (counts->items[i].value != 0)
            fprintf(line, "%s%s %" PRId64, count++ ? ", " : before, counts->items[i].name,
                counts->items[i].value);
    return count;
}

static void put_connections(struct table *table)
{
    const struct hf_status_view *view = table->view;
    char *text = NULL;
    size_t size;
    FILE *line = open_memstream(&text, &size);

    add_limited(line, "connections", view->connections, view->max_connections);
    add_limited(
        line, ", hosts", view->has_hosts ? (int64_t)view->host_count : HF_ABSENT, view->max_hosts);
    add_limited(line, ", rejected", view->rejected, HF_ABSENT);
    if (add_counts(line, &view->rejected_for, " (") > 0)
        fputs(")", line);
    add_limited(line, ", evictions", view->evictions, HF_ABSENT);
    fclose(line);
    put_text(table, text);
    free(text);
}

static void put_requests(struct table *table)
{
    char *text = NULL, count[CELL_SIZE];
    size_t size;
    FILE *line = open_memstream(&text, &size);

    fputs("requests: ", line);
    if (add_counts(line, &table->view->requests_by_outcome, "") == 0) {
        number(count, hf_status_view_requests(table->view));
        fputs(count, line);
    }
    add_limited(line, "; 304s:", table->view->not_modified, HF_ABSENT);
    fclose(line);
    put_text(table, text);
    free(text);
}

static void add_plural(FILE *line, int64_t value, const char *what)
{
    if (value != HF_ABSENT)
        fprintf(line, ", %" PRId64 " %s%s", value, what, value == 1 ? "" : "s");
}

/* "4 processes, refreshed by process 2 (pid 4711), 1 take-over, 300 references returned" */
static void put_sharing(struct table *table)
{
    const struct hf_status_sharing *sharing = &table->view->sharing;
    char *text = NULL;
    size_t size;
    FILE *line;

    if (sharing->processes == HF_ABSENT)
        return;
    line = open_memstream(&text, &size);
    fprintf(line, "%" PRId64 " process%s", sharing->processes, sharing->processes == 1 ? "" : "es");
    if (sharing->refresher > 0)
        fprintf(line, ", refreshed by process %" PRId64, sharing->refresher);
    else if (sharing->refresher == 0)
        fputs(", refreshed by none", line);
    if (sharing->refresher > 0 && sharing->refresher_pid > 0)
        fprintf(line, " (pid %" PRId64 ")", sharing->refresher_pid);
    add_plural(line, sharing->take_overs, "take-over");
    add_plural(line, sharing->returned_references, "reference");
    if (sharing->returned_references != HF_ABSENT)
        fputs(" returned", line);
    fclose(line);
    put_text(table, text);
    free(text);
}

/* Lines that a host takes. */
static int64_t height_of(const struct hf_status_host *host)
{
    return *host->last_message ? 2 : 1;
}

/* How many hosts have room, beside the lines that are there anyway. */
static size_t count_shown(const struct table *table)
{
    const struct hf_status_view *view = table->view;
    bool shared = view->sharing.processes != HF_ABSENT;
    int64_t room = table->style->lines - 4 - view->disabled - shared, needed = 0;
    size_t shown = 0;

    for (size_t i = 0; i < view->host_count; i++)
        needed += height_of(&view->hosts[i]);
    if (table->style->lines == 0 || needed <= room)
        return view->host_count;
    for (room--; shown < view->host_count && room >= height_of(&view->hosts[shown]); shown++)
        room -= height_of(&view->hosts[shown]);
    return shown;
}

static void cut_lines(char *text, int lines)
{
    for (; lines > 0 && *text; text++)
        if (*text == '\n')
            lines--;
    *text = '\0';
}

char *hf_status_table(const struct hf_status_view *view, const struct hf_table_style *style)
{
    char *text = NULL;
    size_t size;
    struct table table = {.view = view, .style = style};

    table.out = open_memstream(&text, &size);
    table.shown = count_shown(&table);
    if (view->disabled)
        put_text(&table, "The setting `enabled` is off: nothing is asked.");
    if (!view->has_hosts)
        put_text(&table, "No hosts: the proxy has no plugin, or one that has no status.");
    else if (view->host_count == 0)
        put_text(&table, "No hosts: no connection to an upstream has been opened for a while.");
    else
        put_hosts(&table);
    put_text(&table, "");
    put_connections(&table);
    put_requests(&table);
    put_sharing(&table);
    fclose(table.out);
    if (style->lines > 0)
        cut_lines(text, style->lines);
    return text;
}

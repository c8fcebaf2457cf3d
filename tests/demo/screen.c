/* SPDX-License-Identifier: PostgreSQL */
#include "tests/demo/screen.h"

#include "tests/support/wait_until.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

void screen_init(struct screen *screen)
{
    memset(screen, 0, sizeof(*screen));
    screen->terminal = isatty(STDOUT_FILENO) == 1;
    screen->started_ms = hf_wait_now_ms();
}

static const char *colour(const struct screen *screen, const char *code)
{
    return screen->terminal ? code : "";
}

static double seconds(const struct screen *screen)
{
    return (double)(hf_wait_now_ms() - screen->started_ms) / 1000;
}

void screen_act(struct screen *screen, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(screen->act, sizeof(screen->act), format, args);
    va_end(args);
    if (!screen->terminal) {
        printf("\n== %s ==\n", screen->act);
        fflush(stdout);
    }
}

void screen_note(struct screen *screen, const char *format, ...)
{
    va_list args;
    char *note;

    if (screen->note_count == SCREEN_NOTES) {
        memmove(screen->notes, screen->notes + 1, sizeof(screen->notes) - sizeof(screen->notes[0]));
        screen->note_count--;
    }
    note = screen->notes[screen->note_count++];
    va_start(args, format);
    vsnprintf(note, sizeof(screen->notes[0]), format, args);
    va_end(args);
    if (!screen->terminal) {
        printf("   seen: %s\n", note);
        fflush(stdout);
    }
}

static const char *state_colour(const struct screen *screen, const char *state)
{
    if (strcmp(state, "fresh") == 0)
        return colour(screen, GREEN);
    return colour(screen, strcmp(state, "stale") == 0 ? YELLOW : DIM);
}

/* Ends a line; on a terminal whatever stood there before goes. */
static void end_line(struct screen *screen)
{
    printf("%s\n", screen->terminal ? "\033[K" : "");
    screen->drawn++;
}

static void draw_row(struct screen *screen, const struct cache_row *row)
{
    char age[16] = "-";

    if (row->age_ms >= 0)
        snprintf(age, sizeof(age), "%.1f s", (double)row->age_ms / 1000);
    printf("  %-12s %10lld  %s%-8s%s %8s  %s%-3s%s %-9s %8lld %9lld", row->host,
        (long long)row->references, state_colour(screen, row->state), row->state,
        colour(screen, PLAIN), age, colour(screen, row->enabled ? BOLD : ""),
        row->enabled ? "on" : "off", colour(screen, PLAIN), row->reason, (long long)row->requests,
        (long long)row->failures);
    end_line(screen);
}

static const char *plural(int64_t count, const char *ending)
{
    return count == 1 ? "" : ending;
}

/* As `hostflags-host status` says it. */
static void draw_sharing(struct screen *screen, const struct cache_view *view)
{
    if (view->processes == 0)
        return;
    printf("  %lld process%s, refreshed by ", (long long)view->processes,
        plural(view->processes, "es"));
    if (view->refresher == 0)
        printf("none");
    else
        printf(
            "process %lld (pid %lld)", (long long)view->refresher, (long long)view->refresher_pid);
    printf(", %lld take-over%s, %lld reference%s returned", (long long)view->take_overs,
        plural(view->take_overs, "s"), (long long)view->returned, plural(view->returned, "s"));
    end_line(screen);
}

static void draw_table(struct screen *screen, const struct cache_view *view)
{
    printf("  %s%-12s %10s  %-8s %8s  %-13s %8s %9s%s", colour(screen, BOLD), "host", "references",
        "state", "age", "answer", "requests", "failures", colour(screen, PLAIN));
    end_line(screen);
    for (int i = 0; i < view->count; i++)
        draw_row(screen, &view->rows[i]);
    draw_sharing(screen, view);
}

static void draw_line(
    const struct screen *screen, const struct cache_view *view, size_t requests, size_t telemetry)
{
    printf("%5.1f s  %2d hosts (%d fresh, %d stale, %d unknown), %lld references, %zu requests, "
           "%zu telemetry lines\n",
        seconds(screen), view->count, cache_view_count_state(view, "fresh"),
        cache_view_count_state(view, "stale"), cache_view_count_state(view, "unknown"),
        (long long)view->references, requests, telemetry);
}

void screen_draw(struct screen *screen, const struct cache_view *view, size_t requests,
    size_t telemetry, bool whole)
{
    if (!screen->terminal) {
        draw_line(screen, view, requests, telemetry);
        if (whole)
            draw_table(screen, view);
        fflush(stdout);
        return;
    }
    if (screen->drawn > 0)
        printf("\033[%dA", screen->drawn);
    screen->drawn = 0;
    printf("%s%5.1f s  %s%s", BOLD, seconds(screen), screen->act, PLAIN);
    end_line(screen);
    draw_table(screen, view);
    printf("  %d hosts, %lld references, %zu requests, %zu telemetry lines", view->count,
        (long long)view->references, requests, telemetry);
    end_line(screen);
    for (int i = 0; i < screen->note_count; i++) {
        printf("  %sseen:%s %s", GREEN, PLAIN, screen->notes[i]);
        end_line(screen);
    }
    printf("\033[J");
    fflush(stdout);
}

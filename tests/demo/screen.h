/* SPDX-License-Identifier: PostgreSQL
 *
 * screen.h: the demo's table. On a terminal it is redrawn in place, with colour; elsewhere each
 * second is one plain line, and the whole table comes once at the end of each act.
 */
#ifndef HOSTFLAGS_TESTS_DEMO_SCREEN_H
#define HOSTFLAGS_TESTS_DEMO_SCREEN_H

#include "tests/demo/cache_view.h"

#include <stdbool.h>
#include <stddef.h>

enum { SCREEN_NOTES = 14 }; /* with 21 hosts the screen takes 40 lines at most */

struct screen {
    bool terminal;
    int64_t started_ms;
    int drawn; /* lines of the last drawing */
    char act[128]; /* what is going on */
    char notes[SCREEN_NOTES][160]; /* what was seen, in order */
    int note_count;
};

void screen_init(struct screen *screen);

/* A new act begins. */
void screen_act(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something was observed. */
void screen_note(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Draws the state; requests, telemetry: made and written so far. whole: the table even where it is
 * no terminal. */
void screen_draw(struct screen *screen, const struct cache_view *view, size_t requests,
    size_t telemetry, bool whole);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * terminal.h: a terminal as a screen that is drawn again and again, for `top`; and what `status`
 * asks about one. ANSI sequences only, no library. One per program, main thread.
 *
 *     hf_terminal_open        keys without Enter and echo, no cursor; signals come to wait
 *     hf_terminal_draw        a whole picture
 *     hf_terminal_wait        until it is time to draw again, or to end
 *     hf_terminal_close       everything as it was
 */
#ifndef HOSTFLAGS_PROXY_TERMINAL_H
#define HOSTFLAGS_PROXY_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

struct hf_terminal_size {
    int columns, lines;
};

/* Whether stdout is one. */
bool hf_terminal_is_there(void);

/* Whether to colour what goes there: it is one, and NO_COLOR is not set (https://no-color.org). */
bool hf_terminal_has_colour(void);

/* Its size now; 80 times 24 where it does not say. */
struct hf_terminal_size hf_terminal_size(void);

/* Blocks SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP and SIGWINCH for the rest of the program: wait
 * takes them. HF_E_SYSTEM: impossible, as stderr says. */
int hf_terminal_open(void) __attribute__((warn_unused_result));

/* Replaces the picture by these lines in one write. No line may be wider than the terminal. Lines
 * that it has no room for are left out; its last one is the cursor's. false: the terminal is gone.
 */
bool hf_terminal_draw(const char *text) __attribute__((warn_unused_result));

/* Waits for at most that long; less after a change of the size and after a stop (Ctrl-Z), which
 * gives the terminal back in between. false: to end, by the key q or a signal. */
bool hf_terminal_wait(int64_t time_ms) __attribute__((warn_unused_result));

/* Restores the terminal; the picture stays above the cursor. */
void hf_terminal_close(void);

#endif

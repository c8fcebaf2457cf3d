/* SPDX-License-Identifier: PostgreSQL
 *
 * pty.h: runs a program in a pseudo-terminal: keys go in, pictures come out.
 *
 * The terminal is the program's controlling one, so that Ctrl-C and Ctrl-Z are signals. What the
 * program writes is read whenever a function below is called: call one of them in each turn of a
 * wait. One thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_PTY_H
#define HOSTFLAGS_TESTS_SUPPORT_PTY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hf_pty;

/* argv, and env ("NAME=value") on top of ours: NULL-terminated; env may be NULL. NULL: could not
 * start; the reason is on stderr. */
struct hf_pty *hf_pty_start(
    const char *const *argv, const char *const *env, unsigned short columns, unsigned short lines);

/* Kills it if it is still running, frees everything. NULL is fine. */
void hf_pty_destroy(struct hf_pty *pty);

pid_t hf_pty_pid(const struct hf_pty *pty);

/* All that was written so far (the terminal turns each newline into "\r\n"). Borrowed until the
 * next call of any function. */
const char *hf_pty_output(struct hf_pty *pty);

/* Of a program that draws each picture from the top left corner ("\033[H" … "\033[J"): the latest
 * whole one, with plain newlines, without what clears the ends of lines; "": none yet. Borrowed as
 * above. */
const char *hf_pty_picture(struct hf_pty *pty);

/* As if somebody typed it. */
void hf_pty_type(struct hf_pty *pty, const char *keys);

/* Changes the size, which the program is told by SIGWINCH. */
void hf_pty_resize(struct hf_pty *pty, unsigned short columns, unsigned short lines);

/* Whether the terminal echoes and waits for whole lines, as at the start. */
bool hf_pty_is_plain(struct hf_pty *pty);

/* Whether the program has stopped itself since the last call. */
bool hf_pty_has_stopped(struct hf_pty *pty);

/* Waits for the end. The exit status, 128 + n when signal n ended it, -1: the bound passed. */
int hf_pty_wait_exit(struct hf_pty *pty, int64_t timeout_ms);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * process.h: starts a program, reads what it writes, waits for it, ends it.
 *
 * The child gets /dev/null as stdin, inherits no other descriptor than its output, has an empty
 * signal mask, and gets SIGKILL when the *thread* that started it ends: start it from a thread that
 * outlives it, the main one usually. A thread per process reads the output into growing buffers.
 * Threads: one at a time per process. Bounds: see wait_until.h.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_PROCESS_H
#define HOSTFLAGS_TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hf_process;

enum hf_stream {
    HF_STDOUT = 0, /* with merged output: everything */
    HF_STDERR = 1
};

struct hf_process_options {
    const char *const
        *argv; /* NULL-terminated; argv[0] is looked up in PATH when without a slash */
    const char *const *env; /* "NAME=value", NULL-terminated, on top of ours; NULL: none */
    bool merge; /* stderr goes where stdout goes */
};

/* Everything is copied. NULL: could not be started (no such program, say); the reason is on
 * stderr. */
struct hf_process *hf_process_start(const struct hf_process_options *options);

/* Kills it if it is still running (this pid only), reaps it, frees everything. NULL is fine. */
void hf_process_destroy(struct hf_process *process);

/* Runs a program to its end within the bound; output (merged) goes to *output if that is not NULL,
 * for the caller to free. The exit status, 128 + n when signal n ended it, -1 when it could not be
 * started or did not end (it is killed then). */
int hf_process_run(const char *const *argv, int64_t timeout_ms, char **output);

pid_t hf_process_pid(const struct hf_process *process);

/* A copy of what was written so far, NUL-terminated, for the caller to free. */
char *hf_process_output(struct hf_process *process, enum hf_stream stream);

/* How many times text occurs in what was written so far. */
size_t hf_process_count(struct hf_process *process, enum hf_stream stream, const char *text);

/* Waits until text occurs in either stream. false: the bound passed, or it ended without; what it
 * wrote is then printed on stderr. */
bool hf_process_wait_output(struct hf_process *process, const char *text, int64_t timeout_ms);

/* 0, or -1 when it has been reaped already. */
int hf_process_signal(struct hf_process *process, int signal);

/* Waits for its end; *wait_status (may be NULL) is as from waitpid. Its output is complete then
 * (unless a grandchild still holds the pipe). May be called again. false: the bound passed. */
bool hf_process_wait_exit(struct hf_process *process, int64_t timeout_ms, int *wait_status);

#endif

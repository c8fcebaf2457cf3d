/* SPDX-License-Identifier: PostgreSQL
 *
 * inherited.h: what programs that this process starts inherit of its descriptors.
 *
 *     char *expected = inherited_start();
 *     ... the plugin at work ...
 *     check_inherits_nothing(expected);
 *     inherited_end(expected);
 *
 * The servers and clients of tests/support are close-on-exec. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_INHERITED_H
#define HOSTFLAGS_TESTS_INTEGRATION_INHERITED_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fds.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define INHERITED __attribute__((unused)) static

extern char **environ;

INHERITED int to_child[2], from_child[2]; /* stdin and stdout of all of them */

INHERITED pid_t spawn_by_fork(void)
{
    pid_t child = fork();

    if (child == 0) {
        dup2(to_child[0], STDIN_FILENO);
        dup2(from_child[1], STDOUT_FILENO);
        execlp("cat", "cat", (char *)NULL);
        _exit(127);
    }
    return child;
}

INHERITED pid_t spawn_by_posix(void)
{
    static char name[] = "cat";
    char *const argv[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
    if (posix_spawnp(&child, name, &actions, NULL, argv, environ) != 0)
        child = -1;
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* A cat that answers has opened and closed all that it opens when it starts. */
INHERITED bool answers(void)
{
    struct pollfd answer = {.fd = from_child[0], .events = POLLIN};
    char byte = 'x';

    return write(to_child[1], &byte, 1) == 1 &&
        poll(&answer, 1, (int)hf_wait_slow_ms(30000)) == 1 && read(from_child[0], &byte, 1) == 1;
}

/* What a child has open that was started now. Caller frees. */
INHERITED char *descriptors_of_child(pid_t (*spawn)(void))
{
    pid_t child = spawn();
    char *text = NULL;

    if (child <= 0)
        return NULL;
    if (CHECK(answers()))
        text = hf_fds_text(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return text;
}

INHERITED void check_inherits_nothing(const char *expected)
{
    pid_t (*const spawns[])(void) = {spawn_by_fork, spawn_by_posix};

    for (size_t i = 0; i < sizeof(spawns) / sizeof(spawns[0]); i++) {
        char *text = descriptors_of_child(spawns[i]);

        CHECK_STR_EQ(text, expected);
        free(text);
    }
}

/* What such a program has open anyway. */
INHERITED char *inherited_start(void)
{
    char *expected;

    if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0)
        abort();
    expected = descriptors_of_child(spawn_by_fork);
    CHECK(expected != NULL);
    return expected;
}

INHERITED void inherited_end(char *expected)
{
    free(expected);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
}

#endif

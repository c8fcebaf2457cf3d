/* SPDX-License-Identifier: PostgreSQL
 *
 * status_fixture.h: what the tests of `hostflags-host status` share: a peer that stands for the
 * proxy, and runs of the command. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_STATUS_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_STATUS_FIXTURE_H

#include "tests/integration/proxy_fixture.h"
#include "tests/support/status_peer.h"

struct world {
    char *directory, *socket;
    struct hf_status_peer *peer;
};

FIXTURE bool begin(struct world *world, const char *answer)
{
    *world = (struct world){.directory = hf_tmpdir_create()};
    world->socket = hf_tmpdir_path(world->directory, "status");
    world->peer = hf_status_peer_start(world->socket, answer);
    return CHECK(world->peer != NULL);
}

FIXTURE void end(struct world *world)
{
    hf_status_peer_stop(world->peer);
    free(world->socket);
    hf_tmpdir_remove(world->directory);
}

/* Runs the command with these words; what it wrote, for the caller to free. */
FIXTURE int run_words(const char *const *words, char **out, char **err)
{
    const char *argv[12] = {hf_build_path("hostflags-host"), "status"};
    struct hf_process *process;
    int status = -1;

    for (size_t i = 0; words[i]; i++)
        argv[i + 2] = words[i];
    process = hf_process_start(&(struct hf_process_options){.argv = argv});
    *out = *err = NULL;
    if (CHECK(process && hf_process_wait_exit(process, BOUND_MS, &status))) {
        *out = hf_process_output(process, HF_STDOUT);
        *err = hf_process_output(process, HF_STDERR);
    }
    hf_process_destroy(process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(out, err, ...) run_words((const char *const[]){__VA_ARGS__, NULL}, out, err)

/* It says that on stderr in one sentence, nothing on stdout, and ends with status 3. */
FIXTURE void check_refused(const char *const *words, const char *part)
{
    char *out, *err;

    CHECK_INT_EQ(run_words(words, &out, &err), 3);
    CHECK_STR_EQ(out, "");
    CHECK_STR_CONTAINS(err, part);
    CHECK(err && strncmp(err, "hostflags-host: ", 16) == 0);
    CHECK(err && strchr(err, '\n') == err + strlen(err) - 1);
    free(out);
    free(err);
}

#define REFUSED(part, ...) check_refused((const char *const[]){__VA_ARGS__, NULL}, part)

/* What `status` prints for an answer of the proxy. */
FIXTURE void check_table(struct world *world, const char *answer, const char *expected)
{
    char *out, *err;

    hf_status_peer_set_answer(world->peer, answer);
    CHECK_INT_EQ(RUN(&out, &err, "--socket", world->socket), 0);
    CHECK_STR_EQ(out, expected);
    CHECK_STR_EQ(err, "");
    free(out);
    free(err);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_status_errors.c: what `hostflags-host status` says when there is nothing to show: one
 * sentence, nothing on stdout, status 3.
 */
#include "tests/integration/status_fixture.h"

/* A socket file whose owner has ended without removing it. */
static void leave_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    CHECK_INT_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static void test_no_proxy(void)
{
    struct world world = {.directory = hf_tmpdir_create()};
    char sentence[512], *left = hf_tmpdir_path(world.directory, "left");
    char *file = hf_tmpdir_write(world.directory, "file", "text");

    world.socket = hf_tmpdir_path(world.directory, "nowhere");
    snprintf(
        sentence, sizeof(sentence), "%s: there is no such socket; start the proxy", world.socket);
    REFUSED(sentence, "--socket", world.socket);
    REFUSED(sentence, "--json", "--socket", world.socket);
    leave_socket(left);
    snprintf(sentence, sizeof(sentence), "%s: nobody answers on this socket", left);
    REFUSED(sentence, "--socket", left);
    snprintf(sentence, sizeof(sentence), "%s: this is no socket", file);
    REFUSED(sentence, "--socket", file);
    free(left);
    free(file);
    end(&world);
}

static void test_bad_answers(void)
{
    static const char *const answers[] = {
        "hello\n", "[1]\n", "{\"hosts\":[", "unknown request; expected json\n", "\xff"};
    struct world world;
    char sentence[512];

    if (begin(&world, "")) {
        snprintf(sentence, sizeof(sentence),
            "%s: the proxy closed the connection without an answer", world.socket);
        REFUSED(sentence, "--socket", world.socket);
        REFUSED(sentence, "--prometheus", "--socket", world.socket);
        snprintf(sentence, sizeof(sentence), "%s: the answer is no JSON object", world.socket);
        for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
            hf_status_peer_set_answer(world.peer, answers[i]);
            REFUSED(sentence, "--socket", world.socket);
        }
    }
    end(&world);
}

static void test_silence(void)
{
    struct world world;
    char sentence[512];
    int64_t began_ms = hf_wait_now_ms();

    if (begin(&world, NULL)) {
        snprintf(sentence, sizeof(sentence), "%s: no answer within 5 s", world.socket);
        REFUSED(sentence, "--socket", world.socket);
        CHECK(hf_wait_now_ms() - began_ms >= 4900);
    }
    end(&world);
}

/* A socket that is not for us: for root, after a change of the user. The program is copied to where
 * that user can execute it. */
static void test_no_permission(void)
{
    struct world world;
    char *program, *output = NULL;
    const char *copy[] = {"cp", hf_build_path("hostflags-host"), NULL, NULL};

    if (begin(&world, "{}")) {
        program = hf_tmpdir_path(world.directory, "program");
        const char *argv[] = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            program, "status", "--socket", world.socket, NULL};
        copy[2] = program;
        CHECK_INT_EQ(hf_process_run(copy, BOUND_MS, NULL), 0);
        CHECK_INT_EQ(chmod(world.directory, 0755), 0);
        CHECK_INT_EQ(chmod(world.socket, geteuid() == 0 ? 0660 : 0), 0);
        CHECK_INT_EQ(hf_process_run(geteuid() == 0 ? argv : argv + 4, BOUND_MS, &output), 3);
        CHECK_STR_CONTAINS(output, world.socket);
        CHECK_STR_CONTAINS(output, ": no permission: the socket is for the proxy's user and group");
        free(output);
        free(program);
    }
    end(&world);
}

static void test_config(void)
{
    struct proxy proxy;
    char sentence[512], *out, *err, *file;

    if (!proxy_start(&proxy, "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1\n"))
        return;
    CHECK_INT_EQ(RUN(&out, &err, "--config", proxy.config), 0);
    CHECK_STR_CONTAINS(out, "No hosts: ");
    free(out);
    free(err);
    file = hf_tmpdir_write(proxy.directory, "other.ini",
        "[upstream:a]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:1\n");
    snprintf(sentence, sizeof(sentence), "status_socket is not set in %s; add", file);
    REFUSED(sentence, "-c", file);
    free(file);
    file = hf_tmpdir_write(proxy.directory, "other.ini", "[proxy\n");
    REFUSED("has no closing ]", "-c", file);
    REFUSED("No such file or directory", "-c", "/nowhere.ini");
    unlink(file);
    free(file);
    proxy_stop(&proxy);
}

static void test_usage(void)
{
    char *out, *err, too_long[200];

    memset(too_long, 'x', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    REFUSED("expected either --config FILE or --socket PATH", "--json");
    REFUSED("expected only one of --config FILE or --socket PATH", "-c", "a", "-s", "b");
    REFUSED("expected only one of --json and --prometheus", "--json", "--prometheus", "-s", "b");
    REFUSED("unknown option `--jsn`; did you mean `--json`?", "--jsn");
    REFUSED("unexpected word `proxy.ini`", "proxy.ini");
    REFUSED("a second socket `b`", "-s", "a", "--socket=b");
    REFUSED("a socket is missing after `--socket`", "--socket");
    REFUSED("unknown option `--json=1`", "--json=1");
    REFUSED("at most 107 bytes", "--socket", too_long);
    REFUSED("at most 107 bytes", "--socket=");
    CHECK_INT_EQ(RUN(&out, &err, "--help"), 0);
    CHECK_STR_CONTAINS(out, "Usage: hostflags-host status (--config FILE | --socket PATH)");
    free(out);
    free(err);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"no socket, nobody there, no socket at all: status 3", test_no_proxy},
        {"answers that are none: status 3", test_bad_answers},
        {"C68 a proxy that does not answer: status 3 after 5 s", test_silence},
        {"a socket of somebody else: status 3", test_no_permission},
        {"--config: the socket of that file, or why not", test_config},
        {"usage errors: status 3", test_usage},
    };

    return hf_suite_run("status_errors", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * test_dist.c: the archive for PGXN. It is unpacked elsewhere, built with PGXS alone, installed,
 * and the extension is made in a fresh server.
 */
#include "tests/postgres/scene.h"
#include "tests/support/tmpdir.h"

#include <stdlib.h>

static char directory[64], source[320];

static bool run(const char *const *argv, char **output)
{
    int status = hf_process_run(argv, 120000, output);

    if (status != 0)
        fprintf(stderr, "%s ended with status %d:\n%s\n", argv[0], status,
            output && *output ? *output : "");
    return status == 0;
}

/* The archive's single directory, below ours. */
static bool unpack(void)
{
    const char *make[] = {"env", "-u", "MAKEFLAGS", "make", "--no-print-directory", "dist", NULL};
    const char *unzip[] = {"unzip", "-q", NULL, "-d", directory, NULL};
    char *archive = NULL, *output = NULL;
    const char *name;
    bool unpacked;

    snprintf(directory, sizeof(directory), "/tmp/hostflags-dist-XXXXXX");
    if (!run(make, &archive) || !mkdtemp(directory)) {
        free(archive);
        return false;
    }
    archive[strcspn(archive, "\n")] = '\0';
    unzip[2] = archive;
    name = strrchr(archive, '/');
    snprintf(source, sizeof(source), "%s/%.*s", directory, (int)(strlen(name + 1) - strlen(".zip")),
        name + 1);
    unpacked = run(unzip, &output);
    free(output);
    free(archive);
    return unpacked;
}

static void test_dist(void)
{
    const char *git[] = {"git", "rev-parse", "--is-inside-work-tree", NULL};
    struct pg_server *fresh;
    PGconn *session;

    if (hf_process_run(git, PG_BOUND_MS, NULL) != 0) {
        hf_test_skip("this is no git work tree, so there is nothing to make an archive of");
        return;
    }
    if (!CHECK(unpack()))
        return;
    missing = pg_stage_open(source);
    if (missing) {
        hf_test_skip(missing);
        return;
    }
    fresh = pg_server_start("fresh", scene_conf(""));
    if (!CHECK(fresh != NULL))
        return;
    session = pg_connect(fresh, "postgres");
    CHECK_STR_EQ(pg_ask(session, "create extension hostflags"), "CREATE EXTENSION");
    CHECK_STR_EQ(pg_ask(session, "select hostflags.wait_ready('dist.example.com', '20s')"), "t");
    CHECK_STR_EQ(
        pg_ask(session, "select hostflags.is_enabled('dist.example.com', 'telemetry')"), "t");
    PQfinish(session);
    pg_server_stop(fresh);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"the archive for PGXN installs with PGXS alone, and works in a fresh server", test_dist},
    };
    int status;

    service = hf_flag_service_start(NULL);
    hf_flag_service_set_flag(service, "telemetry", true);
    status = hf_suite_run("postgres_dist", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    pg_stage_close();
    hf_flag_service_stop(service);
    if (*directory)
        hf_tmpdir_remove_tree(directory);
    return status;
}

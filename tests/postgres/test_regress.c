/* SPDX-License-Identifier: PostgreSQL
 *
 * test_regress.c: PostgreSQL's own regression runner over tests/sql, against tests/expected. What
 * differs is printed, and kept in the directory of the build.
 */
#include "tests/postgres/scene.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* pgxs.mk is in …/pgxs/src/makefiles, the runner in …/pgxs/src/test/regress. */
static bool find_runner(char *path, size_t size)
{
    const char *pgxs = pg_config("pgxs"), *end = strstr(pgxs, "/makefiles/");

    snprintf(path, size, "%.*s/test/regress/pg_regress", (int)(end ? end - pgxs : 0), pgxs);
    return access(path, X_OK) == 0;
}

static const char *results_directory(void)
{
    static char path[256];
    const char *build = getenv("HF_BUILD");

    snprintf(path, sizeof(path), "%s/regress", build ? build : "build");
    mkdir(path, 0755);
    return path;
}

static void print_differences(void)
{
    char path[300], line[1024];
    FILE *file;

    snprintf(path, sizeof(path), "%s/regression.diffs", results_directory());
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        fputs(line, stderr);
    if (file)
        fclose(file);
}

static void regress(const char *name)
{
    char runner[600], output_option[300], host_option[300], bin_option[600];
    const char *argv[] = {runner, "--inputdir=tests", output_option, bin_option, host_option,
        "--user=tester", "--dbname=regress_hostflags", name, NULL};
    char *output = NULL;
    int status;

    if (missing) {
        hf_test_skip(missing);
        return;
    }
    if (!CHECK(server != NULL) || !CHECK(find_runner(runner, sizeof(runner))))
        return;
    CHECK(pg_server_restart(server)); /* nothing is known of any host */
    snprintf(output_option, sizeof(output_option), "--outputdir=%s", results_directory());
    snprintf(bin_option, sizeof(bin_option), "--bindir=%s", pg_config("bindir"));
    snprintf(host_option, sizeof(host_option), "--host=%s", pg_server_host(server));
    status = hf_process_run(argv, 60000, &output);
    if (!CHECK_INT_EQ(status, 0)) {
        fprintf(stderr, "%s\n", output ? output : "");
        print_differences();
    }
    free(output);
}

static void test_surface(void)
{
    regress("surface");
}

static void test_privileges(void)
{
    regress("privileges");
}

static void test_rows(void)
{
    regress("rows");
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"installcheck: surface", test_surface},
        {"installcheck: privileges", test_privileges},
        {"installcheck: rows", test_rows},
    };
    int status;

    scene_open(argc, argv, "");
    status = hf_suite_run("postgres_regress", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    scene_close();
    return status;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * check_fixture.h: what the tests of `hostflags-host check` share: a flag service with the flags a
 * (on) and b (off), a configuration file in a temporary directory, and the program's output.
 *
 *     check_set_up();
 *     check_write_config(hf_flag_service_url(service), "allow_http = loopback\n");
 *     CHECK_INT_EQ(RUN_CHECK("warehouse"), ON);
 *     CHECK_STR_CONTAINS(output, "answer   HTTP 200");
 *     check_tear_down();
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_CHECK_FIXTURE_H
#define HOSTFLAGS_TESTS_INTEGRATION_CHECK_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/flag_service.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"

enum { BOUND_MS = 30000 };
enum { ON = 0, OFF = 1, UNKNOWN = 2, FAILED = 3 };

static const char secret[] = "dapi-secret-0123456789-secret-abcdefghij";

static char *directory;
static struct hf_flag_service *service;
static char *output; /* of the latest check: stdout and stderr */

static const char *build_directory(void)
{
    const char *build = getenv("HF_BUILD");

    return build ? build : "build";
}

/* The whole file. */
__attribute__((format(printf, 1, 2))) static void check_write_file(const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    free(hf_tmpdir_write(directory, "proxy.ini", text));
}

/* A file with one upstream, `warehouse`; more: lines of the plugin's section. */
__attribute__((unused, format(printf, 2, 3))) static void check_write_config(
    const char *host, const char *format, ...)
{
    char more[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof(more), format, args);
    va_end(args);
    check_write_file(
        "[upstream:warehouse]\nlisten = 127.0.0.1:0\nconnect = 127.0.0.1:9\nhost = %s\n"
        "telemetry_flag = a\n[plugin:hostflags]\nlibrary = %s/hostflags.so\nflags = a, b, c\n%s",
        host, build_directory(), more);
}

/* words: what follows the program's name, up to NULL. */
static int check_run(const char *const *words)
{
    const char *argv[16];
    char program[512];
    size_t count = 0;
    int status;

    snprintf(program, sizeof(program), "%s/hostflags-host", build_directory());
    argv[count++] = program;
    while (*words && count < 15)
        argv[count++] = *words++;
    argv[count] = NULL;
    free(output);
    output = NULL;
    status = hf_process_run(argv, BOUND_MS, &output);
    CHECK(output != NULL && strstr(output, secret) == NULL);
    return status;
}

/* words: what follows "check", up to NULL; `--config FILE` is added. */
static int check_with_config(const char *const *words)
{
    const char *all[16] = {"check"};
    char *config = hf_tmpdir_path(directory, "proxy.ini");
    size_t count = 1;
    int status;

    while (*words && count < 13)
        all[count++] = *words++;
    all[count++] = "--config";
    all[count++] = config;
    all[count] = NULL;
    status = check_run(all);
    free(config);
    return status;
}

#define RUN_CHECK(...) check_with_config((const char *const[]){__VA_ARGS__, NULL})

/* options: as for the service. */
static void check_set_up_with(const struct hf_flag_service_options *options)
{
    directory = hf_tmpdir_create();
    service = hf_flag_service_start(options);
    if (!directory || !service)
        abort();
    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", false);
}

static void check_set_up(void)
{
    check_set_up_with(NULL);
}

static void check_tear_down(void)
{
    hf_flag_service_stop(service);
    hf_tmpdir_remove(directory);
    free(output);
    output = NULL;
    service = NULL;
}

#endif

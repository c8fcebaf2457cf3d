/* SPDX-License-Identifier: PostgreSQL
 *
 * exit() without fini while the worker is inside TLS: 200 processes, each at another moment of its
 * first handshakes, and each must end with the status that it passed to exit().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/build_path.h"
#include "tests/support/certs.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 60000
#define RUNS 200
#define RUNS_WHEN_SLOW 40
#define SWEEP_US 20000 /* the moments: from 0 up to this */
#define EXIT_STATUS 7
#define SERVICES 3
#define SOCKETS "4" /* the worker's own pair of descriptors, and two connections */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_BUILD true
#else
#define SLOW_BUILD false
#endif

static struct hf_certs *certs;
static struct hf_flag_service *services[SERVICES];

static size_t runs(void)
{
    if (!SLOW_BUILD && !getenv("HF_UNDER_VALGRIND"))
        return RUNS;
    printf(
        "            %d processes instead of %d: under a sanitizer or valgrind each takes long\n",
        RUNS_WHEN_SLOW, RUNS);
    return RUNS_WHEN_SLOW;
}

/* The certificate is for 127.0.0.1: with the other two the handshake fails late. */
static bool start_services(void)
{
    static const char *const addresses[SERVICES] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};

    certs = hf_certs_create();
    for (size_t i = 0; certs && i < SERVICES; i++) {
        const struct hf_flag_service_options options = {.address = addresses[i],
            .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD),
            .key_file = hf_certs_key_file(certs)};

        services[i] = hf_flag_service_start(&options);
        if (!services[i])
            return false;
    }
    return certs != NULL;
}

static void stop_services(void)
{
    for (size_t i = 0; i < SERVICES; i++)
        hf_flag_service_stop(services[i]);
    hf_certs_destroy(certs);
}

/* The exit status, 128 + n after signal n. */
static int run_child(const char *sockets, long delay_us)
{
    char delay[24], status[8], *output = NULL;
    const char *const argv[] = {hf_build_path("tests/integration/run_exit"), hf_test_plugin_path(),
        hf_certs_ca_file(certs), sockets, delay, status, hf_flag_service_url(services[0]),
        hf_flag_service_url(services[1]), hf_flag_service_url(services[2]), NULL};
    int result;

    snprintf(delay, sizeof(delay), "%ld", delay_us);
    snprintf(status, sizeof(status), "%d", EXIT_STATUS);
    result = hf_process_run(argv, BOUND_MS, &output);
    if (result != EXIT_STATUS)
        printf(
            "            exit after %ld us: status %d\n%s", delay_us, result, output ? output : "");
    free(output);
    return result;
}

/* Every second one counts the time from when its connections are there, so that slow machines come
 * to the handshakes too. */
static void test_exit_inside_tls(void)
{
    size_t count = runs(), clean = 0;

    if (!CHECK(start_services()))
        return;
    for (size_t i = 0; i < count; i++) {
        long delay_us = (long)(SWEEP_US * i / count);

        clean += run_child(i % 2 ? SOCKETS : "0", i % 2 ? delay_us / 4 : delay_us) == EXIT_STATUS;
    }
    CHECK_INT_EQ(clean, count);
    CHECK_INT_EQ(run_child("answer", 0), EXIT_STATUS); /* and these handshakes can succeed */
    CHECK(hf_flag_service_count(services[0]) > 0);
    stop_services();
}

static void test_exit_beside(void)
{
    static const char *const what[] = {"fini", "reload"};
    size_t count = runs() / 2, clean = 0;

    if (!CHECK(start_services()))
        return;
    for (size_t i = 0; i < count; i++) {
        setenv("HF_EXIT_BESIDE", what[i % 2], 1);
        clean += run_child(SOCKETS, (long)(SWEEP_US / 4 * i / count)) == EXIT_STATUS;
    }
    unsetenv("HF_EXIT_BESIDE");
    CHECK_INT_EQ(clean, count);
    stop_services();
}

static const struct hf_test tests[] = {
    {"C75 exit() without fini while the worker is inside TLS: clean each time",
        test_exit_inside_tls},
    {"C75 exit() while another thread is in fini or reload: clean each time", test_exit_beside},
};

int main(int argc, char **argv)
{
    return hf_suite_run("exit", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * How many threads are ours: one, for however many hosts, and only once there is a connection.
 */
#include <stdio.h>

#include "tests/integration/settled.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define SETTINGS "flags = a\nallow_http = loopback\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct hf_plugin *plugin;

#define MANY_HOSTS 1000

static hf_conn many[MANY_HOSTS];

static void connect_many(const char *upstream, size_t first, size_t count)
{
    char org_id[16];

    for (size_t i = first; i < first + count; i++) {
        snprintf(org_id, sizeof(org_id), "%zu", i + 1);
        many[i] = hf_test_connect_to(plugin, upstream, 0, org_id);
        CHECK(many[i] != HF_NO_CONN);
    }
}

/* The service's own threads end with their connections. */
static void test_one_thread(void)
{
    struct hf_flag_service *service;
    int threads;

    service = hf_settled_service();
    threads = hf_fds_threads(0);
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    CHECK_INT_EQ(hf_fds_threads(0), threads);
    connect_many(hf_flag_service_url(service), 0, 1);
    CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == threads + 1, BOUND_MS));
    connect_many(hf_flag_service_url(service), 1, MANY_HOSTS - 1);
    CHECK(hf_flag_service_wait_requests(service, MANY_HOSTS, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == threads + 1, BOUND_MS));
    plugin->fini();
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == threads, BOUND_MS));
    hf_flag_service_stop(service);
}

/* Counts threads once more; whether the host was asked, in vain. */
static bool has_failed(hf_conn conn, int *most_threads)
{
    int threads = hf_fds_threads(0);

    *most_threads = threads > *most_threads ? threads : *most_threads;
    return hf_test_explain(plugin, conn, 0).last_error == HF_FETCH_CONNECT;
}

/* Nobody listens at port 1, so that no thread but ours can come while they are asked. */
static void test_never_more_threads(void)
{
    int most = 0;

    hf_settle();
    CHECK_INT_EQ(hf_test_init(plugin, SETTINGS), HF_OK);
    connect_many("http://127.0.0.1:1", 0, MANY_HOSTS);
    for (size_t i = 0; i < MANY_HOSTS; i++) {
        if (!CHECK(HF_WAIT_UNTIL(has_failed(many[i], &most), BOUND_MS)))
            break;
    }
    CHECK_INT_EQ(most, hf_threads_alone + 1);
    plugin->fini();
}

static const struct hf_test tests[] = {
    {"C58 one thread of ours, with one host and with 1,000", test_one_thread},
    {"C58 and never more while 1,000 hosts are asked", test_never_more_threads},
};

int main(int argc, char **argv)
{
    hf_settled_init();
    plugin = hf_test_host_load(NULL);
    if (!plugin)
        return 1;
    return hf_suite_run("one thread", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A host program that ends by exit() without fini, while the worker is inside its first requests.
 *
 *     run_exit PLUGIN CA_FILE SOCKETS DELAY_US STATUS URL...
 *
 * It connects to each URL under several org ids, waits until SOCKETS more descriptors are open than
 * before (0: does not wait; "answer": until the first URL has answered), lets DELAY_US pass, and
 * calls exit(STATUS). 99: something went wrong. With HF_EXIT_BESIDE=fini (or reload) in the
 * environment another thread has just called that.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/fds.h"
#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define ORG_IDS 3
#define WENT_WRONG 99

/* Returns the first connection. */
static hf_conn connect_all(const struct hf_plugin *plugin, char **urls, int count)
{
    char org_id[16];
    hf_conn conn, first = HF_NO_CONN;

    for (int i = 0; i < count * ORG_IDS; i++) {
        snprintf(org_id, sizeof(org_id), "%d", i + 1);
        conn = hf_test_connect_to(plugin, urls[i % count], 0, org_id);
        if (conn == HF_NO_CONN)
            exit(WENT_WRONG);
        first = first ? first : conn;
    }
    return first;
}

/* The moment of the exit is what is tried out here; nothing is waited for. */
static void let_pass(long delay_us)
{
    const struct timespec delay = {delay_us / 1000000, delay_us % 1000000 * 1000};

    nanosleep(&delay, NULL);
}

static void *call_fini(void *plugin)
{
    ((const struct hf_plugin *)plugin)->fini();
    return NULL;
}

static void *call_reload(void *plugin)
{
    while (((const struct hf_plugin *)plugin)->reload(NULL, 0, NULL, 0) != HF_E_NOTFOUND)
        ; /* it never says that */
    return NULL;
}

/* The thread is not joined: that is the point. */
static void start_beside(const struct hf_plugin *plugin)
{
    const char *what = getenv("HF_EXIT_BESIDE");
    pthread_t thread;

    if (what &&
        pthread_create(
            &thread, NULL, *what == 'f' ? call_fini : call_reload, (void *)(uintptr_t)plugin) != 0)
        exit(WENT_WRONG);
    if (what)
        pthread_detach(thread);
}

int main(int argc, char **argv)
{
    const struct hf_plugin *plugin = argc > 6 ? hf_test_host_load(argv[1]) : NULL;
    int before = hf_fds_count(0);
    hf_conn first;

    if (!plugin || hf_test_init(plugin, "ca_file = %s\n", argv[2]) != HF_OK)
        return WENT_WRONG;
    first = connect_all(plugin, argv + 6, argc - 6);
    if (strcmp(argv[3], "answer") == 0
            ? !HF_WAIT_UNTIL(hf_test_explain(plugin, first, 0).state == HF_STATE_FRESH, BOUND_MS)
            : !HF_WAIT_UNTIL(hf_fds_count(0) >= before + atoi(argv[3]), BOUND_MS))
        return WENT_WRONG;
    let_pass(atol(argv[4]));
    start_beside(plugin);
    exit(atoi(argv[5]));
}

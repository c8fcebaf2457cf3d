/* SPDX-License-Identifier: PostgreSQL
 *
 * A host program that asks once, in a process of its own: for what is decided by the environment or
 * by the terminal.
 *
 *     run_once PLUGIN SETTINGS NAME
 *
 * It starts the plugin with SETTINGS (lines), connects to NAME, waits for an answer of any kind and
 * prints "error=N status=N on=N" and its last message. 99: something went wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 30000
#define WENT_WRONG 99

static bool is_answered(const struct hf_plugin *plugin, hf_conn conn)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, 0);

    return answer.state == HF_STATE_FRESH || answer.last_error != HF_FETCH_OK;
}

static void print_answer(const struct hf_plugin *plugin, hf_conn conn)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, 0);
    char *json = hf_test_status(plugin, HF_STATUS_JSON);
    const char *message = strstr(json, "\"last_message\":");

    printf("error=%d status=%d on=%d %s\n", answer.last_error, answer.http_status, answer.enabled,
        message ? message : "");
    free(json);
}

int main(int argc, char **argv)
{
    const struct hf_plugin *plugin = argc == 4 ? hf_test_host_load(argv[1]) : NULL;
    hf_conn conn;

    if (!plugin)
        return WENT_WRONG;
    if (hf_test_init(plugin, "%s", argv[2]) != HF_OK) {
        printf("init: %s\n", hf_test_error());
        return WENT_WRONG;
    }
    conn = hf_test_connect(plugin, argv[3]);
    if (!HF_WAIT_UNTIL(is_answered(plugin, conn), BOUND_MS))
        return WENT_WRONG;
    print_answer(plugin, conn);
    plugin->fini();
    return 0;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A host program as somebody else would write it: host_api.h, dlopen and the C library, nothing
 * else of this project. It connects to one upstream, waits for its flag, says what it is, and ends.
 *
 *     run_second_host hostflags.so http://127.0.0.1:4711 telemetry
 */
#include "host_api.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAP_NS 2000000 /* between looks at the answer */
#define BOUND_LOOKS 10000

static void print_log(void *ctx, int32_t level, const char *message)
{
    fprintf(ctx, "log %" PRId32 ": %s\n", level, message);
}

static const struct hf_plugin *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct hf_plugin *(*entry)(void) = NULL;

    if (library)
        *(void **)&entry = dlsym(library, HF_ENTRY_SYMBOL);
    if (!entry || entry()->hdr.magic != HF_ABI_MAGIC || entry()->hdr.abi_major != HF_ABI_MAJOR)
        return NULL;
    return entry();
}

/* Waits, with a bound, until the service has answered. A proxy would not: it reads and goes on. */
static struct hf_answer wait_for_answer(const struct hf_plugin *plugin, hf_conn conn, uint32_t flag)
{
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    const struct timespec nap = {.tv_nsec = NAP_NS};

    for (int i = 0; i < BOUND_LOOKS && HF_HAS(plugin, explain); i++) {
        if (plugin->explain(conn, flag, &answer) != HF_OK || answer.state == HF_STATE_FRESH)
            break;
        nanosleep(&nap, NULL);
    }
    return answer;
}

int main(int argc, char **argv)
{
    const struct hf_plugin *plugin = argc == 4 ? load(argv[1]) : NULL;
    struct hf_host host = {.hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(host), 0}};
    struct hf_upstream upstream = {.hdr = host.hdr};
    struct hf_answer answer;
    char error[256];
    int32_t flag;
    hf_conn conn;

    if (!plugin || !HF_HAS(plugin, flag_index))
        return fprintf(stderr, "usage: run_second_host hostflags.so UPSTREAM FLAG\n"), 2;
    const struct hf_setting settings[] = {{"flags", argv[3]}, {"allow_http", "loopback"}};
    host.name = "second-host";
    host.version = "0.1";
    host.ctx = stderr;
    host.log = print_log;
    if (plugin->init(&host, settings, 2, error, sizeof(error)) != HF_OK)
        return fprintf(stderr, "init: %s\n", error), 1;
    flag = plugin->flag_index(argv[3]);
    upstream.hdr.size = sizeof(upstream);
    upstream.host = argv[2];
    conn = plugin->on_connect(&upstream);
    answer = wait_for_answer(plugin, conn, (uint32_t)flag);
    printf("%s %s\n", plugin->name, plugin->version);
    printf("%s is number %" PRId32 " and %s\n", argv[3], flag,
        plugin->is_enabled(conn, (uint32_t)flag) ? "on" : "off");
    printf("state %" PRId32 ", reason %" PRId32 ", http status %" PRId32 "\n", answer.state,
        answer.reason, answer.http_status);
    plugin->on_disconnect(conn);
    plugin->fini();
    printf("after fini: %" PRId32 "\n", plugin->is_enabled(conn, (uint32_t)flag));
    return 0;
}

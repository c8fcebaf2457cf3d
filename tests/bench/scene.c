/* SPDX-License-Identifier: PostgreSQL */
#include "tests/bench/scene.h"

#include "tests/bench/report.h"
#include "tests/support/build_path.h"
#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 120000

const struct hf_plugin *hf_bench_hostflags, *hf_bench_beside, *hf_bench_empty, *hf_bench_ancestor;

void hf_bench_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "\nbench: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    exit(2);
}

static const struct hf_plugin *load(const char *file)
{
    const char *path = hf_build_path(file);
    const struct hf_plugin *plugin = hf_test_host_load(path);

    if (plugin == NULL)
        hf_bench_die("%s could not be loaded, see above", path);
    return plugin;
}

void hf_bench_load_plugins(void)
{
    char error[256];

    hf_bench_hostflags = load("hostflags.so");
    hf_bench_beside = load("tests/bench/hostflags_beside.so");
    hf_bench_empty = load("tests/bench/plugin_empty.so");
    hf_bench_ancestor = load("tests/bench/plugin_ancestor.so");
    if (hf_bench_beside == hf_bench_hostflags)
        hf_bench_die("the copy of hostflags.so is not one");
    if (hf_bench_ancestor->init(NULL, NULL, 0, error, sizeof(error)) != HF_OK)
        hf_bench_die("the ancestor does not start: %s", error);
}

/* A host that logs nothing, as one with a usual level does while all goes well. */
static void discard(void *ctx, int32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

__attribute__((format(printf, 2, 0))) static void init(
    const struct hf_plugin *plugin, const char *format, va_list args)
{
    struct hf_host host = hf_test_host();
    char settings[4096];

    host.log = discard;
    vsnprintf(settings, sizeof(settings), format, args);
    if (hf_test_init_with(plugin, &host, "%s", settings) != HF_OK)
        hf_bench_die("init failed: %s", hf_test_error());
}

void hf_bench_init(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    init(hf_bench_hostflags, format, args);
    va_end(args);
}

void hf_bench_init_beside(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    init(hf_bench_beside, format, args);
    va_end(args);
}

void hf_bench_name(uint32_t i, char name[HF_BENCH_NAME_SIZE])
{
    snprintf(name, HF_BENCH_NAME_SIZE, "adb-%016u.%u.azuredatabricks.net", i, i % 20);
}

hf_conn hf_bench_connect(const struct hf_plugin *plugin, uint32_t i)
{
    char name[HF_BENCH_NAME_SIZE];
    hf_conn conn;

    hf_bench_name(i, name);
    conn = hf_test_connect(plugin, name);
    if (conn == HF_NO_CONN)
        hf_bench_die("%s refused a connection to %s", plugin->name, name);
    return conn;
}

hf_conn *hf_bench_connect_all(const struct hf_plugin *plugin, size_t count, uint32_t upstreams)
{
    hf_conn *conns = malloc(count * sizeof(conns[0]));

    if (conns == NULL)
        hf_bench_die("no memory for %zu connections", count);
    for (size_t i = 0; i < count; i++)
        conns[i] = hf_bench_connect(plugin, (uint32_t)(i % upstreams));
    return conns;
}

void hf_bench_disconnect_all(const struct hf_plugin *plugin, hf_conn *conns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        plugin->on_disconnect(conns[i]);
    free(conns);
}

void hf_bench_wait_on(const struct hf_plugin *plugin, const hf_conn *conns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i % 500 == 0)
            hf_bench_progress("%zu of %zu hosts have answered", i, count);
        if (!HF_WAIT_UNTIL(plugin->is_enabled(conns[i], 0) == 1, WAIT_MS))
            hf_bench_die(
                "host number %zu of %zu has no value after %d s", i, count, WAIT_MS / 1000);
    }
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Loading, settings, connecting. The captured log is in host_log.c, the reader of status() in
 * host_status.c.
 */
#include "tests/support/build_path.h"
#include "tests/support/host.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/host_log.h"

#define BLANKS " \t\r"

static void *library;
static char error_text[1024];

const char *hf_test_plugin_path(void)
{
    static char path[4096]; /* it lasts, whatever other paths are asked for */
    const char *plugin = getenv("HF_PLUGIN");

    if (plugin && *plugin)
        return plugin;
    snprintf(path, sizeof(path), "%s", hf_build_path("hostflags.so"));
    return path;
}

/* dlopen takes a name without a slash for one to be searched for. */
static void *open_library(const char *path)
{
    char here[4096];

    if (strchr(path, '/'))
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    snprintf(here, sizeof(here), "./%s", path);
    return dlopen(here, RTLD_NOW | RTLD_LOCAL);
}

const struct hf_plugin *hf_test_host_load(const char *path)
{
    const struct hf_plugin *(*entry)(void);
    const struct hf_plugin *plugin;

    library = open_library(path ? path : hf_test_plugin_path());
    if (!library) {
        fprintf(stderr, "cannot load the plugin: %s\n", dlerror());
        return NULL;
    }
    *(void **)&entry = dlsym(library, HF_ENTRY_SYMBOL);
    plugin = entry ? entry() : NULL;
    if (plugin && plugin->hdr.magic == HF_ABI_MAGIC && plugin->hdr.abi_major == HF_ABI_MAJOR)
        return plugin;
    fprintf(stderr, "the plugin has no " HF_ENTRY_SYMBOL " or another version\n");
    hf_test_host_unload();
    return NULL;
}

void hf_test_host_unload(void)
{
    if (library)
        dlclose(library);
    library = NULL;
}

struct hf_host hf_test_host(void)
{
    return (struct hf_host){
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_host), 0},
        .name = "test",
        .version = "1.0",
        .log = hf_test_log_append,
    };
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && strchr(BLANKS, end[-1]))
        *--end = '\0';
    return text + strspn(text, BLANKS);
}

void hf_test_settings_parse(struct hf_test_settings *settings, const char *text)
{
    char *rest, *line;
    size_t lines = 1;

    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    settings->count = 0;
    settings->items = calloc(lines, sizeof(*settings->items));
    settings->text = rest = strdup(text);
    if (!settings->items || !rest)
        abort();
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, '=');

        if (*trim(line) == '\0' || *trim(line) == '#')
            continue;
        if (value)
            *value++ = '\0';
        settings->items[settings->count].key = trim(line);
        settings->items[settings->count++].value = value ? trim(value) : "";
    }
}

void hf_test_settings_free(struct hf_test_settings *settings)
{
    free(settings->items);
    free(settings->text);
}

/* init, or reload when there is no host. */
__attribute__((format(printf, 3, 0))) static int32_t apply(
    const struct hf_plugin *plugin, const struct hf_host *host, const char *format, va_list args)
{
    struct hf_test_settings settings;
    char *text;
    int32_t result;

    if (vasprintf(&text, format, args) < 0)
        abort();
    hf_test_settings_parse(&settings, text);
    error_text[0] = '\0';
    if (host)
        result = plugin->init(host, settings.items, settings.count, error_text, sizeof(error_text));
    else
        result = plugin->reload(settings.items, settings.count, error_text, sizeof(error_text));
    hf_test_settings_free(&settings);
    free(text);
    return result;
}

int32_t hf_test_init(const struct hf_plugin *plugin, const char *format, ...)
{
    struct hf_host host = hf_test_host();
    va_list args;
    int32_t result;

    va_start(args, format);
    result = apply(plugin, &host, format, args);
    va_end(args);
    return result;
}

int32_t hf_test_init_with(
    const struct hf_plugin *plugin, const struct hf_host *host, const char *format, ...)
{
    va_list args;
    int32_t result;

    va_start(args, format);
    result = apply(plugin, host, format, args);
    va_end(args);
    return result;
}

int32_t hf_test_reload(const struct hf_plugin *plugin, const char *format, ...)
{
    va_list args;
    int32_t result;

    va_start(args, format);
    result = apply(plugin, NULL, format, args);
    va_end(args);
    return result;
}

const char *hf_test_error(void)
{
    return error_text;
}

hf_conn hf_test_connect(const struct hf_plugin *plugin, const char *host)
{
    return hf_test_connect_to(plugin, host, 0, NULL);
}

hf_conn hf_test_connect_to(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *org_id)
{
    const struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0},
        .host = host,
        .port = port,
        .org_id = org_id,
    };

    return plugin->on_connect(&upstream);
}

struct hf_answer hf_test_explain(const struct hf_plugin *plugin, hf_conn conn, uint32_t flag)
{
    const struct hf_header header = {
        HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_answer), 0};
    struct hf_answer answer = {.hdr = header};

    if (plugin->explain(conn, flag, &answer) != HF_OK)
        memset(&answer, 0, sizeof(answer));
    return answer;
}

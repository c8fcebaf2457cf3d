/* SPDX-License-Identifier: PostgreSQL
 *
 * The real functions are found once, before there are threads.
 */
#include "tests/oom/within.h"

#include "tests/oom/allocations.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

static CURLcode (*real_global_init)(long flags);
static struct json_object *(*real_parse)(struct json_tokener *, const char *, int);

static void *find(void *plugin, const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function && plugin)
        function = dlsym(plugin, name);
    if (!function) {
        fprintf(stderr, "within.c: there is no %s\n", name);
        exit(1);
    }
    return function;
}

void hf_within_prepare(const char *plugin_path)
{
    void *plugin = plugin_path ? dlopen(plugin_path, RTLD_NOW | RTLD_NOLOAD) : NULL;

    *(void **)&real_global_init = find(plugin, "curl_global_init");
    *(void **)&real_parse = find(plugin, "json_tokener_parse_ex");
    if (plugin)
        dlclose(plugin);
}

CURLcode curl_global_init(long flags)
{
    enum hf_within before = hf_allocations_within(HF_WITHIN_CURL_GLOBAL_INIT);
    CURLcode code = real_global_init(flags);

    hf_allocations_within(before);
    return code;
}

struct json_object *json_tokener_parse_ex(struct json_tokener *tokener, const char *text, int bytes)
{
    enum hf_within before = hf_allocations_within(HF_WITHIN_JSON_PARSE);
    struct json_object *value = real_parse(tokener, text, bytes);

    hf_allocations_within(before);
    return value;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * flags.c: see flags.h. The order of calls is the contract's: init while the configuration is read;
 * on_connect when a connection to an upstream was opened, on_disconnect when it is gone; is_enabled
 * where the answer is needed; fini at the end.
 */
#include "hosts/proxy/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosts/loader.h"
#include "hosts/proxy/log.h"

/* Written by load and unload only, while no other thread runs. */
static struct hf_loader loader;

static const struct hf_host host = {
    .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_host), 0},
    .name = "hostflags-host",
    .version = HF_VERSION,
    .ctx = (void *)"plugin: ",
    .log = hf_log_from_plugin,
};

int hf_flags_load(const struct hf_config *config, char *error, size_t error_size)
{
    const struct hf_config_plugin *entry = &config->plugin;
    int result;

    if (!entry->name)
        return HF_OK;
    result = hf_loader_load(
        &loader, entry->library, &host, entry->settings, entry->setting_count, error, error_size);
    if (result == HF_OK)
        hf_log(HF_LOG_INFO, "plugin `%s`: %s %s loaded from %s", entry->name, loader.plugin->name,
            loader.plugin->version, entry->library);
    return result;
}

/* Position 0 is the plugin's first flag, which needs no look-up. */
static int resolve(struct hf_config_upstream *upstream, const char *flag, char *error, size_t size)
{
    int32_t position = 0;

    if (flag && !HF_HAS(loader.plugin, flag_index)) {
        snprintf(error, size,
            "telemetry_flag = %s cannot be looked up for upstream `%s`, since the plugin %s %s has "
            "no flag_index; leave the key out to use the plugin's first flag",
            flag, upstream->name, loader.plugin->name, loader.plugin->version);
        return HF_E_NOTFOUND;
    }
    if (flag)
        position = loader.plugin->flag_index(flag);
    if (position < 0) {
        snprintf(error, size,
            "telemetry_flag = %s for upstream `%s` is unknown to the plugin; expected one of the "
            "names in its setting `flags`",
            flag, upstream->name);
        return HF_E_NOTFOUND;
    }
    upstream->flag = (uint32_t)position;
    return HF_OK;
}

int hf_flags_resolve(struct hf_config *config, char *error, size_t error_size)
{
    int result = HF_OK;

    for (size_t i = 0; loader.plugin && result == HF_OK && i < config->upstream_count; i++) {
        struct hf_config_upstream *upstream = &config->upstreams[i];

        result = resolve(upstream,
            upstream->telemetry_flag ? upstream->telemetry_flag : config->telemetry_flag, error,
            error_size);
    }
    return result;
}

static bool same_settings(const struct hf_config_plugin *one, const struct hf_config_plugin *other)
{
    if (one->setting_count != other->setting_count)
        return false;
    for (size_t i = 0; i < one->setting_count; i++)
        if (strcmp(one->settings[i].key, other->settings[i].key) != 0 ||
            strcmp(one->settings[i].value, other->settings[i].value) != 0)
            return false;
    return true;
}

int hf_flags_reload(
    const struct hf_config *old, const struct hf_config *config, char *error, size_t error_size)
{
    const struct hf_config_plugin *before = &old->plugin, *now = &config->plugin;

    if (!before->name != !now->name || (now->name && strcmp(before->library, now->library) != 0)) {
        hf_log(HF_LOG_WARNING,
            "the plugin section was added, removed or names another library: this needs a restart; "
            "the plugin stays as it is");
        return HF_OK;
    }
    if (!loader.plugin)
        return HF_OK;
    if (HF_HAS(loader.plugin, reload))
        return loader.plugin->reload(now->settings, now->setting_count, error, error_size);
    if (!same_settings(before, now))
        hf_log(HF_LOG_WARNING,
            "the settings of plugin `%s` have changed: %s %s cannot reload, so this needs a "
            "restart; the old ones stay",
            now->name, loader.plugin->name, loader.plugin->version);
    return HF_OK;
}

bool hf_flags_knows(const char *name)
{
    return !loader.plugin || !HF_HAS(loader.plugin, flag_index) ||
        loader.plugin->flag_index(name) >= 0;
}

hf_conn hf_flags_connect(const struct hf_config_upstream *upstream)
{
    struct hf_upstream facts = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(facts), 0},
        .host = upstream->host,
        .port = 0, /* ours is the database's port; the flag service has its own */
        .org_id = upstream->org_id,
    };

    return loader.plugin ? loader.plugin->on_connect(&facts) : HF_NO_CONN;
}

void hf_flags_disconnect(hf_conn conn)
{
    if (loader.plugin)
        loader.plugin->on_disconnect(conn);
}

bool hf_flags_enabled(hf_conn conn, const struct hf_config_upstream *upstream)
{
    return loader.plugin && loader.plugin->is_enabled(conn, upstream->flag) == 1;
}

/* The text may grow between the two calls: then once more. */
static char *ask_status(int32_t format)
{
    char *text = NULL;
    size_t needed = 0, size;

    do {
        char *grown;

        size = needed + 1024;
        grown = realloc(text, size);
        if (!grown) {
            free(text);
            return NULL;
        }
        text = grown;
        *text = '\0';
        needed = loader.plugin->status(format, text, size);
    } while (needed >= size);
    return text;
}

char *hf_flags_status(int32_t format)
{
    static const char *const nothing[] = {
        [HF_STATUS_JSON] = "{}",
        [HF_STATUS_PROMETHEUS] = "# no plugin is loaded, or it has no status in this form\n",
    };
    char *text = NULL;

    if (loader.plugin && HF_HAS(loader.plugin, status)) {
        text = ask_status(format);
        if (!text || *text)
            return text;
    }
    free(text);
    return strdup(nothing[format]);
}

void hf_flags_unload(void)
{
    hf_loader_unload(&loader);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * loader.c: see loader.h. Each step below refuses with a sentence of its own; the order is from the
 * file to the table, so that the first refusal is the most useful one. dlopen's own messages are
 * kept for what only it can know (a missing symbol, a wrong machine): it calls a directory "cannot
 * read file data" and a text file "invalid ELF header".
 */
#include "loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a plugin file is called in the sentences, and where the sentence goes. */
struct refusal {
    const char *path;
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(
    const struct refusal *refusal, int result, const char *format, ...)
{
    char reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    if (refusal->text && refusal->size > 0)
        snprintf(
            refusal->text, refusal->size, "cannot load plugin \"%s\": %s", refusal->path, reason);
    return result;
}

/* The name for dlopen, which searches the system's library path for a name without '/'. */
static int locate(const struct refusal *refusal, char *file, size_t size)
{
    const char *prefix = strchr(refusal->path, '/') ? "" : "./";

    if (!*refusal->path)
        return refuse(
            refusal, HF_E_SYSTEM, "the file name is empty; expected the path of a plugin");
    if ((size_t)snprintf(file, size, "%s%s", prefix, refusal->path) >= size)
        return refuse(refusal, HF_E_SYSTEM, "the path is longer than %zu bytes", size - 1);
    return HF_OK;
}

static int check_missing(const struct refusal *refusal, const char *file, int reason)
{
    if (reason != ENOENT || strchr(refusal->path, '/'))
        return refuse(
            refusal, HF_E_SYSTEM, "%s; expected a readable shared library", strerror(reason));
    return refuse(refusal, HF_E_SYSTEM,
        "%s; looked for %s only, since a name without '/' means the working directory",
        strerror(reason), file);
}

static int check_file(const struct refusal *refusal, const char *file)
{
    char magic[SELFMAG] = "";
    struct stat facts;
    int result = HF_OK;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return check_missing(refusal, file, errno);
    if (fstat(fd, &facts) != 0)
        result = check_missing(refusal, file, errno);
    else if (S_ISDIR(facts.st_mode))
        result = refuse(refusal, HF_E_SYSTEM, "it is a directory; expected a shared library");
    else if (!S_ISREG(facts.st_mode))
        result = refuse(refusal, HF_E_SYSTEM, "it is no regular file; expected a shared library");
    else if (read(fd, magic, SELFMAG) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0)
        result = refuse(refusal, HF_E_SYSTEM, "it is no ELF object; expected a shared library");
    close(fd);
    return result;
}

static const char *missing_member(const struct hf_plugin *plugin)
{
    return !plugin->name         ? "name"
        : !plugin->version       ? "version"
        : !plugin->init          ? "init"
        : !plugin->on_connect    ? "on_connect"
        : !plugin->on_disconnect ? "on_disconnect"
        : !plugin->is_enabled    ? "is_enabled"
        : !plugin->fini          ? "fini"
                                 : NULL;
}

static int check_table(const struct refusal *refusal, const struct hf_plugin *plugin)
{
    const size_t mandatory = offsetof(struct hf_plugin, flag_index);
    const char *missing;

    if (!plugin)
        return refuse(refusal, HF_E_ABI, "%s returned NULL; expected a table", HF_ENTRY_SYMBOL);
    if (plugin->hdr.magic != HF_ABI_MAGIC)
        return refuse(refusal, HF_E_ABI,
            "its table starts with the magic number 0x%08x; expected 0x%08x", plugin->hdr.magic,
            HF_ABI_MAGIC);
    if (plugin->hdr.abi_major != HF_ABI_MAJOR)
        return refuse(refusal, HF_E_ABI,
            "it speaks major version %u of the plugin interface; this program speaks version %d",
            plugin->hdr.abi_major, HF_ABI_MAJOR);
    if (plugin->hdr.size < mandatory)
        return refuse(refusal, HF_E_ABI,
            "its table has %u bytes; expected at least %zu, up to the member fini",
            plugin->hdr.size, mandatory);
    missing = missing_member(plugin);
    if (missing)
        return refuse(refusal, HF_E_ABI,
            "the member %s of its table is NULL; expected all members up to fini", missing);
    return HF_OK;
}

/* Opens the library and finds its table. */
static int open_object(struct hf_loader *opened, const struct refusal *refusal, const char *file)
{
    const struct hf_plugin *(*entry)(void);

    opened->object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!opened->object)
        return refuse(refusal, HF_E_SYSTEM, "%s", dlerror());
    /* The conversion that POSIX's dlsym asks for and ISO C has no word for. */
    *(void **)&entry = dlsym(opened->object, HF_ENTRY_SYMBOL);
    if (!entry)
        return refuse(
            refusal, HF_E_ABI, "it is no hostflags plugin: it has no function " HF_ENTRY_SYMBOL);
    opened->plugin = entry();
    return check_table(refusal, opened->plugin);
}

static int initialise(const struct hf_plugin *plugin, const struct refusal *refusal,
    const struct hf_host *host, const struct hf_setting *settings, size_t count)
{
    char reason[400] = "";
    int result = plugin->init(host, settings, count, reason, sizeof(reason));

    if (result == HF_OK)
        return HF_OK;
    if (*reason)
        return refuse(refusal, result, "%s %s says: %s", plugin->name, plugin->version, reason);
    return refuse(refusal, result, "%s %s refused to start with result %d and no explanation",
        plugin->name, plugin->version, result);
}

int hf_loader_load(struct hf_loader *loader, const char *path, const struct hf_host *host,
    const struct hf_setting *settings, size_t count, char *error, size_t error_size)
{
    const struct refusal refusal = {.path = path, .text = error, .size = error_size};
    struct hf_loader opened = {0};
    char file[4096];
    int result;

    if (loader->plugin)
        return refuse(&refusal, HF_E_STATE, "a plugin is loaded already");
    result = locate(&refusal, file, sizeof(file));
    if (result == HF_OK)
        result = check_file(&refusal, file);
    if (result == HF_OK)
        result = open_object(&opened, &refusal, file);
    if (result == HF_OK)
        result = initialise(opened.plugin, &refusal, host, settings, count);
    if (result == HF_OK)
        *loader = opened;
    else if (opened.object)
        dlclose(opened.object);
    return result;
}

void hf_loader_unload(struct hf_loader *loader)
{
    if (!loader->plugin)
        return;
    loader->plugin->fini();
    dlclose(loader->object);
    *loader = (struct hf_loader){0};
}

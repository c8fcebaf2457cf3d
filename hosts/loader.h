/* SPDX-License-Identifier: PostgreSQL
 *
 * loader.h: loads a hostflags plugin into a host program. loader.c and this header need nothing but
 * host_api.h and the C library (link with -ldl): any proxy written in C can take them over as they
 * are.
 *
 * What it does: looks at the file, opens it (RTLD_NOW | RTLD_LOCAL), finds the entry function,
 * checks the table's header and its mandatory members, and calls init with the settings of the
 * host's config section. Afterwards the host calls the table itself:
 *
 *     struct hf_loader flags = {0};
 *     char error[512];
 *     if (hf_loader_load(&flags, path, &host, settings, count, error, sizeof(error)) != HF_OK)
 *         give_up("%s", error);
 *     ...
 *     connection->flags = flags.plugin->on_connect(&upstream);
 *     if (flags.plugin->is_enabled(connection->flags, 0))
 *         ...
 *     flags.plugin->on_disconnect(connection->flags);
 *     ...
 *     hf_loader_unload(&flags);
 *
 * Threads: load and unload are called from one thread, before the first and after the last
 * call of the table; the table's own functions have the rules of host_api.h.
 */
#ifndef HOSTFLAGS_LOADER_H
#define HOSTFLAGS_LOADER_H

#include "host_api.h"

/* The caller's storage; zero it before the first load. Both members are NULL while nothing is
 * loaded. The caller reads `plugin` and nothing else. */
struct hf_loader {
    const struct hf_plugin *plugin; /* checked and initialised; lives until unload */
    void *object; /* what dlopen returned */
};

/* Loads the plugin in the file `path` and initialises it. A path without '/' means a file in the
 * working directory: the system's library path is never searched.
 *
 * host and settings go to the plugin's init as they are and are borrowed by its rules (host may be
 * NULL). All or nothing: on an error nothing stays loaded, and error (may be NULL when error_size
 * is 0; NUL-terminated otherwise) has one sentence that names the file, the reason and what was
 * expected. HF_E_SYSTEM: no such file, a directory, no permission, not a library. HF_E_ABI: a
 * library, but no plugin of this version. HF_E_STATE: the loader holds a plugin already. Anything
 * else is what the plugin's init returned. */
int hf_loader_load(struct hf_loader *loader, const char *path, const struct hf_host *host,
    const struct hf_setting *settings, size_t count, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Calls fini and closes the library. Does nothing when nothing is loaded. */
void hf_loader_unload(struct hf_loader *loader);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * The plugin exports one symbol, so its functions are asked of addr2line (binutils).
 */
#include "tests/oom/where.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* "function at file:line", or "". The address is behind the call. */
static void ask_addr2line(const Dl_info *info, const char *address, char *line, int size)
{
    char command[512];
    FILE *answer;

    snprintf(command, sizeof(command), "addr2line -s -f -p -e '%s' %#tx 2>/dev/null",
        info->dli_fname, address - 1 - (const char *)info->dli_fbase);
    line[0] = '\0';
    answer = popen(command, "r");
    if (!answer)
        return;
    if (fgets(line, size, answer))
        line[strcspn(line, "\n")] = '\0';
    pclose(answer);
}

const char *hf_where(void *address)
{
    static char text[512];
    char line[256];
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(text, sizeof(text), "%p", address);
        return text;
    }
    ask_addr2line(&info, address, line, sizeof(line));
    snprintf(text, sizeof(text), "%s in %s",
        line[0] != '\0' && line[0] != '?' ? line
            : info.dli_sname              ? info.dli_sname
                                          : "?",
        base_name(info.dli_fname));
    return text;
}

struct place {
    uintptr_t address;
    const char *object;
};

static int is_place_in(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct place *place = arg;

    (void)size;
    if (!strstr(info->dlpi_name, place->object))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD &&
            place->address - (info->dlpi_addr + part->p_vaddr) < part->p_memsz)
            return 1;
    }
    return 0;
}

/* dladdr would look through all names of the object. */
bool hf_where_is_in(const void *address, const char *object)
{
    struct place place = {(uintptr_t)address, object};

    return dl_iterate_phdr(is_place_in, &place) != 0;
}

void hf_where_print(void *const *frames, int depth)
{
    Dl_info own, info;

    if (!dladdr((void *)(size_t)hf_where_print, &own))
        return;
    for (int i = 0; i < depth; i++) {
        if (dladdr(frames[i], &info) && info.dli_fbase == own.dli_fbase)
            continue;
        printf("     %s\n", hf_where(frames[i]));
    }
}

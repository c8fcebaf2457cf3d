/* SPDX-License-Identifier: PostgreSQL
 *
 * test_loader.c: hosts/loader.[ch] with good, wrong, older and newer plugins (tests/contract) and
 * with files that are no plugins at all. Each refusal is compared with what its sentence has to
 * say.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosts/loader.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"

enum { ERROR_SIZE = 1024 };

static char last_log[256];

static void keep_log(void *ctx, int32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    snprintf(last_log, sizeof(last_log), "%s", message);
}

/* A path in the build folder: in one of some buffers, so that two can be used in one expression. */
static const char *plugin_path(const char *name)
{
    static char paths[2][512];
    static unsigned next;
    const char *build = getenv("HF_BUILD");
    char *path = paths[next++ % 2];

    snprintf(
        path, sizeof(paths[0]), "%s/tests/contract/plugin_%s.so", build ? build : "build", name);
    return path;
}

static bool is_loaded(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

    if (object)
        dlclose(object);
    return object != NULL;
}

/* Loads what must be refused; the sentence names the file and has the given part, which also says
 * what was expected. */
static void check_refused(const char *path, int result, const char *part)
{
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "";

    CHECK_INT_EQ(hf_loader_load(&loader, path, NULL, NULL, 0, error, sizeof(error)), result);
    CHECK_STR_CONTAINS(error, path);
    CHECK_STR_CONTAINS(error, part);
    CHECK(loader.plugin == NULL);
    CHECK(loader.object == NULL);
    hf_loader_unload(&loader);
}

static void check_plugin_refused(const char *name, const char *part)
{
    check_refused(plugin_path(name), HF_E_ABI, part);
    CHECK(!is_loaded(plugin_path(name)));
}

static void test_wrong_magic(void)
{
    check_plugin_refused("wrong_magic", "magic number 0x21464c45; expected 0x48464c47");
}

static void test_wrong_major(void)
{
    check_plugin_refused(
        "wrong_major", "major version 2 of the plugin interface; this program speaks version 1");
}

static void test_small_table(void)
{
    char part[100];

    snprintf(part, sizeof(part), "table has %zu bytes; expected at least %zu",
        offsetof(struct hf_plugin, fini), offsetof(struct hf_plugin, flag_index));
    check_plugin_refused("too_small", part);
}

static void test_null_member(void)
{
    check_plugin_refused("null_member", "is_enabled of its table is NULL; expected all members");
}

static void test_null_table(void)
{
    check_plugin_refused("null_table", "hf_plugin_entry_v1 returned NULL; expected a table");
}

static void test_older(void)
{
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "";

    if (!CHECK_INT_EQ(
            hf_loader_load(&loader, plugin_path("older"), NULL, NULL, 0, error, sizeof(error)),
            HF_OK))
        return;
    CHECK(!HF_HAS(loader.plugin, flag_index));
    CHECK(!HF_HAS(loader.plugin, status));
    CHECK(!HF_HAS(loader.plugin, reload));
    CHECK_INT_EQ(loader.plugin->is_enabled(HF_NO_CONN, 0), 0);
    hf_loader_unload(&loader);
    CHECK(loader.plugin == NULL);
    CHECK(!is_loaded(plugin_path("older")));
}

static void test_newer(void)
{
    const struct hf_host host = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(host), 0}, .log = keep_log};
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "", expected[100];

    if (!CHECK_INT_EQ(
            hf_loader_load(&loader, plugin_path("newer"), &host, NULL, 0, error, sizeof(error)),
            HF_OK))
        return;
    CHECK(loader.plugin->hdr.size > sizeof(struct hf_plugin));
    snprintf(expected, sizeof(expected), "host table of %zu bytes", sizeof(host));
    CHECK_STR_EQ(last_log, expected);
    if (CHECK(HF_HAS(loader.plugin, flag_index)))
        CHECK_INT_EQ(loader.plugin->flag_index("any"), 7);
    CHECK(!HF_HAS(loader.plugin, status));
    hf_loader_unload(&loader);
}

/* A host made before `log` was added to struct hf_host: the plugin must not look for it. */
static void test_older_host(void)
{
    const struct hf_host host = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, offsetof(struct hf_host, log), 0},
        .log = keep_log};
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "";

    snprintf(last_log, sizeof(last_log), "nothing");
    if (!CHECK_INT_EQ(
            hf_loader_load(&loader, plugin_path("newer"), &host, NULL, 0, error, sizeof(error)),
            HF_OK))
        return;
    CHECK_STR_EQ(last_log, "nothing");
    hf_loader_unload(&loader);
}

static void test_failing_init(void)
{
    const struct hf_setting setting = {"ttl", "soon"};
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "";

    CHECK_INT_EQ(hf_loader_load(
                     &loader, plugin_path("failing_init"), NULL, &setting, 1, error, sizeof(error)),
        HF_E_INVALID);
    CHECK_STR_CONTAINS(error, plugin_path("failing_init"));
    CHECK_STR_CONTAINS(error, "stub 0 says: bad value soon for ttl");
    CHECK(loader.plugin == NULL);
    CHECK(!is_loaded(plugin_path("failing_init")));
    check_refused(plugin_path("failing_init"), HF_E_SYSTEM, "result -6 and no explanation");
}

static void test_no_entry(void)
{
    check_plugin_refused(
        "no_entry", "is no hostflags plugin: it has no function hf_plugin_entry_v1");
}

static void test_missing(void)
{
    check_refused("/nowhere/hostflags.so", HF_E_SYSTEM, "No such file or directory; expected");
    check_refused("", HF_E_SYSTEM, "name is empty; expected the path of a plugin");
}

static void test_directory(void)
{
    check_refused("/tmp", HF_E_SYSTEM, "is a directory; expected a shared library");
    check_refused("/dev/null", HF_E_SYSTEM, "is no regular file; expected a shared library");
}

static void test_no_elf(void)
{
    char *directory = hf_tmpdir_create();
    char *text = hf_tmpdir_write(directory, "plugin.so", "int main;\n");
    char *empty = hf_tmpdir_write(directory, "empty.so", "");
    char *broken = hf_tmpdir_write(directory, "broken.so", "\177ELF and no more of it");

    check_refused(text, HF_E_SYSTEM, "is no ELF object; expected a shared library");
    check_refused(empty, HF_E_SYSTEM, "is no ELF object; expected a shared library");
    check_refused(broken, HF_E_SYSTEM, "broken.so");
    free(text);
    free(empty);
    free(broken);
    hf_tmpdir_remove(directory);
}

/* Where a name without a slash is looked for: not in /lib, where libc.so.6 would be found. */
static void test_no_slash(void)
{
    check_refused("libc.so.6", HF_E_SYSTEM, "looked for ./libc.so.6 only");
}

/* In a child, since a file cannot be unreadable for root. (Static: where valgrind sees them in the
 * child as well.) */
static void test_no_permission(void)
{
    static char *directory, *path;
    int status = 0;
    pid_t child;

    directory = hf_tmpdir_create();
    path = hf_tmpdir_write(directory, "secret.so", "\177ELF");
    chmod(directory, 0755);
    chmod(path, 0);
    child = fork();
    if (child == 0) {
        struct hf_loader loader = {0};
        char error[ERROR_SIZE] = "";
        bool as_expected;

        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        as_expected =
            hf_loader_load(&loader, path, NULL, NULL, 0, error, sizeof(error)) == HF_E_SYSTEM &&
            strstr(error, "Permission denied; expected a readable") != NULL;
        _exit(as_expected ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT_EQ(status, 0);
    free(path);
    hf_tmpdir_remove(directory);
}

static void test_twice(void)
{
    struct hf_loader loader = {0};
    char error[ERROR_SIZE] = "";

    if (!CHECK_INT_EQ(hf_loader_load(&loader, plugin_path("older"), NULL, NULL, 0, NULL, 0), HF_OK))
        return;
    CHECK_INT_EQ(hf_loader_load(&loader, plugin_path("newer"), NULL, NULL, 0, error, sizeof(error)),
        HF_E_STATE);
    CHECK_STR_CONTAINS(error, "a plugin is loaded already");
    CHECK_STR_EQ(loader.plugin->name, "stub");
    hf_loader_unload(&loader);
    hf_loader_unload(&loader);
    CHECK_INT_EQ(hf_loader_load(&loader, plugin_path("newer"), NULL, NULL, 0, NULL, 0), HF_OK);
    hf_loader_unload(&loader);
}

/* Refusals without room for a sentence, and with too little. */
static void test_no_buffer(void)
{
    struct hf_loader loader = {0};
    char tiny[8] = "";

    CHECK_INT_EQ(hf_loader_load(&loader, "/nowhere", NULL, NULL, 0, NULL, 0), HF_E_SYSTEM);
    CHECK_INT_EQ(hf_loader_load(&loader, "/nowhere", NULL, NULL, 0, tiny, 0), HF_E_SYSTEM);
    CHECK_STR_EQ(tiny, "");
    CHECK_INT_EQ(
        hf_loader_load(&loader, "/nowhere", NULL, NULL, 0, tiny, sizeof(tiny)), HF_E_SYSTEM);
    CHECK_STR_EQ(tiny, "cannot ");
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C86 a table with another magic number is refused", test_wrong_magic},
        {"C86 a table of another major version is refused", test_wrong_major},
        {"C86 a table without all mandatory members is refused", test_small_table},
        {"C86 a mandatory member that is NULL is refused by name", test_null_member},
        {"C86 an entry that gives no table is refused", test_null_table},
        {"C86 an older plugin works; members beyond its size do not exist", test_older},
        {"C86 a newer plugin works; its unknown tail is ignored", test_newer},
        {"C86 an older host works; the plugin does not look beyond its table", test_older_host},
        {"C83 settings that the plugin refuses are reported in its words", test_failing_init},
        {"C88 a library that is no plugin is refused", test_no_entry},
        {"C88 a missing file is refused", test_missing},
        {"C88 a directory and a device are refused", test_directory},
        {"C88 a file that is no library is refused", test_no_elf},
        {"C88 a name without a slash is not searched in the library path", test_no_slash},
        {"C88 a file that must not be read is refused", test_no_permission},
        {"C78 a loader is loaded once, unloaded, and loaded again", test_twice},
        {"C87 refusals without room for their sentence do no harm", test_no_buffer},
    };

    return hf_suite_run("loader", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * The binary side of the contract, as numbers: a host that was compiled long ago relies on each of
 * them. And the header and the object file as a compiler and a loader see them, and a second host
 * program that knows nothing but the header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/build_path.h"
#include "tests/support/flag_service.h"
#include "tests/support/host.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 60000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct number {
    const char *name;
    long long actual, expected;
};

static void check_numbers(const struct number *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hf_check_int(numbers[i].actual, numbers[i].expected, numbers[i].name, __FILE__, __LINE__);
}

#define VALUE(name, expected) \
    { \
#name, (long long)(name), (expected) \
    }
#define AT(type, member, expected) \
    { \
#type "." #member, (long long)offsetof(struct type, member), (expected) \
    }
#define SIZE(type, expected) \
    { \
        "sizeof " #type, (long long)sizeof(struct type), (expected) \
    }
/* No padding at the end: the last member ends where the struct does. */
#define END(type, last) \
    { \
        "end of " #type, \
            (long long)(offsetof(struct type, last) + sizeof(((struct type *)0)->last)), \
            (long long)sizeof(struct type) \
    }

static void test_values(void)
{
    static const struct number numbers[] = {VALUE(HF_ABI_MAGIC, 0x48464C47), VALUE(HF_ABI_MAJOR, 1),
        VALUE(HF_ABI_MINOR, 0), VALUE(HF_NO_CONN, 0), VALUE(sizeof(hf_conn), 8), VALUE(HF_OK, 0),
        VALUE(HF_E_INVALID, -1), VALUE(HF_E_ABI, -2), VALUE(HF_E_NOMEM, -3), VALUE(HF_E_STATE, -4),
        VALUE(HF_E_NOTFOUND, -5), VALUE(HF_E_SYSTEM, -6), VALUE(HF_E_TOO_SOON, -7),
        VALUE(HF_LOG_ERROR, 0), VALUE(HF_LOG_WARNING, 1), VALUE(HF_LOG_INFO, 2),
        VALUE(HF_LOG_DEBUG, 3), VALUE(HF_STATE_UNKNOWN, 0), VALUE(HF_STATE_FRESH, 1),
        VALUE(HF_STATE_STALE, 2), VALUE(HF_STATE_EXPIRED, 3), VALUE(HF_REASON_DEFAULT, 0),
        VALUE(HF_REASON_STATIC, 1), VALUE(HF_REASON_STALE, 2), VALUE(HF_REASON_OVERRIDE, 3),
        VALUE(HF_REASON_DISABLED, 4), VALUE(HF_FETCH_OK, 0), VALUE(HF_FETCH_DNS, 1),
        VALUE(HF_FETCH_CONNECT, 2), VALUE(HF_FETCH_TLS, 3), VALUE(HF_FETCH_TIMEOUT, 4),
        VALUE(HF_FETCH_HTTP, 5), VALUE(HF_FETCH_PARSE, 6), VALUE(HF_FETCH_TOO_LARGE, 7),
        VALUE(HF_FETCH_TOKEN, 8), VALUE(HF_FETCH_REFUSED, 9), VALUE(HF_FETCH_OTHER, 10),
        VALUE(HF_STATUS_JSON, 0), VALUE(HF_STATUS_PROMETHEUS, 1)};

    check_numbers(numbers, COUNT(numbers));
    CHECK_STR_EQ(HF_ENTRY_SYMBOL, "hf_plugin_entry_v1");
}

static void test_structs(void)
{
    static const struct number numbers[] = {SIZE(hf_header, 16), AT(hf_header, magic, 0),
        AT(hf_header, abi_major, 4), AT(hf_header, abi_minor, 6), AT(hf_header, size, 8),
        AT(hf_header, reserved, 12), END(hf_header, reserved), SIZE(hf_setting, 16),
        AT(hf_setting, key, 0), AT(hf_setting, value, 8), END(hf_setting, value), SIZE(hf_host, 56),
        AT(hf_host, name, 16), AT(hf_host, version, 24), AT(hf_host, ctx, 32), AT(hf_host, log, 40),
        AT(hf_host, get_token, 48), END(hf_host, get_token), SIZE(hf_upstream, 40),
        AT(hf_upstream, host, 16), AT(hf_upstream, port, 24), AT(hf_upstream, reserved, 26),
        AT(hf_upstream, org_id, 32), END(hf_upstream, org_id), SIZE(hf_answer, 56),
        AT(hf_answer, enabled, 16), AT(hf_answer, reason, 20), AT(hf_answer, state, 24),
        AT(hf_answer, last_error, 28), AT(hf_answer, http_status, 32), AT(hf_answer, reserved, 36),
        AT(hf_answer, age_ms, 40), AT(hf_answer, next_refresh_ms, 48),
        END(hf_answer, next_refresh_ms)};

    if (sizeof(void *) != 8) {
        hf_test_skip("the numbers are those of machines with pointers of 8 bytes");
        return;
    }
    check_numbers(numbers, COUNT(numbers));
}

static void test_vtable(void)
{
    static const struct number numbers[] = {SIZE(hf_plugin, 112), AT(hf_plugin, name, 16),
        AT(hf_plugin, version, 24), AT(hf_plugin, init, 32), AT(hf_plugin, on_connect, 40),
        AT(hf_plugin, on_disconnect, 48), AT(hf_plugin, is_enabled, 56), AT(hf_plugin, fini, 64),
        AT(hf_plugin, flag_index, 72), AT(hf_plugin, explain, 80), AT(hf_plugin, reload, 88),
        AT(hf_plugin, status, 96), AT(hf_plugin, refresh, 104), END(hf_plugin, refresh)};
    const struct hf_plugin *plugin = hf_test_host_load(NULL);

    if (!CHECK(plugin != NULL))
        return;
    CHECK_INT_EQ(plugin->hdr.magic, HF_ABI_MAGIC);
    CHECK_INT_EQ(plugin->hdr.abi_major, HF_ABI_MAJOR);
    CHECK_INT_EQ(plugin->hdr.reserved, 0);
    CHECK_STR_EQ(plugin->name, HF_NAME);
    CHECK_STR_EQ(plugin->version, HF_VERSION);
    CHECK(plugin->init && plugin->on_connect && plugin->on_disconnect && plugin->is_enabled);
    CHECK(plugin->fini != NULL);
    if (sizeof(void *) == 8) {
        CHECK_INT_EQ(plugin->hdr.size, sizeof(struct hf_plugin));
        check_numbers(numbers, COUNT(numbers));
    }
    hf_test_host_unload();
}

static void test_one_table(void)
{
    const struct hf_plugin *first = hf_test_host_load(NULL);
    const struct hf_plugin *second = hf_test_host_load(NULL);

    CHECK(first != NULL && first == second);
    hf_test_host_unload();
}

/* ---- the header as compilers see it ---- */

/* Twice, and with its only macro that has an inside used. */
static const char use_of_header[] = "#include \"host_api.h\"\n"
                                    "#include \"host_api.h\"\n"
                                    "int has_refresh(const struct hf_plugin *plugin);\n"
                                    "int has_refresh(const struct hf_plugin *plugin)\n"
                                    "{\n"
                                    "    return HF_HAS(plugin, refresh) ? HF_OK : HF_E_NOTFOUND;\n"
                                    "}\n";

static bool is_there(const char *compiler)
{
    const char *const argv[] = {"sh", "-c", "command -v \"$0\"", compiler, NULL};

    return hf_process_run(argv, BOUND_MS, NULL) == 0;
}

static void check_compiles(const char *compiler, const char *standard, const char *file)
{
    const char *const argv[] = {compiler, standard, "-pedantic", "-Wall", "-Wextra", "-Werror",
        "-fsyntax-only", "-I.", file, NULL};
    char *output = NULL;

    if (!CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &output), 0))
        printf("%s %s: %s\n", compiler, standard, output ? output : "did not run");
    free(output);
}

static void compile_header(const char *c_compiler, const char *cpp_compiler)
{
    char *directory = hf_tmpdir_create();
    char *c_file = hf_tmpdir_write(directory, "use.c", use_of_header);
    char *cpp_file = hf_tmpdir_write(directory, "use.cc", use_of_header);

    check_compiles(c_compiler, "-std=c99", c_file);
    check_compiles(c_compiler, "-std=c11", c_file);
    check_compiles(cpp_compiler, "-std=c++17", cpp_file);
    free(c_file);
    free(cpp_file);
    hf_tmpdir_remove(directory);
}

static void test_gcc(void)
{
    if (!is_there("gcc") || !is_there("g++"))
        hf_test_skip("gcc and g++ are not both installed");
    else
        compile_header("gcc", "g++");
}

static void test_clang(void)
{
    if (!is_there("clang") || !is_there("clang++"))
        hf_test_skip("clang and clang++ are not both installed");
    else
        compile_header("clang", "clang++");
}

/* ---- the object file ---- */

static char *output_of(const char *const *argv)
{
    char *output = NULL;

    if (!CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &output), 0) || !output) {
        free(output);
        output = strdup("");
    }
    return output;
}

static void test_symbols(void)
{
    const char *const argv[] = {
        "nm", "-D", "--defined-only", "--format=posix", hf_test_plugin_path(), NULL};
    char *output = output_of(argv);
    size_t lines = 0;

    for (const char *c = output; *c; c++)
        lines += *c == '\n';
    if (!CHECK_INT_EQ(lines, 1))
        printf("%s", output);
    CHECK(strncmp(output, HF_ENTRY_SYMBOL " T ", strlen(HF_ENTRY_SYMBOL " T ")) == 0);
    free(output);
}

static void test_link_flags(void)
{
    const char *const argv[] = {"readelf", "-d", "--wide", hf_test_plugin_path(), NULL};
    char *output = output_of(argv);

    CHECK_STR_CONTAINS(output, "BIND_NOW");
    CHECK_STR_CONTAINS(output, "NODELETE");
    CHECK(!strstr(output, "TEXTREL"));
    CHECK(!strstr(output, "RPATH") && !strstr(output, "RUNPATH"));
    free(output);
}

/* ---- a host program of its own ---- */

static void run_second_host(struct hf_flag_service *service, const char *expected)
{
    const char *const argv[] = {hf_build_path("tests/contract/run_second_host"),
        hf_test_plugin_path(), hf_flag_service_url(service), "second.flag", NULL};
    const struct hf_process_options options = {.argv = argv};
    struct hf_process *process = hf_process_start(&options);
    int wait_status = -1;
    char *output;

    if (!CHECK(process != NULL))
        return;
    CHECK(hf_process_wait_exit(process, BOUND_MS, &wait_status));
    CHECK_INT_EQ(wait_status, 0);
    output = hf_process_output(process, HF_STDOUT);
    CHECK_STR_EQ(output, expected);
    free(output);
    hf_process_destroy(process);
}

static void test_second_host(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_request *request;

    hf_flag_service_set_flag(service, "second.flag", true);
    run_second_host(service,
        HF_NAME " " HF_VERSION "\nsecond.flag is number 0 and on\n"
                "state 1, reason 1, http status 200\nafter fini: 0\n");
    CHECK_INT_EQ(hf_flag_service_count(service), 1);
    request = hf_flag_service_request(service, 0);
    if (CHECK(request != NULL))
        CHECK_STR_EQ(hf_flag_request_header(request, "User-Agent"),
            HF_NAME "/" HF_VERSION " (second-host 0.1)");
    hf_flag_service_set_flag(service, "second.flag", false);
    run_second_host(service,
        HF_NAME " " HF_VERSION "\nsecond.flag is number 0 and off\n"
                "state 1, reason 1, http status 200\nafter fini: 0\n");
    hf_flag_service_stop(service);
}

static const struct hf_test tests[] = {
    {"C01 loading and asking for the entry twice gives the same table", test_one_table},
    {"C86 the numbers of the contract are what they were", test_values},
    {"C86 C89 sizes and offsets of the structs; no padding at their ends", test_structs},
    {"C86 C89 the vtable", test_vtable},
    {"C86 a second host program, written from host_api.h alone", test_second_host},
    {"C89 the header alone: gcc as C99, C11 and C++17", test_gcc},
    {"C89 the header alone: clang as C99, C11 and C++17", test_clang},
    {"C89 one symbol is exported", test_symbols},
    {"C89 the object stays loaded and binds at once", test_link_flags},
};

int main(int argc, char **argv)
{
    return hf_suite_run("layout", tests, COUNT(tests), argc, argv);
}

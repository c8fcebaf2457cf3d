/* SPDX-License-Identifier: PostgreSQL
 *
 * Every function on a stack of 8 KiB between two pages without access, as coroutine hosts have them
 * (Odyssey, say). Each scenario is a process of its own that loads the plugin anew: the first call
 * of a function is the expensive one, since the C library binds its symbols and makes its heaps
 * then.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/host.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000
#define STACK_BYTES 8192
#define PAINT 0xcc
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* ---- the small stack ---- */

static ucontext_t outside, inside;
static bool (*to_run)(void);
static bool ran_well;

static void enter(void)
{
    ran_well = to_run();
}

/* Runs function there; *used: how many bytes of the stack were touched. */
static bool run_on_small_stack(bool (*function)(void), size_t *used)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE), untouched = 0;
    unsigned char *area = mmap(NULL, STACK_BYTES + 2 * guard, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char *stack = area + guard;

    if (area == MAP_FAILED || mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE) != 0)
        abort();
    memset(stack, PAINT, STACK_BYTES);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = STACK_BYTES;
    inside.uc_link = &outside;
    to_run = function;
    makecontext(&inside, enter, 0);
    swapcontext(&outside, &inside);
    while (untouched < STACK_BYTES && stack[untouched] == PAINT)
        untouched++;
    *used = STACK_BYTES - untouched;
    munmap(area, STACK_BYTES + 2 * guard);
    return ran_well;
}

/* ---- what is run; all in a child ---- */

static const struct hf_plugin *plugin;
static hf_conn conn;
static char big_buffer[1 << 20];

static hf_conn connect_to(const char *host, const char *org_id)
{
    static struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0}};

    upstream.host = host;
    upstream.org_id = org_id;
    return plugin->on_connect(&upstream);
}

static bool connect_one(void)
{
    conn = connect_to("http://127.0.0.1:9", "17");
    return conn != HF_NO_CONN;
}

static bool connect_another(void)
{
    return connect_to("http://[::1]:9", NULL) == HF_NO_CONN; /* max_hosts = 1 */
}

static bool connect_literal(void)
{
    return connect_to("https://[2001:db8::0:7]:8443/", NULL) != HF_NO_CONN;
}

static bool connect_badly(void)
{
    static const char *const names[] = {NULL, "", " ", "a b", "user:secret@host", "host/path",
        "host?query", "host#part", "host:99999", "host:x", "[::1", "a..b", "ftp://host",
        "h\xc3\xb6st", "127.1", "0x7f000001", "host\r\nX: y"};
    static char long_name[3000];
    bool refused = true;

    memset(long_name, 'x', sizeof(long_name) - 1);
    refused = connect_to(long_name, NULL) == HF_NO_CONN;
    refused = connect_to("host", "no digits") == HF_NO_CONN && refused;
    for (size_t i = 0; i < COUNT(names); i++)
        refused = connect_to(names[i], NULL) == HF_NO_CONN && refused;
    return plugin->on_connect(NULL) == HF_NO_CONN && refused;
}

static bool read_flag(void)
{
    return plugin->is_enabled(conn, 0) == 0 && plugin->is_enabled(conn, 63) == 0 &&
        plugin->is_enabled(HF_NO_CONN, 0) == 0 && plugin->is_enabled(12345, 4000000000u) == 0;
}

static bool disconnect(void)
{
    plugin->on_disconnect(conn);
    plugin->on_disconnect(conn);
    plugin->on_disconnect(HF_NO_CONN);
    return true;
}

static bool explain(void)
{
    static struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};

    return plugin->explain(conn, 0, &answer) == HF_OK &&
        plugin->explain(HF_NO_CONN, 0, &answer) == HF_E_INVALID;
}

static bool status(void)
{
    size_t needed = plugin->status(HF_STATUS_JSON, big_buffer, sizeof(big_buffer));

    return needed > 0 && needed < sizeof(big_buffer) &&
        plugin->status(HF_STATUS_PROMETHEUS, NULL, 0) < sizeof(big_buffer) &&
        plugin->status(99, NULL, 0) == 0;
}

static bool refresh_one(void)
{
    int32_t result = plugin->refresh("http://127.0.0.1:9");

    return result == HF_OK || result == HF_E_TOO_SOON;
}

static bool refresh_badly(void)
{
    return plugin->refresh("a b") == HF_E_INVALID &&
        plugin->refresh("elsewhere.invalid") == HF_E_NOTFOUND;
}

static bool refresh_all(void)
{
    return plugin->refresh(NULL) == HF_E_NOTFOUND;
}

static bool find_flag(void)
{
    return plugin->flag_index("first.flag") == 0 &&
        plugin->flag_index("no.flag") == HF_E_NOTFOUND && plugin->flag_index(NULL) == HF_E_NOTFOUND;
}

/* When there is no cache: before init and after fini. */
static bool all_closed(void)
{
    static struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};

    plugin->on_disconnect(7);
    return connect_to("http://127.0.0.1:9", NULL) == HF_NO_CONN && plugin->is_enabled(7, 0) == 0 &&
        plugin->explain(7, 0, &answer) == HF_E_INVALID &&
        plugin->status(HF_STATUS_JSON, NULL, 0) == 0 && plugin->refresh(NULL) == HF_E_STATE &&
        plugin->flag_index("first.flag") == HF_E_NOTFOUND;
}

static bool connect_many(void)
{
    static char org_ids[200][8];

    for (size_t i = 0; i < COUNT(org_ids); i++) {
        snprintf(org_ids[i], sizeof(org_ids[i]), "%zu", i + 1);
        conn = connect_to("http://127.0.0.1:9", org_ids[i]);
    }
    return conn != HF_NO_CONN;
}

static bool end_life(void)
{
    plugin->fini();
    return true;
}

/* ---- scenarios ---- */

struct scenario {
    const char *name;
    const char *settings; /* after the flags; NULL: no init */
    bool (*before)(void); /* on the ordinary stack; may be NULL */
    bool (*run)(void); /* on the small one */
};

#define ONE_HOST "max_hosts = 1\n"
#define ON_READ "prefetch = off\n"

static const struct scenario scenarios[] = {
    {"on_connect: the first host, which starts the worker", "", NULL, connect_one},
    {"on_connect: the first host, under prefetch = off", ON_READ, NULL, connect_one},
    {"on_connect: another host", "", connect_one, connect_literal},
    {"on_connect: a known host", "", connect_one, connect_one},
    {"on_connect: a full table", ONE_HOST, connect_one, connect_another},
    {"on_connect: bad names", "", NULL, connect_badly},
    {"is_enabled", "", connect_one, read_flag},
    {"is_enabled: the first read, which starts the worker", ON_READ, connect_one, read_flag},
    {"on_disconnect", "", connect_one, disconnect},
    {"on_disconnect: the last one, under linger = 0", "linger = 0\n", connect_one, disconnect},
    {"explain", "", connect_one, explain},
    {"status: no host", "", NULL, status},
    {"status: 200 hosts", "", connect_many, status},
    {"refresh: a host", "", connect_one, refresh_one},
    {"refresh: a host, which starts the worker", ON_READ, connect_one, refresh_one},
    {"refresh: bad names", "", connect_one, refresh_badly},
    {"refresh: all, and there is none", "", NULL, refresh_all},
    {"flag_index", "", NULL, find_flag},
    {"all, before init", NULL, NULL, all_closed},
    {"all, after fini", "", end_life, all_closed},
};

struct outcome {
    size_t used; /* bytes of the small stack */
    bool prepared, well;
};

static char log_copy[2048];

/* A host's log callback that needs next to no stack itself. */
static void log_small(void *ctx, int32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    strncpy(log_copy, message, sizeof(log_copy) - 1);
}

static bool init_for(const struct scenario *scenario)
{
    struct hf_host host = hf_test_host();

    host.log = log_small;
    return hf_test_init_with(plugin, &host,
               "flags = first.flag, second.flag\n%s"
               "allow_http = loopback\n",
               scenario->settings) == HF_OK;
}

static void play(const struct scenario *scenario, struct outcome *outcome)
{
    plugin = hf_test_host_load(NULL);
    outcome->prepared = plugin && (!scenario->settings || init_for(scenario)) &&
        (!scenario->before || scenario->before());
    if (outcome->prepared)
        outcome->well = run_on_small_stack(scenario->run, &outcome->used);
    _exit(0);
}

static void check_scenario(const struct scenario *scenario, struct outcome *outcome)
{
    int wait_status = -1;
    pid_t child;

    memset(outcome, 0, sizeof(*outcome));
    fflush(NULL);
    child = fork();
    if (child == 0)
        play(scenario, outcome);
    if (!CHECK(child > 0))
        return;
    if (!HF_WAIT_UNTIL(waitpid(child, &wait_status, WNOHANG) == child, BOUND_MS)) {
        kill(child, SIGKILL);
        waitpid(child, &wait_status, 0);
    }
    hf_check_int(wait_status, 0, scenario->name, __FILE__, __LINE__);
    if (wait_status != 0)
        return;
    hf_check(outcome->prepared && outcome->well, scenario->name, __FILE__, __LINE__);
    hf_check_between((long long)outcome->used, 1, STACK_BYTES, scenario->name, __FILE__, __LINE__);
    if (getenv("HF_VERBOSE"))
        printf("        %5zu bytes of stack: %s\n", outcome->used, scenario->name);
}

static void test_small_stacks(void)
{
    struct outcome *outcome;

    if (SANITIZED || getenv("HF_UNDER_VALGRIND")) {
        hf_test_skip("sanitizers and valgrind need more stack than the code they watch");
        return;
    }
    outcome =
        mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(outcome != MAP_FAILED))
        return;
    for (size_t i = 0; i < COUNT(scenarios); i++)
        check_scenario(&scenarios[i], outcome);
    munmap(outcome, sizeof(*outcome));
}

static const struct hf_test tests[] = {
    {"C87 every function on a stack of 8 KiB, at its first call", test_small_stacks},
};

int main(int argc, char **argv)
{
    return hf_suite_run("stack", tests, COUNT(tests), argc, argv);
}

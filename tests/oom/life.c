/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything is static: a child lives once. What the plugin logs goes to a buffer, since a list of
 * lines would be allocated on its behalf.
 */
#include "tests/oom/life.h"

#include "tests/support/fds.h"
#include "tests/support/host.h"
#include "tests/support/wait_until.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BOUND_MS = 15000, /* 5 s until the worker tries to start again, up to 5 s of backoff */
    FINI_MS = 2000,
    REST_MS = 100,
    LIMIT_S = 60,
    FLAGS = 4,
    DEFAULTS = 4 /* c */
};

static const struct hf_life *life;
static const struct hf_plugin *plugin;
static struct hf_life_result *result;
static bool share;
static hf_conn conn;
static char upstream_url[64], error[512], status_text[65536];
static struct hf_test_settings settings, other_settings;
static unsigned before, after; /* the two that answers may be */
static volatile int32_t logged_level; /* the worst of the lines so far */

static void complain(const char *what, long long is, long long should_be)
{
    if (result->problem[0] == '\0')
        snprintf(result->problem, sizeof(result->problem), "%s: is %lld, should be %lld", what, is,
            should_be);
}

static void expect(bool held, const char *what)
{
    if (!held && result->problem[0] == '\0')
        snprintf(result->problem, sizeof(result->problem), "%s", what);
}

/* ---- answers ---- */

static unsigned read_flags(void)
{
    unsigned word = 0;

    for (uint32_t flag = 0; flag < FLAGS; flag++)
        word |= (unsigned)plugin->is_enabled(conn, flag) << flag;
    return word;
}

/* Flags are read one by one, but published together. */
static unsigned read_word(void)
{
    unsigned word = read_flags(), again;

    while ((again = read_flags()) != word)
        word = again;
    if (word != before && word != after)
        complain("the flags' word", word, after);
    return word;
}

/* The latest request went well, none is due, and the answers are those of its service. */
static bool is_answered(void)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, 0);

    return read_word() == after && answer.last_error == HF_FETCH_OK &&
        answer.state == HF_STATE_FRESH && answer.next_refresh_ms > 0;
}

/* ---- steps: each gives whether it did what it should; if not, memory was short ---- */

static void on_log(void *ctx, int32_t level, const char *message)
{
    (void)ctx;
    (void)message;
    if (level < logged_level)
        logged_level = level;
    if (getenv("HF_VERBOSE"))
        fprintf(stderr, "  [%d] %s\n", level, message);
}

static bool is_told(int32_t code)
{
    if (code == HF_OK)
        return true;
    if (code != HF_E_NOMEM)
        complain("the code of a call without memory", code, HF_E_NOMEM);
    if (!strstr(error, "memory") && result->problem[0] == '\0')
        snprintf(result->problem, sizeof(result->problem), "no word of memory: %.200s", error);
    return false;
}

static bool do_init(void)
{
    struct hf_host host = hf_test_host();
    int32_t code;

    host.log = on_log;
    hf_allocations_enter();
    code = plugin->init(&host, settings.items, settings.count, error, sizeof(error));
    hf_allocations_leave();
    return is_told(code);
}

static bool do_connect(void)
{
    struct hf_upstream upstream = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(upstream), 0},
        .host = upstream_url};

    before = DEFAULTS;
    after = HF_WORD_OF_FIRST;
    hf_allocations_enter();
    conn = plugin->on_connect(&upstream);
    hf_allocations_leave();
    expect(conn != HF_NO_CONN || share, "a connection was refused");
    return conn != HF_NO_CONN;
}

static size_t count_of(const char *text, char c)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == c;
    return count;
}

/* Whole, or not there. */
static bool do_status_in(int32_t format, const char *begin, const char *end, char counted)
{
    static size_t whole[2];
    size_t length, count;

    hf_allocations_enter();
    length = plugin->status(format, status_text, sizeof(status_text));
    hf_allocations_leave();
    if (length == 0)
        return false;
    count = count_of(status_text, counted);
    expect(length == strlen(status_text) && strncmp(status_text, begin, strlen(begin)) == 0 &&
            strcmp(status_text + length - strlen(end), end) == 0,
        "status gave half a text");
    if (whole[format] != 0 && count != whole[format])
        complain("status: the parts of its text", (long long)count, (long long)whole[format]);
    whole[format] = count;
    return true;
}

static bool do_status(void)
{
    return do_status_in(HF_STATUS_JSON, "{\"version\":", "}", '"');
}

static bool do_metrics(void)
{
    return do_status_in(HF_STATUS_PROMETHEUS, "# HELP ", "\n", '\n');
}

static bool do_explain(void)
{
    struct hf_answer answer = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(answer), 0}};
    bool good;

    hf_allocations_enter();
    good = plugin->flag_index("b") == 1 && plugin->explain(conn, 0, &answer) == HF_OK &&
        plugin->is_enabled(conn, 0) == 1;
    hf_allocations_leave();
    return good;
}

static bool do_reload(void)
{
    int32_t code;

    hf_allocations_enter();
    code = plugin->reload(other_settings.items, other_settings.count, error, sizeof(error));
    hf_allocations_leave();
    return is_told(code);
}

static int32_t call_refresh(void)
{
    int32_t code;

    hf_allocations_enter();
    code = plugin->refresh(NULL);
    hf_allocations_leave();
    return code;
}

/* Allowed once a second. */
static bool do_refresh(void)
{
    before = read_flags();
    after = HF_WORD_OF_SECOND;
    return HF_WAIT_UNTIL(call_refresh() == HF_OK, BOUND_MS);
}

static bool do_disconnect(void)
{
    hf_allocations_enter();
    plugin->on_disconnect(conn);
    hf_allocations_leave();
    conn = HF_NO_CONN;
    return true;
}

static bool do_fini(void)
{
    int64_t began_ms = hf_wait_now_ms();

    hf_allocations_enter();
    plugin->fini();
    hf_allocations_leave();
    if (hf_wait_now_ms() - began_ms > hf_wait_slow_ms(FINI_MS))
        complain("ms that fini took", hf_wait_now_ms() - began_ms, FINI_MS);
    return true;
}

static const struct {
    const char *name;
    bool (*act)(void);
    bool asks; /* a request belongs to it */
} steps[HF_STEPS] = {
    {"init", do_init, false},
    {"connect", do_connect, true},
    {"status", do_status, false},
    {"metrics", do_metrics, false},
    {"explain", do_explain, false},
    {"reload", do_reload, false},
    {"second", do_refresh, true},
    {"third", do_refresh, true},
    {"disconnect", do_disconnect, false},
    {"fini", do_fini, false},
};

const char *hf_step_name(enum hf_step step)
{
    return steps[step].name;
}

bool hf_step_asks(enum hf_step step)
{
    return steps[step].asks;
}

const char *hf_effect_name(enum hf_effect effect)
{
    static const char *const names[HF_EFFECTS] = {
        "not reached", "no effect", "call refused", "asked again", "started later"};

    return names[effect];
}

/* ---- a life ---- */

/* What became of the latest request, as far as explain says. */
static void expect_answer(bool held, const char *what)
{
    struct hf_answer answer = hf_test_explain(plugin, conn, 0);

    if (!held && result->problem[0] == '\0')
        snprintf(result->problem, sizeof(result->problem),
            "%s: word %u, state %d, last_error %d, next in %lld ms", what, read_flags(),
            answer.state, answer.last_error, (long long)answer.next_refresh_ms);
}

/* With memory. */
static void perform(enum hf_step step)
{
    if (result->problem[0] != '\0')
        return;
    expect(steps[step].act(), hf_step_name(step));
    if (steps[step].asks)
        expect_answer(
            HF_WAIT_UNTIL(is_answered(), BOUND_MS), "no answer, although there was memory");
}

/* What a host program would do, or an operator: the call again, or refresh now and then. */
static bool come_right(enum hf_step step, bool *done)
{
    if (!*done)
        *done = steps[step].act();
    if (!*done || !steps[step].asks)
        return *done;
    if (is_answered())
        return true;
    /* Before anybody asks for it: it is in flight, or will be. */
    expect_answer(hf_test_explain(plugin, conn, 0).next_refresh_ms >= 0, "it is not asked again");
    if (hf_test_explain(plugin, conn, 0).last_error != HF_FETCH_OK)
        result->effect = HF_ASKED_AGAIN;
    (void)plugin->refresh(NULL);
    return false;
}

/* An answer is there before the worker is through with it: what comes behind counts as well. */
static bool has_failed_or_ended(enum hf_step step)
{
    return !steps[step].asks || hf_allocations_refused() > 0 ||
        (is_answered() && hf_fds_others_sleep());
}

/* OpenSSL, if that is what libcurl has, can make a context. It is initialised once in a process:
 * what it has no memory for then may fail for good. */
static bool is_tls_whole(void)
{
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_NOLOAD), *context;
    const void *(*method)(void);
    void *(*create)(const void *);

    if (!library)
        return true;
    *(void **)&method = dlsym(library, "TLS_client_method");
    *(void **)&create = dlsym(library, "SSL_CTX_new");
    context = create(method());
    dlclose(library);
    return context != NULL; /* not freed: nobody counts it */
}

/* The step without memory; then with it. */
static void perform_without(const struct hf_life_plan *plan)
{
    enum hf_step step = plan->step;
    bool done;

    logged_level = HF_LOG_DEBUG;
    hf_allocations_refuse(plan->by, plan->nth, plan->rest);
    done = steps[step].act();
    if (done)
        expect_answer(
            HF_WAIT_UNTIL(has_failed_or_ended(step), BOUND_MS), "no answer and no failure");
    if (plan->rest && done && steps[step].asks)
        (void)HF_STAYS(!is_answered(), REST_MS);
    hf_allocations_refuse_none();
    for (int by = 0; by < HF_BYS; by++)
        result->counts[by] = hf_allocations_count((enum hf_by)by);
    if (hf_allocations_refused() == 0) {
        result->effect = HF_NOT_REACHED;
        expect(done, "it failed although nothing was refused");
        return;
    }
    result->effect = done ? HF_NO_EFFECT : HF_CALL_REFUSED;
    expect(step != HF_STEP_INIT || !done || is_tls_whole(), "init went on, but TLS is broken");
    expect_answer(HF_WAIT_UNTIL(come_right(step, &done), BOUND_MS), "it did not come right");
    if (result->effect == HF_NO_EFFECT && logged_level == HF_LOG_ERROR)
        result->effect = HF_STARTED_LATER;
}

static void second_life(void)
{
    perform(HF_STEP_INIT);
    perform(HF_STEP_CONNECT);
    perform(HF_STEP_DISCONNECT);
    perform(HF_STEP_FINI);
}

static void live(const struct hf_life_plan *plan)
{
    for (int step = 0; step < (int)plan->step; step++)
        perform((enum hf_step)step);
    if (plan->step == HF_STEP_STATUS || plan->step == HF_STEP_METRICS)
        perform(plan->step); /* how much a whole text is */
    if (result->problem[0] != '\0')
        return;
    perform_without(plan);
    if (plan->step == HF_STEP_INIT)
        perform(HF_STEP_CONNECT);
    if (plan->step < HF_STEP_DISCONNECT)
        perform(HF_STEP_DISCONNECT);
    if (plan->step < HF_STEP_FINI)
        perform(HF_STEP_FINI);
    second_life();
}

/* ---- the child ---- */

static void on_fatal(int number)
{
    result->crash.depth =
        backtrace(result->crash.frames, sizeof(result->crash.frames) / sizeof(void *));
    if (hf_allocations_refused() > 0)
        result->site = *hf_allocations_site(0);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_fatal(void)
{
    static const int numbers[] = {SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        signal(numbers[i], on_fatal);
    alarm((unsigned)hf_wait_slow_ms(LIMIT_S));
}

static void write_settings(void)
{
    static char text[2048];
    int length = snprintf(text, sizeof(text),
        "flags = a, b, c, d\ndefaults = c=on\nallowed_hosts = 127.0.0.1, *.example.com\n"
        "token_file = %s\nclient = TEST\nttl = 10min\nshare = %s\nmax_hosts = 16\n",
        life->token_file, share ? "on" : "off");

    snprintf(text + length, sizeof(text) - (size_t)length, "allow_http = loopback\n");
    hf_test_settings_parse(&settings, text);
    snprintf(text + length, sizeof(text) - (size_t)length,
        "allow_http = any\nservice = http://localhost:%u\nclient_version = 2.0.0\n",
        life->services->second_port);
    hf_test_settings_parse(&other_settings, text);
    snprintf(upstream_url, sizeof(upstream_url), "http://127.0.0.1:%u", life->services->first_port);
}

void hf_life_live(
    const struct hf_life *of, const struct hf_life_plan *plan, struct hf_life_result *into)
{
    life = of;
    plugin = of->plugin;
    result = into;
    share = plan->share;
    catch_fatal();
    write_settings();
    live(plan);
    if (result->problem[0] == '\0')
        expect(HF_WAIT_UNTIL(hf_fds_threads(0) == 1, BOUND_MS), "a thread is left");
    if (hf_allocations_refused() > 0)
        result->site = *hf_allocations_site(0); /* not before: the thread may still note it */
    result->lost = hf_lost_by_json_c(0);
    result->descriptors = hf_fds_count(0);
    result->kept_count = hf_kept_list(result->kept, HF_KEPT_MOST);
    result->ended = true;
}

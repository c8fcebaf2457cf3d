/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin.c: the border between host_api.h and the engine, and the one place with static state.
 *
 *   changing  mutex  held by init, reload and fini from beginning to end: one at a time.
 *   use       rwlock shared: whoever reads the settings (all but on_connect, on_disconnect and
 *                    is_enabled, which touch the registry only); exclusive: init, reload and fini
 *                    while they change them. Never while waiting for anything, nor in a callback,
 *                    so it may prefer writers: readers that come and go cannot keep fini out.
 *   A gate counts who is in a callback of the host's (lent.h): fini waits until nobody is.
 *   Behind these are the mutexes of the registry, the worker and this process's life (instance.h),
 *   and behind the registry's the one that processes share. Order: changing, use, then one of
 *   those. Nothing is logged with any of them held but changing.
 *
 * Fork: the child gets new locks and an empty cache, with share = on the parent's; the parent only
 * waits until no other thread is initialising libcurl.
 */
#include "host_api.h"
#include "plugin/lent.h"
#include "plugin/block.h"
#include "plugin/clock.h"
#include "plugin/describe.h"
#include "plugin/fetch.h"
#include "plugin/instance.h"
#include "plugin/refusal.h"
#include "plugin/status.h"
#include "plugin/user_agent.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAME(contract, engine) _Static_assert((int)(contract) == (int)(engine), #engine)
SAME(HF_LOG_ERROR, HF_ERROR);
SAME(HF_LOG_DEBUG, HF_DEBUG);
SAME(HF_STATE_UNKNOWN, HF_UNKNOWN);
SAME(HF_STATE_FRESH, HF_FRESH);
SAME(HF_STATE_STALE, HF_STALE);
SAME(HF_STATE_EXPIRED, HF_EXPIRED);
SAME(HF_REASON_DEFAULT, HF_BY_DEFAULT);
SAME(HF_REASON_STATIC, HF_BY_SERVICE);
SAME(HF_REASON_STALE, HF_BY_STALE_VALUE);
SAME(HF_REASON_OVERRIDE, HF_BY_OVERRIDE);
SAME(HF_REASON_DISABLED, HF_BY_SWITCH);
SAME(HF_FETCH_OK, HF_OUTCOME_OK);
SAME(HF_FETCH_DNS, HF_OUTCOME_DNS);
SAME(HF_FETCH_CONNECT, HF_OUTCOME_CONNECT);
SAME(HF_FETCH_TLS, HF_OUTCOME_TLS);
SAME(HF_FETCH_TIMEOUT, HF_OUTCOME_TIMEOUT);
SAME(HF_FETCH_HTTP, HF_OUTCOME_HTTP);
SAME(HF_FETCH_PARSE, HF_OUTCOME_PARSE);
SAME(HF_FETCH_TOO_LARGE, HF_OUTCOME_TOO_LARGE);
SAME(HF_FETCH_TOKEN, HF_OUTCOME_TOKEN);
SAME(HF_FETCH_REFUSED, HF_OUTCOME_REFUSED);
SAME(HF_FETCH_OTHER, HF_OUTCOME_OTHER);

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t use = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static bool handles_forks; /* the fork handler is registered */
static bool up; /* between a good init and fini; under `changing` */
static struct hf_instance cache;

__attribute__((format(printf, 3, 4))) static int32_t fail(
    char *error, size_t error_size, const char *format, ...)
{
    va_list args;

    if (error != NULL && error_size > 0) {
        va_start(args, format);
        vsnprintf(error, error_size, format, args);
        va_end(args);
    }
    return HF_E_INVALID;
}

static int32_t take_host(const struct hf_host *theirs, char *error, size_t error_size)
{
    if (hf_lent_take(theirs))
        return HF_OK;
    fail(error, error_size,
        "the host's table has magic %08x and version %u.%u, expected %08x and %u.x: it was "
        "built against another host_api.h",
        theirs->hdr.magic, theirs->hdr.abi_major, theirs->hdr.abi_minor, HF_ABI_MAGIC,
        HF_ABI_MAJOR);
    return HF_E_ABI;
}

/* ---- init and fini ---- */

static int32_t read_settings(const struct hf_setting *list, size_t count,
    struct hf_settings **result, char *error, size_t error_size)
{
    struct hf_settings *made = hf_settings_create();
    int bad = 0;

    if (made == NULL) {
        fail(error, error_size, "out of memory");
        return HF_E_NOMEM;
    }
    for (size_t i = 0; i < count && bad == 0; i++) {
        if (list == NULL || list[i].key == NULL || list[i].value == NULL)
            bad = fail(error, error_size,
                "setting number %zu of %zu is NULL, expected a key and a value", i + 1, count);
        else
            bad = hf_settings_set(made, list[i].key, list[i].value, error, error_size);
    }
    if (bad == 0)
        bad = hf_settings_finish(made, error, error_size);
    if (bad == 0) {
        *result = made;
        return HF_OK;
    }
    hf_settings_destroy(made);
    return bad == HF_SETTINGS_NO_MEMORY ? HF_E_NOMEM : HF_E_INVALID;
}

/* The process exits without fini: the worker must not be inside TLS while that is taken apart. */
static void stop_at_exit(void)
{
    hf_worker_stop_at_exit(&cache.worker);
}

static void start_anew_after_fork(void)
{
    pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t fresh_rwlock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

    changing = fresh_mutex;
    use = fresh_rwlock;
    hf_lent_forked();
    hf_instance_after_fork();
    hf_instance_forked(&cache);
    up = cache.settings != NULL; /* another thread may have been in init or fini */
}

/* Once per process. After libcurl was initialised: exit handlers run in reverse order, and ours has
 * to come before the TLS library's. */
static bool register_exit_handler(void)
{
    static bool registered;

    if (!registered)
        registered = atexit(stop_at_exit) == 0;
    return registered;
}

static int32_t bring_up(struct hf_settings *settings, char *error, size_t error_size)
{
    enum hf_up_error problem;

    hf_user_agent(cache.user_agent, hf_lent_name(), hf_lent_version());
    problem = hf_instance_up(&cache, settings);
    if (problem == HF_UP_OK && (!handles_forks || !register_exit_handler())) {
        hf_instance_stop(&cache);
        hf_instance_down(&cache, hf_instance_close(&cache));
        problem = HF_UP_NO_MEMORY;
    }
    switch (problem) {
    case HF_UP_OK:
        hf_lent_open();
        up = true;
        return HF_OK;
    case HF_UP_NO_MEMORY:
        fail(error, error_size,
            "out of memory for tables of max_hosts and max_connections entries, or for libcurl");
        return HF_E_NOMEM;
    case HF_UP_UNFIT_LIBRARY:
        fail(error, error_size, "%s", hf_fetch_check_library());
        return HF_E_SYSTEM;
    }
    return HF_E_SYSTEM;
}

static int32_t init(const struct hf_host *theirs, const struct hf_setting *list, size_t count,
    char *error, size_t error_size)
{
    struct hf_settings *made = NULL;
    int32_t result;

    if (error == NULL)
        error_size = 0;
    fail(error, error_size, "%s", "");
    if (hf_lent_in_callback()) {
        fail(error, error_size, "init was called from a callback of the plugin");
        return HF_E_STATE;
    }
    pthread_mutex_lock(&changing);
    if (up) {
        fail(error, error_size, "hostflags is initialised already, expected fini before init");
        result = HF_E_STATE;
    } else {
        result = take_host(theirs, error, error_size);
        if (result == HF_OK)
            result = read_settings(list, count, &made, error, error_size);
        pthread_rwlock_wrlock(&use);
        if (result == HF_OK)
            result = bring_up(made, error, error_size);
        pthread_rwlock_unlock(&use);
    }
    pthread_mutex_unlock(&changing);
    return result;
}

static int32_t reload(const struct hf_setting *list, size_t count, char *error, size_t error_size)
{
    struct hf_settings *made = NULL;
    int32_t result = HF_E_STATE;

    if (error == NULL)
        error_size = 0;
    fail(error, error_size, "%s", hf_lent_in_callback() ? "reload was called from a callback" : "");
    if (hf_lent_in_callback())
        return result;
    pthread_mutex_lock(&changing);
    if (!up)
        fail(error, error_size, "hostflags is not initialised, expected init before reload");
    else
        result = read_settings(list, count, &made, error, error_size);
    if (result == HF_OK && hf_settings_refuse_restart(cache.settings, made, error, error_size)) {
        hf_settings_destroy(made);
        result = HF_E_INVALID;
    }
    if (result == HF_OK) {
        hf_instance_stop(&cache);
        pthread_rwlock_wrlock(&use);
        hf_instance_apply(&cache, made, hf_clock_ms());
        pthread_rwlock_unlock(&use);
        /* With nothing due there is nothing to do yet, but to stand by for others. */
        if (cache.share != NULL || hf_registry_next_due(&cache.registry) != HF_NEVER)
            hf_worker_kick(&cache.worker);
    }
    pthread_mutex_unlock(&changing);
    return result;
}

static void fini(void)
{
    struct hf_settings *settings;

    if (hf_lent_in_callback()) /* nor is it logged: the callback would be called again */
        return;
    pthread_mutex_lock(&changing);
    if (up) {
        up = false;
        hf_instance_stop(&cache);
        hf_lent_close();
        pthread_rwlock_wrlock(&use);
        settings = hf_instance_close(&cache);
        pthread_rwlock_unlock(&use);
        hf_instance_down(&cache, settings);
    }
    pthread_mutex_unlock(&changing);
}

/* ---- connections ---- */

static hf_conn refuse(enum hf_refusal reason, const char *upstream, const char *detail)
{
    hf_refuse(hf_registry_refusals(&cache.registry), &hf_lent_log, reason, upstream, detail,
        hf_clock_ms());
    return HF_NO_CONN;
}

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    struct hf_upstream_key key;
    struct hf_acquired acquired;
    const char *bad;
    int64_t now;

    if (hf_registry_is_closed(&cache.registry))
        return HF_NO_CONN;
    if (upstream == NULL || !hf_is_ours(&upstream->hdr, offsetof(struct hf_upstream, port)))
        return refuse(HF_REFUSED_TABLE, NULL, "on_connect got no struct hf_upstream of version 1");
    bad = hf_upstream_parse(&key, upstream->host,
        upstream->hdr.size >= offsetof(struct hf_upstream, reserved) ? upstream->port : 0,
        HF_HAS(upstream, org_id) ? upstream->org_id : NULL);
    if (bad != NULL)
        return refuse(HF_REFUSED_NAME, upstream->host, bad);
    now = hf_clock_coarse_ms();
    acquired = hf_registry_acquire(&cache.registry, &key, now);
    if (acquired.error == HF_NO_OWNER && hf_instance_join(&cache, now))
        acquired = hf_registry_acquire(&cache.registry, &key, now);
    if (acquired.kick || hf_worker_is_overdue(&cache.worker, now))
        hf_worker_kick(&cache.worker);
    if (acquired.evicted)
        hf_report_eviction(
            hf_registry_refusals(&cache.registry), &hf_lent_log, upstream->host, hf_clock_ms());
    switch (acquired.error) {
    case HF_ACQUIRED:
    case HF_CLOSED:
        break;
    case HF_NO_OWNER:
        return refuse(HF_REFUSED_NOT_SHARING, upstream->host,
            "this process could not join the cache that it shares with others");
    case HF_NOT_ALLOWED:
        return refuse(HF_REFUSED_NOT_ALLOWED, upstream->host,
            "it is not among the hosts of allowed_hosts, and is not asked");
    case HF_NO_HOST_SLOT:
        return refuse(HF_REFUSED_HOSTS_FULL, upstream->host,
            "the table of hosts is full, expected at most max_hosts in use at a time");
    case HF_NO_CONNECTION_SLOT:
        return refuse(HF_REFUSED_CONNECTIONS_FULL, upstream->host,
            "the table of connections is full, expected at most max_connections at a time");
    }
    return acquired.handle;
}

static void on_disconnect(hf_conn conn)
{
    hf_registry_release(&cache.registry, conn, hf_clock_coarse_ms());
}

static __attribute__((noinline)) int32_t awaken(hf_conn conn, uint32_t flag)
{
    int answer;

    if (hf_registry_awaken(&cache.registry, conn, hf_clock_coarse_ms()))
        hf_worker_kick(&cache.worker);
    answer = hf_registry_read(&cache.registry, conn, flag);
    return answer < 0 ? 0 : answer;
}

/* Lies in as few cache lines as it can: otherwise a call costs a fifth more. */
static __attribute__((aligned(64))) int32_t is_enabled(hf_conn conn, uint32_t flag)
{
    int answer = hf_registry_read(&cache.registry, conn, flag);

    return HF_LIKELY(answer >= 0) ? answer : awaken(conn, flag);
}

/* ---- questions about it ---- */

static int32_t flag_index(const char *name)
{
    int32_t index = -1;

    pthread_rwlock_rdlock(&use);
    if (cache.settings != NULL && name != NULL)
        index = hf_settings_flag_index(cache.settings, name);
    pthread_rwlock_unlock(&use);
    return index >= 0 ? index : HF_E_NOTFOUND;
}

/* Under `use`. */
static int32_t fill_answer(hf_conn conn, uint32_t flag, struct hf_answer *answer)
{
    int64_t now = hf_clock_ms();
    struct hf_host_words words = {HF_UNKNOWN, -1, -1, -1, 0};
    struct hf_flag_words flag_words;
    struct hf_rules rules;
    struct hf_view view;
    bool live;

    if (cache.settings == NULL || flag >= cache.settings->flag_count)
        return HF_E_INVALID;
    live = hf_registry_view_connection(&cache.registry, conn, &view);
    if (live) {
        words = hf_describe_host(&cache.settings->policy, &view, now);
        answer->last_error = view.facts.outcome;
        answer->http_status = view.facts.http_status;
    }
    rules = live ? view.rules : hf_registry_rules(&cache.registry);
    flag_words = hf_describe_flag(&rules, live ? &view : NULL, words.state, flag);
    answer->enabled = flag_words.enabled;
    answer->reason = (int32_t)flag_words.reason;
    answer->state = (int32_t)words.state;
    answer->age_ms = words.age_ms;
    answer->next_refresh_ms = words.next_refresh_ms;
    return live ? HF_OK : HF_E_INVALID;
}

static int32_t explain(hf_conn conn, uint32_t flag, struct hf_answer *theirs)
{
    struct hf_answer answer = {.age_ms = -1, .next_refresh_ms = -1};
    size_t size;
    int32_t result;

    if (theirs == NULL)
        return HF_E_INVALID;
    if (!hf_is_ours(&theirs->hdr, 0))
        return HF_E_ABI;
    if (theirs->hdr.size <= sizeof(struct hf_header))
        return HF_E_INVALID;
    pthread_rwlock_rdlock(&use);
    result = fill_answer(conn, flag, &answer);
    pthread_rwlock_unlock(&use);
    size = theirs->hdr.size < sizeof(answer) ? theirs->hdr.size : sizeof(answer);
    memcpy((char *)theirs + sizeof(struct hf_header), (char *)&answer + sizeof(struct hf_header),
        size - sizeof(struct hf_header));
    return result;
}

static size_t status(int32_t format, char *buf, size_t size)
{
    struct hf_status about = {.registry = &cache.registry, .now = hf_clock_ms()};
    char *text = NULL;
    size_t length;

    pthread_rwlock_rdlock(&use);
    about.settings = cache.settings;
    about.share = cache.settings == NULL ? NULL : cache.share;
    about.refusals = hf_registry_refusals(&cache.registry);
    if (cache.settings != NULL && format == HF_STATUS_JSON)
        text = hf_status_json(&about);
    else if (cache.settings != NULL && format == HF_STATUS_PROMETHEUS)
        text = hf_status_prometheus(&about);
    pthread_rwlock_unlock(&use);
    length = text == NULL ? 0 : strlen(text);
    if (buf != NULL && size > 0)
        snprintf(buf, size, "%s", text == NULL ? "" : text);
    free(text);
    return length;
}

static int32_t refresh(const char *name)
{
    struct hf_upstream_key key;
    enum hf_refresh_result result;
    struct hf_rules rules;

    if (name != NULL && hf_upstream_parse(&key, name, 0, NULL) != NULL)
        return HF_E_INVALID;
    rules = hf_registry_rules(&cache.registry);
    if (hf_registry_is_closed(&cache.registry) || !hf_rules_ask(&rules))
        return HF_E_STATE;
    result = hf_registry_refresh(&cache.registry, name == NULL ? NULL : &key, hf_clock_ms());
    switch (result) {
    case HF_REFRESH_PLANNED:
        hf_worker_kick(&cache.worker);
        return HF_OK;
    case HF_REFRESH_IN_FLIGHT:
        return HF_OK;
    case HF_REFRESH_TOO_SOON:
        return HF_E_TOO_SOON;
    case HF_REFRESH_UNKNOWN:
    case HF_REFRESH_NOT_ALLOWED:
        return HF_E_NOTFOUND;
    }
    return HF_E_NOTFOUND;
}

static void prepare(void)
{
    hf_instance_init(&cache, &hf_lent_log, hf_lent_giver());
    handles_forks =
        pthread_atfork(hf_instance_before_fork, hf_instance_after_fork, start_anew_after_fork) == 0;
}

__attribute__((visibility("default"))) const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct hf_plugin plugin = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(struct hf_plugin), 0},
        .name = HF_NAME,
        .version = HF_VERSION,
        .init = init,
        .on_connect = on_connect,
        .on_disconnect = on_disconnect,
        .is_enabled = is_enabled,
        .fini = fini,
        .flag_index = flag_index,
        .explain = explain,
        .reload = reload,
        .status = status,
        .refresh = refresh,
    };
    pthread_once(&once, prepare);
    return &plugin;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * host.h: a host program for tests, written against host_api.h and dlopen alone.
 *
 *     const struct hf_plugin *plugin = hf_test_host_load(NULL);
 *     CHECK_INT_EQ(hf_test_init(plugin, "flags = a, b\nallow_http = loopback\n"), HF_OK);
 *     hf_conn conn = hf_test_connect(plugin, hf_flag_service_host(service));
 *     CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, 0) == 1, 5000));
 *     CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", port, "requests"), 1);
 *     plugin->on_disconnect(conn);
 *     plugin->fini();
 *
 * What the plugin logs is captured, for the whole program, until hf_test_log_clear(); with the
 * environment variable HF_VERBOSE set it goes to stderr as well. Threads: any; load, unload, init
 * and reload one at a time.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_HOST_H
#define HOSTFLAGS_TESTS_SUPPORT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host_api.h"

/* The plugin's file: $HF_PLUGIN, or hostflags.so in $HF_BUILD, or build/hostflags.so. */
const char *hf_test_plugin_path(void);

/* Loads a plugin (NULL: the one above) and checks magic and major version. NULL: not possible; the
 * reason is on stderr. */
const struct hf_plugin *hf_test_host_load(const char *path);

/* dlclose of the latest load. */
void hf_test_host_unload(void);

/* The table that hf_test_init() passes: name "test", version "1.0", log captured, no tokens. Tests
 * that need another change a copy and use hf_test_init_with(). */
struct hf_host hf_test_host(void);

/* Is called for each line after it was captured, on the thread that logs; NULL: nothing. */
void hf_test_host_on_log(void (*hook)(int32_t level, const char *message));

/* init or reload with settings in text form: lines "key = value"; blanks around both are cut, empty
 * lines and lines that begin with # are skipped. format is printf's. The error text of the latest
 * call on any of them is in hf_test_error() ("" after a success). */
int32_t hf_test_init(const struct hf_plugin *plugin, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int32_t hf_test_init_with(const struct hf_plugin *plugin, const struct hf_host *host,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
int32_t hf_test_reload(const struct hf_plugin *plugin, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *hf_test_error(void);

/* Settings in text form as an array, for callers of init of their own. Free with
 * hf_test_settings_free(). */
struct hf_test_settings {
    struct hf_setting *items;
    size_t count;
    char *text; /* what items point into */
};
void hf_test_settings_parse(struct hf_test_settings *settings, const char *text);
void hf_test_settings_free(struct hf_test_settings *settings);

/* on_connect to "name" or "name:port"; to a port and an org id (NULL: none). */
hf_conn hf_test_connect(const struct hf_plugin *plugin, const char *host);
hf_conn hf_test_connect_to(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *org_id);

/* explain; all zero when it fails. */
struct hf_answer hf_test_explain(const struct hf_plugin *plugin, hf_conn conn, uint32_t flag);

/* The captured log. text: searched as it is, anywhere in a line; "" fits every line. */
void hf_test_log_clear(void);
bool hf_test_log_contains(const char *text);
size_t hf_test_log_count(const char *text);
size_t hf_test_log_count_level(int32_t level, const char *text); /* HF_LOG_ */
void hf_test_log_print(void); /* on stderr */

/* status(HF_STATUS_JSON), read anew by each call. A host is found by its "host", its "port" (0:
 * any) and, where host is written "name#123", its "org_id"; the first that fits counts.
 * HF_TEST_NO_VALUE, NULL, false: there is no such host or member. */
#define HF_TEST_NO_VALUE INT64_MIN
char *hf_test_status(const struct hf_plugin *plugin, int32_t format); /* the text; free it */
bool hf_test_status_has(const struct hf_plugin *plugin, const char *host, uint16_t port);
int64_t hf_test_status_int(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *member);
/* For the caller to free; a number comes as its digits. */
char *hf_test_status_string(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *member);
/* Whether that string is equal to expected. */
bool hf_test_status_is(const struct hf_plugin *plugin, const char *host, uint16_t port,
    const char *member, const char *expected);
/* "enabled" (1, 0) of one flag; HF_TEST_NO_VALUE. */
int64_t hf_test_status_flag(
    const struct hf_plugin *plugin, const char *host, uint16_t port, const char *flag);
/* Whether the "reason" of one flag is equal to expected. */
bool hf_test_status_reason_is(const struct hf_plugin *plugin, const char *host, uint16_t port,
    const char *flag, const char *expected);
/* A member at the top, such as "connections"; "hosts" gives the number of hosts. */
int64_t hf_test_status_total(const struct hf_plugin *plugin, const char *member);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * stage.h: what the demo's acts play on: upstreams (127.0.0.1 and so on), each an echo server with
 * a flag service beside it; the proxy hostflags-host, which loads the plugin because its config
 * file has a section for it; clients whose bytes are compared with what comes back; and the table
 * on the screen. Whatever goes wrong ends the demo, with the proxy's log.
 */
#ifndef HOSTFLAGS_TESTS_DEMO_STAGE_H
#define HOSTFLAGS_TESTS_DEMO_STAGE_H

#include "tests/demo/screen.h"
#include "tests/support/echo_server.h"
#include "tests/support/flag_service.h"
#include "tests/support/load_client.h"
#include "tests/support/process.h"
#include "tests/support/wait_until.h"

enum { HOSTS_MOST = 21, HOSTS = 20, CONNECTIONS = 1000, BOUND_MS = 30000 };

struct stage_options {
    int hosts; /* upstreams; clients go to the first HOSTS */
    const char *ttl; /* seconds, as the services say it */
    const char *proxy_lines, *plugin_lines; /* more of the config file's sections */
};

struct stage {
    struct stage_options options;
    char addresses[HOSTS_MOST][24];
    struct hf_flag_service *services[HOSTS_MOST];
    struct hf_echo *echo;
    struct hf_process *proxy;
    struct hf_load *load;
    char *directory, *socket_path, *telemetry_path;
    uint16_t listen_port;
    struct screen screen;
    struct cache_view view; /* as it was when it was looked at last */
    size_t telemetry_lines;
    int64_t last_draw_ms;
    size_t closed; /* sessions that ended: each read its flag once */
    /* What the same connections would have asked, had each its own cache. */
    int64_t requests_seen[HOSTS_MOST], requests_alone;
};

extern struct stage stage;

#define FLAG "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver"

/* Servers and proxy. */
void stage_open(const struct stage_options *options);

/* Ends the proxy by SIGTERM, and everything else. */
void stage_end_proxy(void);
void stage_close(void);

__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *format, ...);

/* CONNECTIONS clients begin to arrive at the first HOSTS upstreams. */
void stage_start_load(void);

/* More of them, at so many upstreams from first_host on: all have arrived, and got their bytes. */
struct hf_load *stage_add_clients(int first_host, int hosts, size_t count);

/* All bytes came back, and of CONNECTIONS clients so many are lost. */
void stage_check_bytes(const char *when, size_t lost);
void stage_close_sessions(size_t count);

size_t services_asked(void);

/* How many whole lines of the telemetry hold that text. */
size_t count_lines(const char *containing);

/* Looks at everything, and draws it: at once if whole, else at most once a second. */
void look(bool whole);

/* Looks, and draws once a second, until it is reached. */
void await(bool (*reached)(void), const char *what);

/* ---- what is awaited in both parts ---- */

bool lines_for_all_closed(void); /* of telemetry: each session read its flag, and it was on */
bool all_connected(void);
bool all_on_and_fresh(void);

#endif

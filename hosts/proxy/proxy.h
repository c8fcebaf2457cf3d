/* SPDX-License-Identifier: PostgreSQL
 *
 * proxy.h: the running program: listeners, loop threads, signals, reload, drain. Main thread.
 *
 *     SIGHUP             read the configuration file again; all of it is applied or nothing
 *     SIGTERM, SIGINT    drain: stop listening, close idle upstream connections, wait for sessions
 *                        for drain_timeout; a second one: do not wait
 */
#ifndef HOSTFLAGS_PROXY_PROXY_H
#define HOSTFLAGS_PROXY_PROXY_H

#include "hosts/proxy/config.h"

/* Runs the proxy, with the plugin loaded already, until a signal ends it. Takes the reference to
 * config over. Returns the exit status: 0, or 1 when it could not start, as the log says. */
int hf_proxy_run(struct hf_config *config);

#endif

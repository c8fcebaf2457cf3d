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

#include <signal.h>

#include "hosts/proxy/config.h"

/* What a worker has from its master (master.h). */
struct hf_proxy_worker {
    int number; /* from 1 */
    int ready_fd; /* gets a byte when clients are accepted, and is closed; -1: nobody waits */
    sigset_t mask; /* from when signals are understood; until then they are held back */
};

/* Runs the proxy, with the plugin loaded already, until a signal ends it. Takes the reference to
 * config over. Returns the exit status: 0, or 1 when it could not start, as the log says.
 *
 * worker: NULL, or this process is one of several. Then it shares its addresses with the others,
 * has no status socket, and gets its signals from the master: SIGTERM drains and SIGINT does not
 * wait, each however often it comes. */
int hf_proxy_run(struct hf_config *config, const struct hf_proxy_worker *worker);

/* Logs what a new configuration cannot change in a running program. */
void hf_proxy_report_restarts(const struct hf_config *old, const struct hf_config *config);

#endif

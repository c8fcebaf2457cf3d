/* SPDX-License-Identifier: PostgreSQL
 *
 * master.h: the program with `processes` above 1: a master, and workers that are proxies.
 *
 *     master   reads the configuration, loads the plugin and calls its init; claims the addresses,
 *       |      forks the workers; answers at the status socket; has no clients and no threads
 *       | fork, then signals; a byte from each worker that accepts its first clients
 *     worker   listens with SO_REUSEPORT at the claimed addresses and does all that is in proxy.h
 *
 * The workers are forked after the plugin's init and before there is a loop, so that a plugin may
 * share what it knows with memory made by init. A worker that ends is replaced: the master leaves
 * its loop for that, and the child takes leave of what it has inherited of it.
 *
 *     SIGHUP             the master reads the file and tries all that can fail; if all is well the
 *                        workers get SIGHUP and do the same for themselves
 *     SIGTERM, SIGINT    the workers drain; a second one: they do not wait
 *
 * A worker that ends before all accept clients ends the program: what fails at the start is an
 * error, not a case for trying again.
 */
#ifndef HOSTFLAGS_PROXY_MASTER_H
#define HOSTFLAGS_PROXY_MASTER_H

#include "hosts/proxy/config.h"

/* Runs the program until a signal ends it, and each worker, too: it returns in all these processes,
 * which then have to end the plugin. Takes the reference to config over. Returns the exit status of
 * the process: 0, or 1 when it could not start, or a worker had to be killed in the end. */
int hf_master_run(struct hf_config *config);

#endif

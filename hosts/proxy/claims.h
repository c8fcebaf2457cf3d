/* SPDX-License-Identifier: PostgreSQL
 *
 * claims.h: the addresses that the workers share, held by their master.
 *
 * Workers listen with SO_REUSEPORT: the kernel then spreads the clients over all sockets of the
 * address, also over those of a second proxy that was started by mistake. So the master claims each
 * address first, as if it were to listen there alone, which fails where anybody else listens or has
 * a claim. Then it stops listening, but stays bound, with SO_REUSEPORT, as long as it lives: a
 * socket that gets no clients, beside which only those with SO_REUSEPORT can be bound, and another
 * claim cannot.
 *
 * A claim of port 0 takes a free port, and sets it in the configuration's socket address for the
 * workers to bind.
 *
 * The master's thread, and that of a worker that leaves what it has inherited.
 */
#ifndef HOSTFLAGS_PROXY_CLAIMS_H
#define HOSTFLAGS_PROXY_CLAIMS_H

#include <stddef.h>

#include "hosts/proxy/config.h"

/* Claims the addresses of a configuration that are not claimed yet, and sets the ports of all that
 * have port 0. HF_E_SYSTEM with a sentence in error: then nothing new is claimed. */
int hf_claims_add(struct hf_config *config, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* Whether one of the configuration's addresses has port 0 and is not claimed: workers that run
 * already could not know what it became. NULL: none, otherwise that upstream. */
const struct hf_config_upstream *hf_claims_find_unknown_port(const struct hf_config *config);

/* Gives up those that the configuration does not name. NULL: all. */
void hf_claims_keep(const struct hf_config *config);

/* Logs the addresses of the configuration where clients are welcome, each once. */
void hf_claims_log(const struct hf_config *config);

#endif

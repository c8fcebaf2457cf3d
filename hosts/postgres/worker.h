/* SPDX-License-Identifier: PostgreSQL
 *
 * worker.h: the background worker that drives the refresher for the whole server.
 */
#ifndef HOSTFLAGS_POSTGRES_WORKER_H
#define HOSTFLAGS_POSTGRES_WORKER_H

/* In the postmaster, while it preloads us. */
void hf_pg_worker_register(void);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * values.h: what functions and views show alike.
 *
 * The process's own thread; results live in the current memory context.
 */
#ifndef HOSTFLAGS_POSTGRES_VALUES_H
#define HOSTFLAGS_POSTGRES_VALUES_H

#include "hosts/postgres/compat.h"

#include "plugin/registry.h"

/* An interval of that many milliseconds. */
Datum hf_pg_interval(int64_t ms);

/* What became of the host's latest request. Names of files and of the proxy are parameters that not
 * everybody may see: who may not is told that there is something that is not shown. */
const char *hf_pg_message(const struct hf_view *view);

#endif

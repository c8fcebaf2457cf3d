/* SPDX-License-Identifier: PostgreSQL
 *
 * compat.h: PostgreSQL, and all that differs between its major versions. The first header of every
 * file here. What 16 and 17 need is written down already, and was never tried: whoever tries one of
 * them raises the limit below.
 */
#ifndef HOSTFLAGS_POSTGRES_COMPAT_H
#define HOSTFLAGS_POSTGRES_COMPAT_H

/* Symbols are hidden (the server loads objects for all to see), but for what it looks up. Before 16
 * it has no word for that. */
#define PGDLLEXPORT __attribute__((visibility("default")))

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "hostflags needs PostgreSQL 15 or later: there is no shmem_request_hook before"
#endif
#if PG_VERSION_NUM >= 160000
#error "hostflags was never tried with this version of PostgreSQL: see hosts/postgres/compat.h"
#endif
#ifdef EXEC_BACKEND
#error "hostflags needs processes that inherit the postmaster's memory by fork"
#endif

/* This process's place among all; its latch is found by that. */
static inline int hf_pg_own_number(void)
{
#if PG_VERSION_NUM >= 170000
    return MyProcNumber;
#else
    return MyProc->pgprocno;
#endif
}

static inline struct Latch *hf_pg_latch_of(int number)
{
    return &GetPGProcByNumber(number)->procLatch;
}

/* What pg_stat_activity shows while we wait. Before 17 all extensions have one name. */
static inline uint32 hf_pg_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
    static uint32 event;

    if (event == 0)
        event = WaitEventExtensionNew("Hostflags");
    return event;
#else
    return PG_WAIT_EXTENSION;
#endif
}

#endif

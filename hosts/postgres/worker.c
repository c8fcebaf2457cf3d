/* SPDX-License-Identifier: PostgreSQL
 *
 * worker.c: the background worker: one refresher, and a loop that waits on this process's latch
 * where nothing is in flight, and else in libcurl for at most POLL_MS.
 *
 * Signals. libcurl starts threads to look up names, which inherit the mask of signals. PostgreSQL's
 * handlers must run on the main thread only, so all signals are blocked around whatever may come to
 * libcurl; they are served at the next turn. Interrupts are held for the same time: a line of log
 * must not throw out of the midst of the refresher.
 *
 * With a database connection, though to no database, the worker is listed in pg_stat_activity and
 * can be terminated; it exits with 1 then, and the postmaster starts it again. Barriers that others
 * wait for (DROP DATABASE) are served by CHECK_FOR_INTERRUPTS.
 */
#include "hosts/postgres/worker.h"

#include "hosts/postgres/gucs.h"
#include "hosts/postgres/shared.h"
#include "plugin/clock.h"
#include "plugin/fetch.h"
#include "plugin/refresh.h"
#include "plugin/user_agent.h"

#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/backend_status.h"

#include <signal.h>

#define RESTART_S 1 /* after its end */
#define POLL_MS 100 /* between looks at the latch while something is in flight */
#define REST_MS 600000 /* at most so long without a look */

static const struct hf_token_giver no_giver;
static char user_agent[HF_USER_AGENT_MAX];
static struct hf_refresher *refresher;

PGDLLEXPORT void hf_pg_worker_main(Datum arg);

/* ---- signals ---- */

static sigset_t before_quiet;

static void begin_quiet(void)
{
    sigset_t all;

    HOLD_INTERRUPTS();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before_quiet);
}

static void end_quiet(void)
{
    sigprocmask(SIG_SETMASK, &before_quiet, NULL);
    RESUME_INTERRUPTS();
}

/* ---- life ---- */

static void open_refresher(void)
{
    struct hf_refresher_parts parts = {
        hf_pg_registry(), hf_pg_registry()->settings, &hf_pg_log, &no_giver, user_agent};

    begin_quiet();
    refresher = hf_refresher_create(&parts);
    end_quiet();
    if (refresher == NULL)
        ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
            errmsg("hostflags: no memory or descriptors to ask services"));
}

static void close_refresher(void)
{
    begin_quiet();
    hf_refresher_destroy(refresher);
    refresher = NULL;
    end_quiet();
}

/* The worker's object is looked for by its name alone. */
static void check_object(void)
{
    if (!hf_pg_is_preloaded()) { /* 0 is the end of it */
        ereport(LOG,
            errmsg("hostflags asks nobody: shared_preload_libraries names another file than "
                   "$libdir/" HF_NAME),
            errhint("Set shared_preload_libraries = '" HF_NAME "', and restart the server."));
        proc_exit(0);
    }
}

static void open_library(void)
{
    const char *unfit = hf_fetch_check_library();
    bool failed;

    if (unfit != NULL) { /* nor would another start help; 0 is the end of it */
        ereport(LOG, errmsg("hostflags asks nobody: %s", unfit));
        proc_exit(0);
    }
    begin_quiet();
    failed = hf_fetch_global_init() != 0;
    end_quiet();
    if (failed)
        ereport(FATAL, errmsg("hostflags: libcurl could not be initialised"));
}

/* As the parameters are now; NULL: as before. */
static struct hf_settings *take_settings(void)
{
    char told[HF_LOG_LINE_MAX];
    struct hf_settings *made = hf_pg_gucs_take(told, sizeof(told));

    hf_pg_gucs_log(told);
    return made;
}

/* What is in flight is given up for other settings only. */
static void follow(void)
{
    struct hf_settings *made = take_settings();

    if (made == NULL)
        return;
    close_refresher();
    hf_pg_use_settings(made, true);
    open_refresher();
}

static void tell_published(void)
{
    ereport(DEBUG1, errmsg_internal("hostflags: answers are by the parameters of now"));
}

static void reload(void)
{
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    follow();
    tell_published();
}

static void forget_worker(int code, Datum arg)
{
    (void)code;
    (void)arg;
    atomic_store(&hf_pg_shared()->worker, -1);
    atomic_store(&hf_pg_shared()->worker_pid, 0);
}

/* What a worker before left in flight has no end any more. What it published may be older than what
 * this one has from the postmaster. */
static void begin(void)
{
    struct hf_settings *made;

    check_object();
    hf_user_agent(user_agent, "postgresql", PG_VERSION);
    open_library();
    before_shmem_exit(forget_worker, 0);
    atomic_store(&hf_pg_shared()->worker, hf_pg_own_number());
    atomic_store(&hf_pg_shared()->worker_pid, MyProcPid);
    hf_registry_lead(hf_pg_registry(), hf_clock_ms());
    made = take_settings();
    if (made != NULL)
        hf_pg_use_settings(made, true);
    else
        hf_registry_apply(hf_pg_registry(), hf_pg_registry()->settings, hf_clock_ms());
    open_refresher();
    tell_published();
}

/* ---- the loop ---- */

static void show_activity(bool idle)
{
    static int shown = -1;

    if (shown != (int)idle)
        pgstat_report_activity(idle ? STATE_IDLE : STATE_RUNNING,
            idle ? "waiting until a host is due" : "asking flag services");
    shown = (int)idle;
}

static void turn(void)
{
    show_activity(hf_refresher_is_idle(refresher));
    pgstat_report_wait_start(hf_pg_wait_event());
    begin_quiet();
    hf_refresher_turn(refresher, hf_refresher_is_idle(refresher) ? 0 : POLL_MS);
    end_quiet();
    pgstat_report_wait_end();
    ConditionVariableBroadcast(&hf_pg_shared()->heard);
}

static void rest(void)
{
    bool idle = hf_refresher_is_idle(refresher);

    show_activity(idle);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
        idle ? (long)hf_refresher_until_due(refresher, REST_MS) : 0, hf_pg_wait_event());
    ResetLatch(MyLatch);
}

void hf_pg_worker_main(Datum arg)
{
    (void)arg;
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGINT, SIG_IGN); /* pg_cancel_backend: there is no statement to be cancelled */
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0);
    begin();
    while (!ShutdownRequestPending) {
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending)
            reload();
        follow(); /* if there was no memory before */
        turn();
        rest();
    }
    close_refresher();
    proc_exit(1); /* not 0: that would be the end of it for good */
}

void hf_pg_worker_register(void)
{
    BackgroundWorker worker = {
        .bgw_name = "hostflags refresher",
        .bgw_type = "hostflags refresher",
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_ConsistentState,
        .bgw_restart_time = RESTART_S,
        .bgw_library_name = HF_NAME,
        .bgw_function_name = "hf_pg_worker_main",
    };

    RegisterBackgroundWorker(&worker);
}

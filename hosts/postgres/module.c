/* SPDX-License-Identifier: PostgreSQL
 *
 * module.c: what happens when the server loads the object. While it preloads its libraries:
 * parameters, shared memory and worker. Later: nothing, and each function says why it cannot work.
 */
#include "hosts/postgres/gucs.h"
#include "hosts/postgres/shared.h"
#include "hosts/postgres/worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void _PG_init(void)
{
    char error[HF_LOG_LINE_MAX];
    struct hf_settings *settings;

    if (!process_shared_preload_libraries_in_progress)
        return;
    hf_pg_gucs_define();
    settings = hf_pg_gucs_take(error, sizeof(error));
    if (settings == NULL)
        ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
            errmsg("hostflags cannot start with its settings: %s", error));
    hf_pg_shared_request(settings);
    hf_pg_worker_register();
}

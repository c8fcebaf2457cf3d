/* SPDX-License-Identifier: PostgreSQL
 *
 * settled.h: how many threads a test program has when nothing is going on, to count ours against.
 *
 * ThreadSanitizer starts a thread of its own with the first one of the program; and a thread that
 * was just joined may still be listed. Main thread only; for one file per program.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_SETTLED_H
#define HOSTFLAGS_TESTS_INTEGRATION_SETTLED_H

#include <pthread.h>

#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/suite.h"
#include "tests/support/wait_until.h"

#define HF_SETTLED_BOUND_MS 30000

static int hf_threads_alone; /* of this program, with nothing going on */

static void *hf_settled_count(void *gate)
{
    hf_threads_alone = hf_fds_threads(0) - 1; /* less this one */
    pthread_barrier_wait(gate);
    return NULL;
}

/* To be called once, before any other thread is started. */
static inline void hf_settled_init(void)
{
    pthread_barrier_t gate;
    pthread_t thread;

    pthread_barrier_init(&gate, NULL, 2);
    pthread_create(&thread, NULL, hf_settled_count, &gate);
    pthread_barrier_wait(&gate);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&gate);
}

/* Waits until the threads of the test before this one are gone. */
static inline void hf_settle(void)
{
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) == hf_threads_alone, HF_SETTLED_BOUND_MS));
}

static inline struct hf_flag_service *hf_settled_service(void)
{
    hf_settle();
    return hf_flag_service_start(NULL);
}

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * lock.h: the seam behind which the registry's lock sits. A process of threads puts a mutex there,
 * PostgreSQL would put an LWLock. Never held across I/O or a callback into the host; no other lock
 * is taken while it is held.
 */
#ifndef HOSTFLAGS_LOCK_H
#define HOSTFLAGS_LOCK_H

struct hf_lock {
    void (*take)(void *arg);
    void (*give)(void *arg);
    void *arg;
};

#endif

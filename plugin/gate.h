/* SPDX-License-Identifier: PostgreSQL
 *
 * gate.h: counts threads that are inside somebody else's code, so that one can wait until they are
 * out. Nobody is kept waiting at the entrance: it is open, or it is not.
 */
#ifndef HOSTFLAGS_GATE_H
#define HOSTFLAGS_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct hf_gate {
    pthread_mutex_t mutex;
    pthread_cond_t empty;
    bool open;
    uint32_t inside;
};

#define HF_GATE_INITIALIZER \
    { \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .empty = PTHREAD_COND_INITIALIZER \
    }

void hf_gate_open(struct hf_gate *gate);

/* False: it is closed. Otherwise leave afterwards. */
bool hf_gate_enter(struct hf_gate *gate);
void hf_gate_leave(struct hf_gate *gate);

/* In a child after a fork, where only the calling thread is left: it is inside `inside` times. */
void hf_gate_forked(struct hf_gate *gate, uint32_t inside);

/* Closes it and waits until nobody is inside. Not from inside. */
void hf_gate_close(struct hf_gate *gate);

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/gate.h"

void hf_gate_open(struct hf_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_mutex_unlock(&gate->mutex);
}

bool hf_gate_enter(struct hf_gate *gate)
{
    bool open;

    pthread_mutex_lock(&gate->mutex);
    open = gate->open;
    if (open)
        gate->inside++;
    pthread_mutex_unlock(&gate->mutex);
    return open;
}

void hf_gate_leave(struct hf_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    if (--gate->inside == 0)
        pthread_cond_broadcast(&gate->empty);
    pthread_mutex_unlock(&gate->mutex);
}

void hf_gate_close(struct hf_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = false;
    while (gate->inside > 0)
        pthread_cond_wait(&gate->empty, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void hf_gate_forked(struct hf_gate *gate, uint32_t inside)
{
    struct hf_gate fresh = HF_GATE_INITIALIZER;

    fresh.open = gate->open;
    fresh.inside = inside;
    *gate = fresh;
}

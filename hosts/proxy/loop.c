/* SPDX-License-Identifier: PostgreSQL
 *
 * loop.c: see loop.h.
 */
#include "hosts/proxy/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "hosts/proxy/memory.h"
#include "hosts/proxy/pool.h"
#include "hosts/proxy/session.h"

enum mail_kind { MAIL_CONFIG, MAIL_CLIENT, MAIL_DRAIN };

struct hf_mail {
    enum mail_kind kind;
    struct hf_config *config; /* MAIL_CONFIG: a reference */
    int fd; /* MAIL_CLIENT: owned; otherwise -1 */
    size_t upstream;
    bool at_once; /* MAIL_DRAIN */
    struct hf_mail *next;
};

/* Frees the mail with what nobody has taken out of it. */
static void discard(struct hf_mail *mail)
{
    if (mail->fd >= 0)
        close(mail->fd);
    hf_config_release(mail->config);
    free(mail);
}

static void post(struct hf_loop *loop, const struct hf_mail *content)
{
    struct hf_mail *mail = hf_memory_new(sizeof(*mail));
    bool closed;

    *mail = *content;
    pthread_mutex_lock(&loop->lock);
    closed = loop->closed;
    if (!closed) {
        *loop->last = mail;
        loop->last = &mail->next;
        uv_async_send(&loop->wake);
    }
    pthread_mutex_unlock(&loop->lock);
    if (closed)
        discard(mail);
}

void hf_loop_post_config(struct hf_loop *loop, struct hf_config *config)
{
    post(loop,
        &(struct hf_mail){.kind = MAIL_CONFIG, .fd = -1, .config = hf_config_acquire(config)});
}

void hf_loop_post_client(struct hf_loop *loop, int fd, size_t upstream)
{
    post(loop, &(struct hf_mail){.kind = MAIL_CLIENT, .fd = fd, .upstream = upstream});
}

void hf_loop_post_drain(struct hf_loop *loop, bool at_once)
{
    post(loop, &(struct hf_mail){.kind = MAIL_DRAIN, .fd = -1, .at_once = at_once});
}

/* Pools of upstreams that are in both configurations stay, with their connections. */
static void apply_config(struct hf_loop *loop, struct hf_config *config)
{
    struct hf_pool **pools = hf_memory_new(config->upstream_count * sizeof(*pools));

    for (size_t i = 0; loop->config && i < loop->config->upstream_count; i++) {
        const struct hf_config_upstream *old = &loop->config->upstreams[i];
        const struct hf_config_upstream *now = hf_config_find(config, old->name);

        if (now && hf_config_same_server(old, now)) {
            pools[now - config->upstreams] = loop->pools[i];
            hf_pool_update(loop->pools[i], config, now);
        } else {
            hf_pool_retire(loop->pools[i]);
        }
    }
    for (size_t i = 0; i < config->upstream_count; i++)
        if (!pools[i])
            pools[i] = hf_pool_create(loop, config, &config->upstreams[i]);
    free(loop->pools);
    hf_config_release(loop->config);
    loop->pools = pools;
    loop->config = config;
}

static void drain(struct hf_loop *loop, bool at_once)
{
    for (size_t i = 0; !loop->draining && loop->config && i < loop->config->upstream_count; i++) {
        hf_pool_retire(loop->pools[i]);
        loop->pools[i] = NULL;
    }
    loop->draining = true;
    if (at_once)
        hf_session_end_all(loop);
    hf_loop_check_end(loop);
}

static void deliver(struct hf_loop *loop, struct hf_mail *mail)
{
    switch (mail->kind) {
    case MAIL_CONFIG:
        if (!loop->draining) {
            apply_config(loop, mail->config);
            mail->config = NULL;
        }
        break;
    case MAIL_CLIENT:
        if (!loop->draining && loop->config && mail->upstream < loop->config->upstream_count) {
            hf_session_start(loop, loop->pools[mail->upstream], mail->fd);
            mail->fd = -1;
        }
        break;
    case MAIL_DRAIN:
        drain(loop, mail->at_once);
        break;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct hf_loop *loop = wake->data;
    struct hf_mail *mail, *next;

    pthread_mutex_lock(&loop->lock);
    mail = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    for (; mail; mail = next) {
        next = mail->next;
        deliver(loop, mail);
        discard(mail);
    }
}

/* The mailbox was the last handle: without it uv_run returns. */
void hf_loop_check_end(struct hf_loop *loop)
{
    bool was_closed;

    if (!loop->draining || loop->sessions || loop->pool_count > 0)
        return;
    pthread_mutex_lock(&loop->lock);
    was_closed = loop->closed;
    loop->closed = true;
    pthread_mutex_unlock(&loop->lock);
    if (!was_closed)
        uv_close((uv_handle_t *)&loop->wake, NULL);
}

static void *run(void *arg)
{
    struct hf_loop *loop = arg;

    uv_run(&loop->uv, UV_RUN_DEFAULT);
    atomic_store(&loop->has_ended, true);
    uv_async_send(loop->ended);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct hf_loop *loop)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return uv_translate_sys_error(result);
}

int hf_loop_start(struct hf_loop *loop, int index, int count, uv_async_t *ended)
{
    int result = uv_loop_init(&loop->uv);

    if (result != 0)
        return result;
    loop->index = index;
    loop->count = count;
    loop->ended = ended;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    result = uv_async_init(&loop->uv, &loop->wake, on_wake);
    loop->wake.data = loop;
    if (result == 0)
        result = start_thread(loop);
    return result;
}

bool hf_loop_has_ended(const struct hf_loop *loop)
{
    return atomic_load(&loop->has_ended);
}

void hf_loop_join(struct hf_loop *loop)
{
    pthread_join(loop->thread, NULL);
    on_wake(&loop->wake); /* what came after the end */
    free(loop->pools);
    hf_config_release(loop->config);
    uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->lock);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * pool.c: see pool.h.
 */
#include "hosts/proxy/pool.h"

#include <stdlib.h>
#include <utlist.h>

#include "hosts/proxy/log.h"
#include "hosts/proxy/loop.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/server.h"

enum {
    MAX_OPENING = 32, /* at once: a server that was restarted is not flooded */
    MIN_RETRY_MS = 100,
    MAX_RETRY_MS = 30000,
    SHORT_LIFE_MS = 1000 /* an idle connection closed sooner counts as a failure */
};

static void fill(struct hf_pool *pool);

static void on_retry(uv_timer_t *retry)
{
    fill(retry->data);
}

/* Whether so much time has passed since the latest failure that the next one is a new story. */
static bool was_stable(const struct hf_pool *pool)
{
    uint64_t since_ms = (uv_hrtime() - pool->failed_ns) / 1000000;

    return since_ms >
        pool->wait_ms + (uint64_t)pool->config->connect_timeout_ms + 2 * SHORT_LIFE_MS;
}

/* Of several attempts that fail together, the first is logged and counts. */
static void failed(struct hf_pool *pool, const char *what, const char *reason)
{
    if (pool->is_retired || uv_is_active((uv_handle_t *)&pool->retry))
        return;
    pool->failures = was_stable(pool) ? 0 : pool->failures + 1;
    pool->failed_ns = uv_hrtime();
    pool->wait_ms = (uint64_t)MIN_RETRY_MS << (pool->failures < 10 ? pool->failures : 10);
    if (pool->wait_ms > MAX_RETRY_MS)
        pool->wait_ms = MAX_RETRY_MS;
    hf_log(HF_LOG_WARNING, "upstream `%s`: %s %s: %s; the pool tries again in %llu ms",
        pool->upstream->name, what, pool->upstream->connect_text, reason,
        (unsigned long long)pool->wait_ms);
    uv_timer_start(&pool->retry, on_retry, pool->wait_ms, 0);
}

static void on_opened(void *owner, struct hf_server *server);
static void on_open_failed(void *owner, struct hf_server *server, const char *reason);
static void on_idle_lost(void *owner, struct hf_server *server, const char *reason);

static const struct hf_server_events opening_events = {on_opened, on_open_failed, NULL};
static const struct hf_server_events idle_events = {NULL, on_idle_lost, NULL};

static void on_opened(void *owner, struct hf_server *server)
{
    struct hf_pool *pool = owner;

    pool->opening--;
    if (pool->is_retired || pool->members > pool->quota) {
        hf_server_close(server);
        return;
    }
    hf_server_set_owner(server, &idle_events, pool);
    DL_PREPEND(pool->idle, server);
    hf_server_watch(server);
    fill(pool);
}

static void on_open_failed(void *owner, struct hf_server *server, const char *reason)
{
    struct hf_pool *pool = owner;

    pool->opening--;
    pool->is_unreachable = true;
    failed(pool, "cannot connect to", reason);
    hf_server_close(server);
}

static void on_idle_lost(void *owner, struct hf_server *server, const char *reason)
{
    struct hf_pool *pool = owner;

    DL_DELETE(pool->idle, server);
    if ((uv_hrtime() - server->opened_ns) / 1000000 < SHORT_LIFE_MS)
        failed(pool, "lost at once an idle connection to", reason);
    else
        hf_log(HF_LOG_DEBUG, "upstream `%s`: lost an idle connection to %s: %s; it is replaced",
            pool->upstream->name, pool->upstream->connect_text, reason);
    hf_server_close(server);
}

static void fill(struct hf_pool *pool)
{
    while (!pool->is_retired && !uv_is_active((uv_handle_t *)&pool->retry) &&
        pool->members < pool->quota && pool->opening < MAX_OPENING) {
        pool->opening++;
        hf_server_open(pool, pool->config, pool->upstream, &opening_events, pool);
    }
}

static void shrink(struct hf_pool *pool)
{
    while (pool->idle && (pool->is_retired || pool->members > pool->quota)) {
        struct hf_server *server = pool->idle;

        DL_DELETE(pool->idle, server);
        hf_server_close(server);
    }
}

static void set_config(
    struct hf_pool *pool, struct hf_config *config, const struct hf_config_upstream *upstream)
{
    size_t index = (size_t)pool->loop->index, count = (size_t)pool->loop->count;
    size_t size = (size_t)upstream->pool_size;
    struct hf_config *old = pool->config;

    pool->config = hf_config_acquire(config);
    pool->upstream = upstream;
    pool->quota = size / count + (index < size % count ? 1 : 0);
    hf_config_release(old);
}

struct hf_pool *hf_pool_create(
    struct hf_loop *loop, struct hf_config *config, const struct hf_config_upstream *upstream)
{
    struct hf_pool *pool = hf_memory_new(sizeof(*pool));

    pool->loop = loop;
    loop->pool_count++;
    uv_timer_init(&loop->uv, &pool->retry);
    pool->retry.data = pool;
    set_config(pool, config, upstream);
    fill(pool);
    return pool;
}

void hf_pool_update(
    struct hf_pool *pool, struct hf_config *config, const struct hf_config_upstream *upstream)
{
    set_config(pool, config, upstream);
    shrink(pool);
    fill(pool);
}

static void on_retry_closed(uv_handle_t *retry)
{
    struct hf_pool *pool = retry->data;
    struct hf_loop *loop = pool->loop;

    hf_config_release(pool->config);
    free(pool);
    loop->pool_count--;
    hf_loop_check_end(loop);
}

static void end_if_empty(struct hf_pool *pool)
{
    if (pool->is_retired && pool->members == 0 && !uv_is_closing((uv_handle_t *)&pool->retry))
        uv_close((uv_handle_t *)&pool->retry, on_retry_closed);
}

void hf_pool_retire(struct hf_pool *pool)
{
    pool->is_retired = true;
    uv_timer_stop(&pool->retry);
    shrink(pool);
    end_if_empty(pool);
}

struct hf_server *hf_pool_take(struct hf_pool *pool)
{
    while (pool->idle) {
        struct hf_server *server = pool->idle;

        DL_DELETE(pool->idle, server);
        if (hf_server_take(server))
            return server;
        hf_server_close(server);
    }
    return NULL;
}

void hf_pool_joined(struct hf_pool *pool)
{
    pool->members++;
}

void hf_pool_succeeded(struct hf_pool *pool)
{
    if (!pool->is_unreachable || pool->is_retired)
        return;
    pool->is_unreachable = false;
    hf_log(HF_LOG_INFO, "upstream `%s`: %s can be reached again", pool->upstream->name,
        pool->upstream->connect_text);
    uv_timer_stop(&pool->retry);
    fill(pool);
}

void hf_pool_left(struct hf_pool *pool)
{
    pool->members--;
    fill(pool);
    end_if_empty(pool);
}

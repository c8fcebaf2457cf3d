/* SPDX-License-Identifier: PostgreSQL
 *
 * session.c: see session.h. A session has three parts with a close callback to come: the client's
 * handle, the timer, and (where there is one) the upstream connection. It is freed after the last.
 */
#include "hosts/proxy/session.h"

#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "hosts/proxy/flags.h"
#include "hosts/proxy/log.h"
#include "hosts/proxy/loop.h"
#include "hosts/proxy/memory.h"
#include "hosts/proxy/pool.h"
#include "hosts/proxy/relay.h"
#include "hosts/proxy/server.h"
#include "hosts/proxy/telemetry.h"

enum { KEEPALIVE_SECONDS = 60 };

struct hf_session {
    struct hf_loop *loop;
    uv_tcp_t client;
    uv_timer_t half_closed;
    struct hf_server *server;
    struct hf_relay up, down;
    uint64_t delivered; /* when the timer fired last */
    uint64_t start_ns;
    int parts;
    bool is_ending;
    struct hf_session *prev, *next; /* in loop->sessions */
};

static void part_closed(struct hf_session *session)
{
    struct hf_loop *loop = session->loop;

    if (--session->parts > 0)
        return;
    DL_DELETE(loop->sessions, session);
    free(session);
    hf_loop_check_end(loop);
}

static void on_server_closed(void *owner)
{
    part_closed(owner);
}

static void on_client_closed(uv_handle_t *client)
{
    part_closed((struct hf_session *)((char *)client - offsetof(struct hf_session, client)));
}

static void on_timer_closed(uv_handle_t *timer)
{
    part_closed(timer->data);
}

/* The one place where the program asks the plugin for a flag. */
static void write_telemetry(const struct hf_session *session)
{
    const struct hf_server *server = session->server;
    const struct hf_config_upstream *upstream = server->upstream;

    if (!server->is_open || !hf_flags_enabled(server->conn, upstream))
        return;
    hf_telemetry_write(&(struct hf_telemetry_line){
        .upstream = upstream->name,
        .host = upstream->host,
        .bytes_in = session->up.bytes,
        .bytes_out = session->down.bytes,
        .duration_ms = (double)(uv_hrtime() - session->start_ns) / 1e6,
        .upstream_connect_ms = hf_server_connect_ms(server),
    });
}

static void end(struct hf_session *session)
{
    if (session->is_ending)
        return;
    session->is_ending = true;
    if (session->server) {
        write_telemetry(session);
        hf_server_close(session->server);
    }
    uv_close((uv_handle_t *)&session->client, on_client_closed);
    uv_close((uv_handle_t *)&session->half_closed, on_timer_closed);
}

/* Bytes that have left us, in both directions. */
static uint64_t delivered(const struct hf_session *session)
{
    return session->up.bytes + session->down.bytes -
        uv_stream_get_write_queue_size(session->up.to) -
        uv_stream_get_write_queue_size(session->down.to);
}

static void on_half_closed(uv_timer_t *timer)
{
    struct hf_session *session = timer->data;
    uint64_t now_delivered = delivered(session);

    if (now_delivered == session->delivered)
        end(session);
    session->delivered = now_delivered;
}

static void on_direction_ended(struct hf_relay *relay, int status)
{
    struct hf_session *session = relay->owner;
    uint64_t timeout_ms = (uint64_t)session->server->config->half_close_timeout_ms;

    if (status < 0 || (session->up.done && session->down.done)) {
        end(session);
        return;
    }
    session->delivered = delivered(session);
    uv_timer_start(&session->half_closed, on_half_closed, timeout_ms, timeout_ms);
}

static void on_server_opened(void *owner, struct hf_server *server)
{
    struct hf_session *session = owner;
    uv_stream_t *client = (uv_stream_t *)&session->client;
    uv_stream_t *upstream = (uv_stream_t *)&server->tcp;

    session->up = (struct hf_relay){.from = client, .to = upstream};
    session->down = (struct hf_relay){.from = upstream, .to = client};
    session->up.owner = session->down.owner = session;
    session->up.buffer = session->down.buffer = session->loop->buffer;
    session->up.ended = session->down.ended = on_direction_ended;
    hf_relay_start(&session->down, server->early, server->early_length);
    if (!session->is_ending)
        hf_relay_start(&session->up, NULL, 0);
}

static void on_server_failed(void *owner, struct hf_server *server, const char *reason)
{
    char more[HF_RATION_SIZE];

    if (hf_ration_take(&server->pool->lost_clients, HF_RATION_MS, more))
        hf_log(HF_LOG_WARNING,
            "upstream `%s`: cannot connect to %s: %s; its client is disconnected%s",
            server->upstream->name, server->upstream->connect_text, reason, more);
    end(owner);
}

static const struct hf_server_events server_events = {
    on_server_opened, on_server_failed, on_server_closed};

static void find_server(struct hf_session *session, struct hf_pool *pool)
{
    session->parts++;
    session->server = hf_pool_take(pool);
    if (session->server) {
        hf_server_set_owner(session->server, &server_events, session);
        on_server_opened(session, session->server);
    } else {
        session->server =
            hf_server_open(pool, pool->config, pool->upstream, &server_events, session);
    }
}

void hf_session_start(struct hf_loop *loop, struct hf_pool *pool, int fd)
{
    struct hf_session *session = hf_memory_new(sizeof(*session));
    int status;

    session->loop = loop;
    session->start_ns = uv_hrtime();
    session->parts = 2;
    DL_APPEND(loop->sessions, session);
    uv_timer_init(&loop->uv, &session->half_closed);
    session->half_closed.data = session;
    uv_tcp_init(&loop->uv, &session->client);
    status = uv_tcp_open(&session->client, fd);
    if (status < 0) {
        hf_log(HF_LOG_WARNING, "upstream `%s`: cannot take over a client's connection: %s",
            pool->upstream->name, uv_strerror(status));
        close(fd);
        end(session);
        return;
    }
    uv_tcp_nodelay(&session->client, 1);
    uv_tcp_keepalive(&session->client, 1, KEEPALIVE_SECONDS);
    find_server(session, pool);
}

void hf_session_end_all(struct hf_loop *loop)
{
    struct hf_session *session;

    for (session = loop->sessions; session; session = session->next)
        end(session);
}

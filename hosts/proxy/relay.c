/* SPDX-License-Identifier: PostgreSQL
 *
 * relay.c: see relay.h. Most bytes are written at once from the buffer they were read into; only
 * the rest that the receiver's socket does not take is copied to the heap, as a uv_write_t followed
 * by its bytes.
 */
#include "hosts/proxy/relay.h"

#include <stdlib.h>
#include <string.h>

#include "hosts/proxy/loop.h"
#include "hosts/proxy/memory.h"

enum { PAUSE_ABOVE = 256 * 1024, RESUME_BELOW = 64 * 1024 };

struct queued {
    uv_write_t request;
    char bytes[];
};

static void end(struct hf_relay *relay, int status)
{
    if (relay->done)
        return;
    relay->done = true;
    uv_read_stop(relay->from);
    relay->ended(relay, status);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct hf_relay *relay = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(relay->buffer, HF_LOOP_BUFFER_SIZE);
}

static void on_read(uv_stream_t *from, ssize_t length, const uv_buf_t *buffer);

static void on_written(uv_write_t *request, int status)
{
    struct hf_relay *relay = request->data;

    free(request); /* the first member of its struct queued */
    if (uv_is_closing((uv_handle_t *)relay->to) || uv_is_closing((uv_handle_t *)relay->from))
        return;
    if (status < 0) {
        end(relay, status);
    } else if (relay->paused && uv_stream_get_write_queue_size(relay->to) <= RESUME_BELOW) {
        relay->paused = false;
        status = uv_read_start(relay->from, on_alloc, on_read);
        if (status < 0)
            end(relay, status);
    }
}

static void enqueue(struct hf_relay *relay, const char *bytes, size_t length)
{
    struct queued *queued = hf_memory_new(sizeof(*queued) + length);
    uv_buf_t buffer = uv_buf_init(queued->bytes, (unsigned)length);
    int status;

    memcpy(queued->bytes, bytes, length);
    queued->request.data = relay;
    status = uv_write(&queued->request, relay->to, &buffer, 1, on_written);
    if (status < 0) {
        free(queued);
        end(relay, status);
    } else if (uv_stream_get_write_queue_size(relay->to) > PAUSE_ABOVE) {
        relay->paused = true;
        uv_read_stop(relay->from);
    }
}

static void forward(struct hf_relay *relay, char *bytes, size_t length)
{
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned)length);
    int taken = uv_try_write(relay->to, &buffer, 1);

    relay->bytes += length;
    if (taken == UV_EAGAIN)
        taken = 0;
    if (taken < 0)
        end(relay, taken);
    else if ((size_t)taken < length)
        enqueue(relay, bytes + taken, length - (size_t)taken);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct hf_relay *relay = request->data;

    if (uv_is_closing((uv_handle_t *)relay->to) || uv_is_closing((uv_handle_t *)relay->from))
        return;
    end(relay, status);
}

/* The FIN follows what is queued. */
static void forward_end(struct hf_relay *relay)
{
    int status;

    uv_read_stop(relay->from);
    relay->shutdown.data = relay;
    status = uv_shutdown(&relay->shutdown, relay->to, on_shutdown);
    if (status < 0)
        end(relay, status);
}

static void on_read(uv_stream_t *from, ssize_t length, const uv_buf_t *buffer)
{
    struct hf_relay *relay = from->data;

    if (length == UV_EOF)
        forward_end(relay);
    else if (length < 0)
        end(relay, (int)length);
    else if (length > 0)
        forward(relay, buffer->base, (size_t)length);
}

void hf_relay_start(struct hf_relay *relay, const char *early, size_t early_length)
{
    int status;

    relay->from->data = relay;
    if (early && early_length > 0) {
        relay->bytes += early_length;
        enqueue(relay, early, early_length);
    }
    if (relay->done || relay->paused)
        return;
    status = uv_read_start(relay->from, on_alloc, on_read);
    if (status < 0)
        end(relay, status);
}

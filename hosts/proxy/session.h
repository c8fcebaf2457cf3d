/* SPDX-License-Identifier: PostgreSQL
 *
 * session.h: a client and its upstream connection, from accept to close.
 *
 *     start --> an idle connection of the pool, or a new one --> two relays --> end
 *
 * The session ends when both directions have ended; when either side breaks (then what was not
 * delivered is lost, as with any reset); when nothing moves for half_close_timeout after one
 * direction has ended (a peer that is gone for good looks like one that has only stopped sending);
 * or when the proxy has drained for too long. At its end the flag is read and, where it is on, a
 * line of telemetry is written; then the upstream connection is closed, which gives its reference
 * back.
 *
 * Sessions free themselves. Loop thread.
 */
#ifndef HOSTFLAGS_PROXY_SESSION_H
#define HOSTFLAGS_PROXY_SESSION_H

struct hf_loop;
struct hf_pool;

/* Takes fd over, an accepted client of that pool's upstream. */
void hf_session_start(struct hf_loop *loop, struct hf_pool *pool, int fd);

/* Closes both sides of every session. */
void hf_session_end_all(struct hf_loop *loop);

#endif

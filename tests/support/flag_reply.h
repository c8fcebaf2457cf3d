/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_reply.h: copies of replies, and how a reply becomes a response of libmicrohttpd. Part of
 * flag_service.c.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FLAG_REPLY_H
#define HOSTFLAGS_TESTS_SUPPORT_FLAG_REPLY_H

#include <stdbool.h>

#include <microhttpd.h>

#include "tests/support/flag_service.h"

/* A copy that owns its body and headers. A lack of memory ends the program. */
struct hf_flag_reply hf_flag_reply_copy(const struct hf_flag_reply *reply);
void hf_flag_reply_fini(struct hf_flag_reply *reply);

/* Replaces the headers of an owned copy; NULL: none. */
void hf_flag_reply_set_headers(struct hf_flag_reply *reply, const char *headers);
/* Puts one more before the headers of an owned copy. */
void hf_flag_reply_add_header(struct hf_flag_reply *reply, const char *name, const char *value);
/* Replaces the body of an owned copy; NULL: the flag document. */
void hf_flag_reply_set_body(struct hf_flag_reply *reply, const void *body, size_t len);

/* Sends an owned copy whose body is not NULL, after its delay. Runs on the connection's thread and
 * may wait there; ends early when the client leaves or stop_fd becomes readable. MHD_NO: the
 * connection is to be closed. */
enum MHD_Result hf_flag_reply_send(
    const struct hf_flag_reply *reply, struct MHD_Connection *connection, int stop_fd);

#endif

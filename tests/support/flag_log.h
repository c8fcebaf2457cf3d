/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_log.h: the requests that the flag service got. Part of flag_service.c; the caller locks,
 * records that were added are immutable and live until fini. A log that is all zero is empty. A
 * lack of memory ends the program.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FLAG_LOG_H
#define HOSTFLAGS_TESTS_SUPPORT_FLAG_LOG_H

#include <microhttpd.h>

#include "tests/support/flag_service.h"

struct hf_flag_log {
    struct hf_flag_request **requests;
    size_t count, capacity;
    size_t first; /* requests before it were cleared */
};

void hf_flag_log_fini(struct hf_flag_log *log);
void hf_flag_log_add(struct hf_flag_log *log, struct hf_flag_request *request); /* takes it over */
const struct hf_flag_request *hf_flag_log_get(const struct hf_flag_log *log, size_t i);

/* For MHD_OPTION_NOTIFY_CONNECTION: keeps with each connection when it was accepted. */
void hf_flag_log_on_connection(void **context, enum MHD_ConnectionNotificationCode code);

/* One record: made when the request line is known, filled when the header is. No lock needed. */
struct hf_flag_request *hf_flag_request_create(const char *path);
void hf_flag_request_fill(
    struct hf_flag_request *request, struct MHD_Connection *connection, const char *method);
void hf_flag_request_destroy(struct hf_flag_request *request);

#endif

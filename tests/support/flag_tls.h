/* SPDX-License-Identifier: PostgreSQL
 *
 * flag_tls.h: how the flag service speaks TLS, as options of libmicrohttpd. Part of flag_service.c.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_FLAG_TLS_H
#define HOSTFLAGS_TESTS_SUPPORT_FLAG_TLS_H

#include <stdbool.h>

#include <microhttpd.h>

#include "tests/support/flag_service.h"

/* PEM texts and GnuTLS' priority string, all owned. All zero: plain http. */
struct hf_flag_tls {
    char *cert, *key, *client_ca, *priority;
};

/* false: a file cannot be read; the reason is on stderr. Needs fini either way. */
bool hf_flag_tls_load(struct hf_flag_tls *tls, const struct hf_flag_service_options *options);
void hf_flag_tls_fini(struct hf_flag_tls *tls);

/* Fills options for MHD_OPTION_ARRAY; they borrow from tls. */
#define HF_FLAG_TLS_OPTIONS 5
void hf_flag_tls_options(
    const struct hf_flag_tls *tls, struct MHD_OptionItem options[HF_FLAG_TLS_OPTIONS]);

/* For a connection that starts: libmicrohttpd by itself asks for the client's certificate, but
 * takes any, or none. This makes GnuTLS refuse in the handshake. */
void hf_flag_tls_on_connection(const struct hf_flag_tls *tls, struct MHD_Connection *connection);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * exchange.h: one request over a connection of its own, as bytes, to try out the servers of the
 * tests without the client that they are there to test. Any thread, but see process.h for TLS.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_EXCHANGE_H
#define HOSTFLAGS_TESTS_SUPPORT_EXCHANGE_H

#include <stdint.h>

/* Sends the request to 127.0.0.1 and gives everything that comes back until the server ends the
 * connection (so the request should say "Connection: close"), for the caller to free. NULL: no
 * connection, or no end within 20 s (times HF_SLOW). */
char *hf_exchange(uint16_t port, const char *request);

/* The same in TLS by the program openssl, with further arguments of its s_client (words, as a shell
 * splits them; -quiet is among them already). *status gets its exit status: 0 unless TLS failed.
 * What openssl has to say is in the text too. */
char *hf_exchange_tls(uint16_t port, const char *request, const char *arguments, int *status);

#endif

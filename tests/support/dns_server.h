/* SPDX-License-Identifier: PostgreSQL
 *
 * dns_server.h: a name server at the address that resolv.conf names once name_server.h has covered
 * it. What it says of a name can be changed at any time, so that a look-up works first and then
 * does not.
 *
 * One thread answers. Threads: any, but for stop. Needs the right to bind port 53, and nobody else
 * there. Names are at most 63 bytes long, and compared as they are written.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_DNS_SERVER_H
#define HOSTFLAGS_TESTS_SUPPORT_DNS_SERVER_H

#include <stddef.h>

enum hf_dns_answer {
    HF_DNS_UNKNOWN = 0, /* there is no such name: what it says of all others, too */
    HF_DNS_HERE, /* 127.0.0.1, and no IPv6 address */
    HF_DNS_FAILURE, /* the server itself has failed */
    HF_DNS_SILENCE /* no answer */
};

#define HF_DNS_MAX_NAMES 64

struct hf_dns_server;

/* NULL: could not start, and errno says why. */
struct hf_dns_server *hf_dns_server_start(void);
/* NULL is fine. */
void hf_dns_server_stop(struct hf_dns_server *server);

/* A name too many ends the program. */
void hf_dns_server_set(struct hf_dns_server *server, const char *name, enum hf_dns_answer answer);

/* How often the IPv4 address of a name that was set has been asked for. */
size_t hf_dns_server_count(struct hf_dns_server *server, const char *name);

#endif

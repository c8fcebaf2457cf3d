/* SPDX-License-Identifier: PostgreSQL
 *
 * nginx.h: Debian's nginx as a flag service, with a configuration of its own in a temporary
 * directory and on a free port of 127.0.0.1.
 *
 *     struct hf_nginx *nginx = hf_nginx_start(&(struct hf_nginx_options){.server = "gzip on;"});
 *     hf_nginx_write(nginx, "{\"flags\":[…]}");
 *     … http://127.0.0.1:PORT serves that file at any path, with an ETag of nginx's own …
 *     hf_nginx_stop(nginx);
 *
 * Threads: one at a time; start from the main thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_NGINX_H
#define HOSTFLAGS_TESTS_SUPPORT_NGINX_H

#include <stdint.h>

struct hf_nginx_options {
    const char *listen; /* behind the address: "ssl http2"; NULL: plain http */
    const char *http, *server; /* directives for these two blocks; NULL: none */
    uint16_t port; /* 0: any that is free */
};

struct hf_nginx;

/* Returns once it listens. NULL: could not start; the reason is on stderr. */
struct hf_nginx *hf_nginx_start(const struct hf_nginx_options *options);

/* Ends the process and removes its files. NULL is fine. */
void hf_nginx_stop(struct hf_nginx *nginx);

uint16_t hf_nginx_port(const struct hf_nginx *nginx);

/* Replaces the document; by rename, so its ETag changes if its size or its second does. */
void hf_nginx_write(struct hf_nginx *nginx, const char *text);

/* One line per request: protocol, status, If-None-Match, Accept-Encoding, ETag, Content-Encoding,
 * separated by '|', '-' where there is none; a quote is written \x22. A line may come after its
 * answer: wait for it. For the caller to free. */
char *hf_nginx_log(struct hf_nginx *nginx);

#endif

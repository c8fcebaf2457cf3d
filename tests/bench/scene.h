/* SPDX-License-Identifier: PostgreSQL
 *
 * scene.h: what is measured, and what it is measured against: plugins behind the same vtable;
 * upstreams of theirs; and a flag service in a process of its own, so that its memory and its
 * threads are nobody else's.
 *
 * All of this ends the program with a message where something is not as it must be: a benchmark
 * that goes on would measure something else. One thread, unless said otherwise.
 */
#ifndef HOSTFLAGS_TESTS_BENCH_SCENE_H
#define HOSTFLAGS_TESTS_BENCH_SCENE_H

#include "host_api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* hostflags; a copy of it, with all that is static anew; a vtable whose functions do nothing; and
 * the ancestor's algorithm. */
extern const struct hf_plugin *hf_bench_hostflags, *hf_bench_beside, *hf_bench_empty,
    *hf_bench_ancestor;

/* Loads them from $HF_BUILD. */
void hf_bench_load_plugins(void);

/* init of hostflags, or of its copy (settings as in hf_test_init), which is ended by its fini. */
void hf_bench_init(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hf_bench_init_beside(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define HF_BENCH_FLAG "a"

/* Answers without any request. */
#define HF_BENCH_NO_REQUESTS "flags = a\noverrides = a=on\n"

/* The name of upstream number i, from 0, of usual length. Any thread. */
#define HF_BENCH_NAME_SIZE 64
void hf_bench_name(uint32_t i, char name[HF_BENCH_NAME_SIZE]);

/* A reference to it. Any thread. */
hf_conn hf_bench_connect(const struct hf_plugin *plugin, uint32_t i);

/* count connections to that many upstreams, in turn. Free with hf_bench_disconnect_all(). */
hf_conn *hf_bench_connect_all(const struct hf_plugin *plugin, size_t count, uint32_t upstreams);
void hf_bench_disconnect_all(const struct hf_plugin *plugin, hf_conn *conns, size_t count);

/* Waits until every connection answers that the flag is on. */
void hf_bench_wait_on(const struct hf_plugin *plugin, const hf_conn *conns, size_t count);

/* A message, and the end of the program. */
void hf_bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- the flag service ---- */

struct hf_bench_service;

struct hf_bench_service_options {
    bool tls;
    int64_t delay_ms; /* before each answer */
    const char *ttl; /* of its document, as JSON; NULL: none */
};

/* Says that the flag is on. Before any thread of the program is started. Of two, the one that was
 * started last is stopped first. */
struct hf_bench_service *hf_bench_service_start(const struct hf_bench_service_options *options);
void hf_bench_service_stop(struct hf_bench_service *service);

/* Settings with which every upstream is asked there. */
const char *hf_bench_service_settings(const struct hf_bench_service *service);

/* The TTL from now on, in seconds as JSON, and how many requests there were. */
void hf_bench_service_set_ttl(struct hf_bench_service *service, const char *json);
long hf_bench_service_count(struct hf_bench_service *service);

#endif

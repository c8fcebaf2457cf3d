/* SPDX-License-Identifier: PostgreSQL
 *
 * service.c: the flag service of scene.h. The child answers orders that come as lines through a
 * pipe: "count", "ttl <JSON>"; each with a number. It ends with the pipe.
 */
#include "tests/bench/scene.h"

#include "tests/support/certs.h"
#include "tests/support/flag_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct hf_bench_service {
    pid_t child;
    FILE *orders, *answers;
    struct hf_certs *certs; /* NULL: plain http */
    char settings[1024];
};

static void serve(const struct hf_bench_service_options *options, struct hf_certs *certs,
    FILE *orders, FILE *answers)
{
    struct hf_flag_service_options where = {0};
    struct hf_flag_service *service;
    char line[256];

    if (certs != NULL) {
        where.cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD);
        where.key_file = hf_certs_key_file(certs);
    }
    service = hf_flag_service_start(&where);
    if (service == NULL)
        _exit(1);
    hf_flag_service_set_flag(service, HF_BENCH_FLAG, true);
    hf_flag_service_set_ttl(service, options->ttl);
    hf_flag_service_set_delay(service, options->delay_ms);
    fprintf(answers, "%u\n", hf_flag_service_port(service));
    while (fflush(answers) == 0 && fgets(line, sizeof(line), orders) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "ttl ", 4) == 0)
            hf_flag_service_set_ttl(service, line + 4);
        fprintf(answers, "%zu\n", hf_flag_service_count(service));
    }
    _exit(0);
}

static long ask(struct hf_bench_service *service, const char *order)
{
    char line[64];

    fprintf(service->orders, "%s\n", order);
    if (fflush(service->orders) != 0 || fgets(line, sizeof(line), service->answers) == NULL)
        hf_bench_die("the flag service has ended");
    return atol(line);
}

static FILE *stream(int descriptor, const char *mode)
{
    FILE *file = fdopen(descriptor, mode);

    if (file == NULL)
        hf_bench_die("no memory for a stream");
    return file;
}

struct hf_bench_service *hf_bench_service_start(const struct hf_bench_service_options *options)
{
    struct hf_bench_service *service = calloc(1, sizeof(*service));
    int orders[2], answers[2];
    char port[64];

    if (service == NULL || pipe(orders) != 0 || pipe(answers) != 0)
        hf_bench_die("no pipes for the flag service");
    service->certs = options->tls ? hf_certs_create() : NULL;
    if (options->tls && service->certs == NULL)
        hf_bench_die("no certificates, see above");
    fflush(NULL);
    service->child = fork();
    if (service->child < 0)
        hf_bench_die("no process for the flag service");
    if (service->child == 0) {
        close(orders[1]);
        close(answers[0]);
        serve(options, service->certs, stream(orders[0], "r"), stream(answers[1], "w"));
    }
    close(orders[0]);
    close(answers[1]);
    service->orders = stream(orders[1], "w");
    service->answers = stream(answers[0], "r");
    if (fgets(port, sizeof(port), service->answers) == NULL)
        hf_bench_die("the flag service did not start, see above");
    port[strcspn(port, "\n")] = '\0';
    snprintf(service->settings, sizeof(service->settings),
        "flags = " HF_BENCH_FLAG "\nallow_http = loopback\nservice = %s://127.0.0.1:%s\n%s%s\n",
        options->tls ? "https" : "http", port, options->tls ? "ca_file = " : "",
        options->tls ? hf_certs_ca_file(service->certs) : "");
    return service;
}

void hf_bench_service_stop(struct hf_bench_service *service)
{
    fclose(service->orders);
    waitpid(service->child, NULL, 0);
    fclose(service->answers);
    hf_certs_destroy(service->certs);
    free(service);
}

const char *hf_bench_service_settings(const struct hf_bench_service *service)
{
    return service->settings;
}

void hf_bench_service_set_ttl(struct hf_bench_service *service, const char *json)
{
    char order[64];

    snprintf(order, sizeof(order), "ttl %s", json);
    ask(service, order);
}

long hf_bench_service_count(struct hf_bench_service *service)
{
    return ask(service, "count");
}

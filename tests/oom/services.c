/* SPDX-License-Identifier: PostgreSQL */
#include "tests/oom/services.h"

#include "tests/oom/allocations.h"
#include "tests/support/flag_service.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG "-0123456789-0123456789-0123456789-0123456789"

/* on and off: the names of a and b, or of b and a. json-c grows its buffer for texts at 32, 64, …
 * bytes, takes a text with an escape in two parts, and has a larger table from eleven members on.
 */
#define DOCUMENT(on, off) \
    "{\"flags\":[" \
    "{\"name\":\"d\",\"value\":\"true\\u0041" LONG "\"}," \
    "{\"name\":\"" off "\\u0041" LONG LONG "\",\"value\":\"true\"}," \
    "{\"name\":\"" off "\",\"value\":\"true\",\"value\":\"false\"}," \
    "{\"name\":\"c\",\"value\":\"true\"},1,2," \
    "{\"name\":\"" on "\",\"value\":\"true\"}," \
    "{\"m1\":1,\"m2\":2,\"m3\":3,\"m4\":4,\"m5\":5,\"m6\":6,\"m7\":7,\"m8\":8,\"m9\":9," \
    "\"value\":\"true\",\"name\":\"c\",\"value\":\"false\"}" \
    "],\"more\\u0041" LONG LONG LONG LONG "\":[1,[2],{\"x\":3}],\"ttl_seconds\":900}"

static struct hf_flag_service *start(const char *body, const char *etag)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);

    if (service) {
        hf_flag_service_set_body(service, body);
        hf_flag_service_set_etag(service, etag);
    }
    return service;
}

static void serve(int out)
{
    struct hf_flag_service *first, *second;
    uint16_t ports[2];

    hf_allocations_ignore();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    first = start(DOCUMENT("a", "b"), "\"first\"");
    second = start(DOCUMENT("b", "a"), "\"second\"");
    if (!first || !second)
        _exit(1);
    ports[0] = hf_flag_service_port(first);
    ports[1] = hf_flag_service_port(second);
    if (write(out, ports, sizeof(ports)) != sizeof(ports))
        _exit(1);
    for (;;)
        pause();
}

bool hf_services_start(struct hf_services *services)
{
    uint16_t ports[2];
    int ends[2];
    bool good;

    if (pipe(ends) != 0)
        return false;
    services->pid = fork();
    if (services->pid == 0)
        serve(ends[1]);
    close(ends[1]);
    good = services->pid > 0 && read(ends[0], ports, sizeof(ports)) == sizeof(ports);
    close(ends[0]);
    if (!good)
        fprintf(stderr, "the flag services did not start\n");
    services->first_port = good ? ports[0] : 0;
    services->second_port = good ? ports[1] : 0;
    return good;
}

void hf_services_stop(const struct hf_services *services)
{
    if (services->pid <= 0)
        return;
    kill(services->pid, SIGKILL);
    waitpid(services->pid, NULL, 0);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * fault_hosts.h: a host of its own for each cell of the fault matrix: how it works, how it breaks,
 * and how often it was asked. Part of test_fault_matrix.c. Main thread.
 *
 * A host works with flag a on and flag b off, the contrary of the defaults. It breaks in place: its
 * name and its port stay.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_FAULT_HOSTS_H
#define HOSTFLAGS_TESTS_INTEGRATION_FAULT_HOSTS_H

#include <errno.h>

#include "tests/integration/fault_table.h"
#include "tests/integration/full_queue.h"
#include "tests/support/name_server.h"
#include "tests/support/raw_server.h"

struct cell {
    const struct fault *fault;
    enum scheme scheme;
    enum age age;
    const char *impossible; /* on this machine: why; NULL: it is possible */
    char host[32], url[64];
    uint16_t port;
    struct hf_flag_service *service;
    struct hf_raw_server *mute;
    struct full full;
    int reserved_fd; /* of REFUSE: keeps the port from others */
    hf_conn conn;

    int64_t requests_before; /* as status() counts, when it broke */
    size_t seen_before, seen_at_failure; /* the same as seen_by_server() counts */
    int64_t began_ms; /* not later than the request that fails */
    int64_t planned_ms; /* not later than the next one may be */
    int64_t failures; /* when it was seen to have failed */
    bool has_failed, is_asked_again, has_failed_again;
    char shown[24]; /* in the matrix */
    char wrong[256], too_soon[128]; /* the first thing that is; "" none */
};

#define COLUMNS (SCHEMES * AGES)
#define CELLS (COUNT(faults) * COLUMNS)

FIXTURE const char *const names_of_schemes[SCHEMES] = {[HTTP] = "http", [HTTPS] = "https"};
FIXTURE const char *const names_of_ages[AGES] = {
    [COLD] = "cold", [FRESH] = "fresh", [OLD] = "stale"};
FIXTURE const char no_such_thing[] = "-";

FIXTURE struct cell cells[COUNT(faults)][COLUMNS];

FIXTURE struct cell *cell_number(size_t i)
{
    return &cells[i / COLUMNS][i % COLUMNS];
}

FIXTURE struct hf_certs *certs;
FIXTURE struct hf_dns_server *names; /* NULL: not possible, no_names says why */
FIXTURE const char *no_names;

FIXTURE void start_names(void)
{
    static char text[128];

    if (!hf_name_server_is_covered()) {
        no_names = "mount namespaces are not allowed here";
        return;
    }
    names = hf_dns_server_start();
    snprintf(text, sizeof(text), "port 53 of " HF_NAME_SERVER " cannot be bound here: %s",
        names ? "" : strerror(errno));
    no_names = names ? NULL : text;
}

/* ---- a host ---- */

FIXTURE struct hf_flag_service *start_on(uint16_t port, bool tls, enum hf_cert cert)
{
    struct hf_flag_service_options options = {.port = port};
    struct hf_flag_service *started;

    if (tls) {
        options.cert_file = hf_certs_cert_file(certs, cert);
        options.key_file = hf_certs_key_file(certs);
    }
    started = hf_flag_service_start(&options);
    if (!started)
        abort();
    hf_flag_service_set_flag(started, "a", true);
    hf_flag_service_set_flag(started, "b", false);
    return started;
}

FIXTURE void start_working(struct cell *cell)
{
    char host[sizeof(cell->host)] = "127.0.0.1";

    cell->service = start_on(0, cell->scheme == HTTPS, HF_CERT_GOOD);
    cell->port = hf_flag_service_port(cell->service);
    if (cell->age == OLD)
        hf_flag_service_set_ttl(cell->service, "2");
    if (cell->fault->how == NAME) {
        snprintf(host, sizeof(host), "h%u.here.test", (unsigned)cell->port);
        hf_dns_server_set(names, host, HF_DNS_HERE);
    }
    memcpy(cell->host, host, sizeof(host));
    snprintf(cell->url, sizeof(cell->url), "%s://%s:%u", names_of_schemes[cell->scheme], host,
        (unsigned)cell->port);
}

/* A socket that is bound and does not listen. */
FIXTURE int reserve(uint16_t port)
{
    struct sockaddr_storage addr;
    socklen_t len = hf_net_address("127.0.0.1", port, &addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, len) != 0)
        abort();
    return fd;
}

FIXTURE void break_by_reply(struct cell *cell)
{
    struct hf_flag_reply reply = cell->fault->reply;

    hf_flag_service_clear_log(cell->service);
    hf_flag_service_set_reply(cell->service, &reply);
}

FIXTURE void break_by_replacement(struct cell *cell)
{
    static const struct hf_raw_reply mute = {.at_once = true, .end = HF_RAW_HOLD};

    hf_flag_service_stop(cell->service);
    cell->service = NULL;
    if (cell->fault->how == REFUSE)
        cell->reserved_fd = reserve(cell->port);
    else if (cell->fault->how == FULL && !full_open(&cell->full, cell->port))
        cell->impossible = "the queue of a listening socket does not fill up here";
    else if (cell->fault->how == MUTE)
        cell->mute = hf_raw_server_start(NULL, cell->port, &mute, 1);
    else if (cell->fault->how == OTHER_CERT || cell->fault->how == NO_TLS)
        cell->service = start_on(cell->port, cell->fault->how == OTHER_CERT, cell->fault->cert);
    if (cell->fault->how == MUTE && !cell->mute)
        abort();
}

FIXTURE void break_host(struct cell *cell)
{
    switch (cell->fault->how) {
    case REPLY:
        break_by_reply(cell);
        break;
    case NAME:
        hf_dns_server_set(names, cell->host, cell->fault->dns);
        break;
    case REFUSE:
    case FULL:
    case MUTE:
    case OTHER_CERT:
    case NO_TLS:
        break_by_replacement(cell);
        break;
    }
}

FIXTURE void stop_host(struct cell *cell)
{
    hf_flag_service_stop(cell->service);
    hf_raw_server_stop(cell->mute);
    if (cell->full.count > 0)
        full_close(&cell->full);
    if (cell->reserved_fd > 0)
        close(cell->reserved_fd);
}

/* ---- how often it was asked since it broke ---- */

/* Of what the server does not see (a connection that is refused, or a handshake that fails), and of
 * names whose look-ups the resolver repeats by itself, status() has to tell. */
FIXTURE bool server_sees(const struct cell *cell)
{
    return cell->fault->how == REPLY || cell->fault->how == MUTE ||
        (cell->fault->how == NAME && cell->fault->dns != HF_DNS_SILENCE);
}

/* For names it is look-ups, of which a request makes one or more. */
FIXTURE size_t seen_by_server(const struct cell *cell)
{
    if (cell->fault->how == REPLY)
        return hf_flag_service_count(cell->service);
    if (cell->fault->how == MUTE)
        return hf_raw_server_count(cell->mute);
    return hf_dns_server_count(names, cell->host);
}

#endif

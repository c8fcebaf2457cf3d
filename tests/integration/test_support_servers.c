/* SPDX-License-Identifier: PostgreSQL
 *
 * The servers and clients that the other tests rest on: do they do what they say?
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/certs.h"
#include "tests/support/echo_server.h"
#include "tests/support/fds.h"
#include "tests/support/flag_service.h"
#include "tests/support/load_client.h"
#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/raw_server.h"
#include "tests/support/suite.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

#define BOUND_MS 20000

/* What a server sent until the connection ended. */
struct fetched {
    char *text; /* NUL-terminated */
    size_t len;
    bool reset; /* ended by a reset */
    bool timed_out;
};

static int connect_within_bound(const char *address, uint16_t port)
{
    int fd = hf_net_connect(address, port);

    if (fd >= 0 && hf_net_wait(fd, POLLOUT, -1, hf_wait_slow_ms(BOUND_MS)) == 1)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static struct fetched read_to_end(int fd, int64_t bound_ms)
{
    struct fetched fetched = {.text = calloc(1, 1)};
    ssize_t got = 1;

    while (got > 0) {
        char bytes[4096];

        if (hf_net_wait(fd, POLLIN, -1, bound_ms) != 1) {
            fetched.timed_out = true;
            break;
        }
        got = recv(fd, bytes, sizeof(bytes), 0);
        fetched.reset = got < 0 && errno == ECONNRESET;
        if (got <= 0)
            break;
        fetched.text = realloc(fetched.text, fetched.len + (size_t)got + 1);
        memcpy(fetched.text + fetched.len, bytes, (size_t)got);
        fetched.len += (size_t)got;
        fetched.text[fetched.len] = '\0';
    }
    return fetched;
}

static int send_get(const char *address, uint16_t port, const char *path)
{
    int fd = connect_within_bound(address, port);
    char *text;
    int len = asprintf(
        &text, "GET %s HTTP/1.1\r\nHost: x\r\nX-Test: Seven\r\nConnection: close\r\n\r\n", path);

    if (!CHECK(fd >= 0) || !CHECK_INT_EQ(send(fd, text, (size_t)len, MSG_NOSIGNAL), len))
        perror("send_get");
    free(text);
    return fd;
}

static struct fetched get(const char *address, uint16_t port, const char *path)
{
    int fd = send_get(address, port, path);
    struct fetched fetched = read_to_end(fd, hf_wait_slow_ms(BOUND_MS));

    close(fd);
    return fetched;
}

/* The answer's text from the service, for tests of what it holds. */
static void check_answer(struct hf_flag_service *service, const char *first, const char *second)
{
    struct fetched fetched = get("127.0.0.1", hf_flag_service_port(service), "/f?x=%41");

    CHECK_STR_CONTAINS(fetched.text, first);
    CHECK_STR_CONTAINS(fetched.text, second);
    free(fetched.text);
}

static void test_service_document(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_request *request;

    hf_flag_service_set_flag(service, "a", true);
    hf_flag_service_set_flag(service, "b", true);
    hf_flag_service_set_flag(service, "b", false);
    hf_flag_service_set_flag_json(service, "c", "42");
    hf_flag_service_remove_flag(service, "a");
    hf_flag_service_set_ttl(service, "60");
    check_answer(service, "HTTP/1.1 200",
        "\r\n\r\n{\"flags\":[{\"name\":\"b\",\"value\":\"false\"},{\"name\":\"c\",\"value\":42}],"
        "\"ttl_seconds\":60}");
    hf_flag_service_set_ttl(service, NULL);
    check_answer(service, "Content-Type: application/json", "42}]}");
    CHECK_INT_EQ(hf_flag_service_count(service), 2);
    request = hf_flag_service_request(service, 0);
    CHECK_STR_EQ(request->method, "GET");
    CHECK_STR_EQ(request->path, "/f?x=%41");
    CHECK_STR_EQ(request->client, "127.0.0.1");
    CHECK_STR_EQ(hf_flag_request_header(request, "x-tEST"), "Seven");
    CHECK_STR_EQ(hf_flag_request_header(request, "Authorization"), NULL);
    CHECK(request->time_ms <= hf_flag_service_request(service, 1)->time_ms);
    CHECK(hf_flag_service_request(service, 2) == NULL);
    hf_flag_service_clear_log(service);
    CHECK_INT_EQ(hf_flag_service_count(service), 0);
    hf_flag_service_stop(service);
}

static void test_service_script(void)
{
    const struct hf_flag_reply script[] = {
        {.status = 429, .headers = "Retry-After: 60\nDate: Mon, 01 Jan 2024 00:00:00 GMT"},
        {.body = "<html>", .body_len = 6, .headers = "Content-Type: text/html\n"},
    };
    struct hf_flag_service *service = hf_flag_service_start(NULL);

    hf_flag_service_script(service, script, 2);
    hf_flag_service_set_redirect(service, "http://elsewhere.invalid/");
    check_answer(service, "HTTP/1.1 429", "Retry-After: 60\r\n");
    check_answer(service, "Content-Type: text/html\r\n", "\r\n\r\n<html>");
    check_answer(service, "HTTP/1.1 303", "Location: http://elsewhere.invalid/\r\n");
    hf_flag_service_set_reply(service, NULL);
    hf_flag_service_set_headers(service, "ETag: \"1\"");
    hf_flag_service_set_body(service, "hello");
    check_answer(service, "ETag: \"1\"\r\n", "\r\n\r\nhello");
    hf_flag_service_set_status(service, 503);
    check_answer(service, "HTTP/1.1 503", "hello");
    hf_flag_service_stop(service);
}

static void test_service_breaks_connections(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    uint16_t port = hf_flag_service_port(service);
    struct fetched fetched;

    hf_flag_service_set_fault(service, HF_FAULT_CLOSE);
    fetched = get("127.0.0.1", port, "/");
    CHECK(fetched.len == 0 && !fetched.reset && !fetched.timed_out);
    free(fetched.text);
    hf_flag_service_set_fault(service, HF_FAULT_RESET);
    fetched = get("127.0.0.1", port, "/");
    CHECK(fetched.len == 0 && fetched.reset);
    free(fetched.text);
    hf_flag_service_set_fault(service, HF_FAULT_TRUNCATE);
    hf_flag_service_set_body(service, "0123456789");
    fetched = get("127.0.0.1", port, "/");
    CHECK_STR_CONTAINS(fetched.text, "Content-Length: 10\r\n");
    CHECK_STR_EQ(strstr(fetched.text, "\r\n\r\n"), "\r\n\r\n01234");
    free(fetched.text);
    hf_flag_service_stop(service);
}

static void test_service_waits(void)
{
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    const struct hf_flag_reply slow = {.delay_ms = 3600000};
    const struct hf_flag_reply drip = {
        .fault = HF_FAULT_DRIP, .interval_ms = 20, .body = "0123456789", .body_len = 10};
    int64_t start_ms = hf_wait_now_ms();
    int first, second;

    hf_flag_service_script(service, &slow, 1);
    hf_flag_service_script(service, &(struct hf_flag_reply){.fault = HF_FAULT_SILENCE}, 1);
    hf_flag_service_script(service, &drip, 1);
    first = send_get("127.0.0.1", hf_flag_service_port(service), "/slow");
    CHECK(hf_flag_service_wait_requests(service, 1, BOUND_MS));
    second = send_get("127.0.0.1", hf_flag_service_port(service), "/silent");
    CHECK(hf_flag_service_wait_requests(service, 2, BOUND_MS));
    check_answer(service, "HTTP/1.1 200", "\r\n\r\n0123456789");
    CHECK(hf_wait_now_ms() - start_ms >= 200);
    CHECK(HF_WAIT_UNTIL(hf_flag_service_in_flight(service) == 2, BOUND_MS));
    CHECK_INT_EQ(hf_flag_service_max_in_flight(service), 3);
    close(second);
    CHECK(HF_WAIT_UNTIL(hf_flag_service_in_flight(service) == 1, BOUND_MS));
    hf_flag_service_stop(service);
    close(first);
    CHECK(hf_wait_now_ms() - start_ms < 600000);
}

/* gzip itself says whether the stream is sound and what is in it. */
static void test_service_bomb(void)
{
    const char *const argv[] = {"sh", "-c",
        "gzip -dc < \"$0\" | tr -d ' ' | wc -c; "
        "gzip -dc < \"$0\" | wc -c; gzip -t < \"$0\" && echo sound",
        NULL, NULL};
    const struct hf_flag_reply bomb = {.fault = HF_FAULT_BOMB, .bomb_mib = 3};
    struct hf_flag_service *service = hf_flag_service_start(NULL);
    char *directory = hf_tmpdir_create(), *path = hf_tmpdir_path(directory, "bomb.gz"), *output;
    const char *command[5];
    struct fetched fetched;
    FILE *file = fopen(path, "we");
    const char *body;

    hf_flag_service_set_reply(service, &bomb);
    fetched = get("127.0.0.1", hf_flag_service_port(service), "/");
    CHECK_STR_CONTAINS(fetched.text, "Content-Encoding: gzip\r\n");
    body = strstr(fetched.text, "\r\n\r\n") + 4;
    fwrite(body, 1, fetched.len - (size_t)(body - fetched.text), file);
    fclose(file);
    memcpy(command, argv, sizeof(argv));
    command[3] = path;
    CHECK_INT_EQ(hf_process_run(command, BOUND_MS, &output), 0);
    CHECK_STR_EQ(output, "0\n3145795\nsound\n");
    free(output);
    free(fetched.text);
    free(path);
    hf_tmpdir_remove(directory);
    hf_flag_service_stop(service);
}

static void test_services_on_addresses(void)
{
    struct hf_flag_service *services[20], *other;
    char address[32];

    for (int i = 0; i < 20; i++) {
        snprintf(address, sizeof(address), "127.0.0.%d", i + 1);
        services[i] = hf_flag_service_start(&(struct hf_flag_service_options){
            .address = address, .port = i ? hf_flag_service_port(services[0]) : 0});
        CU_ASSERT_PTR_NOT_NULL_FATAL(services[i]);
        free(get(address, hf_flag_service_port(services[i]), "/").text);
    }
    for (int i = 0; i < 20; i++) {
        CHECK_INT_EQ(hf_flag_service_count(services[i]), 1);
        hf_flag_service_stop(services[i]);
    }
    other = hf_flag_service_start(&(struct hf_flag_service_options){.address = "::1"});
    if (!other) {
        hf_test_skip("this machine has no IPv6 loopback address");
        return;
    }
    free(get("::1", hf_flag_service_port(other), "/").text);
    CHECK_STR_EQ(hf_flag_service_request(other, 0)->client, "::1");
    CHECK_INT_EQ(strncmp(hf_flag_service_url(other), "http://[::1]:", 13), 0);
    hf_flag_service_stop(other);
}

/* How openssl's own client gets on with a certificate: its exit status. */
static int tls_get(struct hf_certs *certs, enum hf_cert cert, char **output)
{
    const struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, cert), .key_file = hf_certs_key_file(certs)};
    struct hf_flag_service *service = hf_flag_service_start(&options);
    const char *const argv[] = {"sh", "-c",
        "printf 'GET /t HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -ign_eof -connect \"$0\" "
        "-CAfile \"$1\" -verify_ip 127.0.0.1 -verify_return_error",
        service ? hf_flag_service_host(service) : "", hf_certs_ca_file(certs), NULL};
    int status;

    CU_ASSERT_PTR_NOT_NULL_FATAL(service);
    status = hf_process_run(argv, BOUND_MS, output);
    hf_flag_service_stop(service);
    return status;
}

static void test_certificates(void)
{
    static const struct {
        enum hf_cert cert;
        bool good;
        const char *says;
    } cases[] = {
        {HF_CERT_GOOD, true, "\"ttl_seconds\":900"},
        {HF_CERT_WRONG_NAME, false, "IP address mismatch"},
        {HF_CERT_EXPIRED, false, "certificate has expired"},
        {HF_CERT_SELF_SIGNED, false, "self-signed certificate"},
    };
    struct hf_certs *certs = hf_certs_create();

    CU_ASSERT_PTR_NOT_NULL_FATAL(certs);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *output;

        CHECK_INT_EQ(tls_get(certs, cases[i].cert, &output) == 0, cases[i].good);
        CHECK_STR_CONTAINS(output, cases[i].says);
        free(output);
    }
    hf_certs_destroy(certs);
}

static void test_raw_server(void)
{
    static const struct hf_raw_reply replies[] = {
        {HF_RAW_TEXT("garbage\n")},
        {HF_RAW_TEXT("HTTP"), .interval_ms = 10, .at_once = true, .end = HF_RAW_RESET},
        {.end = HF_RAW_HOLD},
    };
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, replies, 3);
    struct fetched fetched;
    int fd;

    CU_ASSERT_PTR_NOT_NULL_FATAL(server);
    fetched = get("127.0.0.1", hf_raw_server_port(server), "/raw");
    CHECK_STR_EQ(fetched.text, "garbage\n");
    CHECK(!fetched.reset && !fetched.timed_out);
    CHECK_STR_CONTAINS(hf_raw_server_request(server, 0), "GET /raw HTTP/1.1\r\n");
    free(fetched.text);
    fd = connect_within_bound("127.0.0.1", hf_raw_server_port(server));
    fetched = read_to_end(fd, hf_wait_slow_ms(BOUND_MS));
    CHECK_STR_EQ(fetched.text, "HTTP");
    CHECK(fetched.reset);
    free(fetched.text);
    close(fd);
    fd = send_get("127.0.0.1", hf_raw_server_port(server), "/held");
    fetched = read_to_end(fd, 100);
    CHECK(fetched.len == 0 && fetched.timed_out);
    free(fetched.text);
    CHECK(hf_raw_server_wait(server, 3, BOUND_MS));
    CHECK(HF_WAIT_UNTIL(hf_raw_server_open(server) == 1, BOUND_MS));
    hf_raw_server_stop(server);
    close(fd);
}

static void test_load_and_echo(void)
{
    const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"};
    struct hf_echo *echo = hf_echo_start(addresses, 4, 0);
    struct hf_load_target targets[4];
    struct hf_load_options options = {targets, 4, 1000, 20000};
    struct hf_load_counts counts;
    struct hf_load *load;

    CU_ASSERT_PTR_NOT_NULL_FATAL(echo);
    if (hf_net_raise_descriptor_limit() < 2100) {
        hf_test_skip("fewer than 2,100 descriptors are allowed here");
        hf_echo_stop(echo);
        return;
    }
    for (int i = 0; i < 4; i++)
        targets[i] = (struct hf_load_target){addresses[i], hf_echo_port(echo)};
    load = hf_load_start(&options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(load);
    CHECK(hf_load_wait_round(load, BOUND_MS));
    CHECK_INT_EQ(hf_echo_open(echo, NULL), 1000);
    CHECK_INT_EQ(hf_echo_open(echo, "127.0.0.3"), 250);
    CHECK_INT_EQ(hf_load_send_round(load), 1000);
    CHECK(hf_load_wait_round(load, BOUND_MS));
    CHECK_INT_EQ(hf_load_close_first(load, 100), 100);
    CHECK_INT_EQ(hf_load_close_target(load, 1), 225);
    CHECK(HF_WAIT_UNTIL(hf_echo_open(echo, NULL) == 675, BOUND_MS));
    CHECK_INT_EQ(hf_echo_close_connections(echo, "127.0.0.1"), 225);
    CHECK(HF_WAIT_UNTIL((hf_load_get_counts(load, &counts), counts.open) == 450, BOUND_MS));
    CHECK_INT_EQ(counts.connected, 1000);
    CHECK_INT_EQ(counts.done, 450);
    CHECK_INT_EQ(counts.closed, 325);
    CHECK_INT_EQ(counts.lost, 225);
    CHECK_INT_EQ(counts.failed + counts.wrong, 0);
    CHECK_INT_EQ(counts.verified_bytes, 2 * 1000 * 20000);
    CHECK_INT_EQ(hf_echo_bytes(echo, NULL), 2 * 1000 * 20000);
    CHECK_INT_EQ(hf_echo_accepted(echo, "127.0.0.1"), 250);
    hf_load_stop(load);
    hf_echo_stop(echo);
}

/* A server that does not echo is found out; so is a port where nobody listens. */
static void test_load_finds_errors(void)
{
    static const struct hf_raw_reply reply = {
        HF_RAW_TEXT("x"), .at_once = true, .end = HF_RAW_HOLD};
    struct hf_raw_server *server = hf_raw_server_start(NULL, 0, &reply, 1);
    const struct hf_load_target targets[] = {
        {"127.0.0.1", hf_raw_server_port(server)}, {"127.0.0.9", hf_raw_server_port(server)}};
    struct hf_load *load = hf_load_start(&(struct hf_load_options){targets, 2, 10, 8});
    struct hf_load_counts counts;

    CHECK(hf_load_wait_round(load, BOUND_MS));
    hf_load_get_counts(load, &counts);
    CHECK_INT_EQ(counts.wrong, 5);
    CHECK_INT_EQ(counts.failed, 5);
    hf_load_stop(load);
    hf_raw_server_stop(server);
}

static void test_nothing_leaks(void)
{
    int fds = hf_fds_count(0), extra;
    char *text;

    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) <= 2, BOUND_MS)); /* a sanitizer may have one */
    test_service_waits();
    test_raw_server();
    test_load_and_echo();
    CHECK_INT_EQ(hf_fds_count(0), fds);
    CHECK(HF_WAIT_UNTIL(hf_fds_threads(0) <= 2, BOUND_MS));
    extra = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_INT_EQ(hf_fds_count(0), fds + 1);
    text = hf_fds_text(0);
    CHECK_STR_CONTAINS(text, " /dev/null\n");
    free(text);
    close(extra);
    CHECK(hf_fds_resident_kb(0) > 100);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"flag service: document and log", test_service_document},
        {"flag service: script and standing reply", test_service_script},
        {"flag service: closed, reset and cut connections", test_service_breaks_connections},
        {"flag service: delay, silence and drip hold up nobody", test_service_waits},
        {"flag service: a compressed bomb", test_service_bomb},
        {"flag service: twenty addresses and IPv6", test_services_on_addresses},
        {"flag service: TLS with good and bad certificates", test_certificates},
        {"raw server: bytes, reset, silence", test_raw_server},
        {"1,000 connections to four echo servers", test_load_and_echo},
        {"the load client notices wrong bytes and refusals", test_load_finds_errors},
        {"servers and clients leave no descriptor and no thread", test_nothing_leaks},
    };

    return hf_suite_run("support servers", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}

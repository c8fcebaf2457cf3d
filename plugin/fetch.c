/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/fetch.h"

#include "plugin/curl_end.h"
#include "plugin/inherit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

/* CURLOPT_QUICK_EXIT: without it, removing a transfer waits for its name server. */
#define LIBCURL_NEEDED 0x075700
#if LIBCURL_VERSION_NUM < LIBCURL_NEEDED
#error "libcurl 7.87 or later is needed (CURLOPT_QUICK_EXIT)"
#endif

#define READ_SIZE 4096L /* a flag document is small, and max_in_flight such buffers are not */
#define REST_MS 100 /* where there is no memory to wait for an answer */
#define CA_CACHE_S 60 /* a changed ca_file is noticed by then; libcurl's default is a day */

struct hf_fetcher {
    CURLM *multi;
    struct hf_fetch_options options;
    hf_fetch_done *done;
    void *arg;
    struct transfer *transfers; /* those in flight */
};

struct transfer {
    struct transfer *next, **link; /* in the fetcher's list */
    struct hf_fetcher *fetcher;
    CURL *easy;
    struct curl_slist *fields;
    void *tag;
    char *body;
    size_t length, room;
    struct hf_headers headers;
    bool body_too_large, headers_too_large;
    bool sent, refused; /* the request was sent; libcurl wanted to send it once more */
    char error[CURL_ERROR_SIZE];
};

/* What OpenSSL has no memory for as it is initialised fails for the rest of the process, and
 * libcurl does not tell; errno does. */
int hf_fetch_global_init(void)
{
    errno = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -1;
    if (errno != ENOMEM)
        return 0;
    curl_global_cleanup();
    return -1;
}

void hf_fetch_global_cleanup(void)
{
    curl_global_cleanup();
}

const char *hf_fetch_check_library(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    if (info->version_num < LIBCURL_NEEDED)
        return "the libcurl that is loaded is older than 7.87, the first that can give up a name "
               "look-up at once";
    if ((info->features & CURL_VERSION_SSL) == 0)
        return "the libcurl that is loaded has no TLS";
    return NULL;
}

/* ---- callbacks of libcurl ---- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t bytes = size * count;

    if (transfer->length + bytes > (size_t)transfer->fetcher->options.max_response_bytes) {
        transfer->body_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (transfer->length + bytes > transfer->room) {
        size_t room = 2 * (transfer->length + bytes);
        char *larger = realloc(transfer->body, room);
        if (larger == NULL)
            return CURL_WRITEFUNC_ERROR;
        transfer->body = larger;
        transfer->room = room;
    }
    memcpy(transfer->body + transfer->length, data, bytes);
    transfer->length += bytes;
    return bytes;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;

    if (hf_headers_take(&transfer->headers, data, size * count))
        return size * count;
    transfer->headers_too_large = true;
    return CURL_WRITEFUNC_ERROR;
}

/* What a service refuses by HTTP/2 (REFUSED_STREAM, HTTP_1_1_REQUIRED) libcurl sends again, up to
 * five times; but a request is one request. */
static int on_send(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct transfer *transfer = arg;

    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    transfer->refused = transfer->sent;
    transfer->sent = true;
    return transfer->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- transfers ---- */

static void transfer_destroy(struct transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    if (transfer->easy != NULL) {
        curl_multi_remove_handle(transfer->fetcher->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    for (struct curl_slist *field = transfer->fields; field != NULL; field = field->next)
        explicit_bzero(field->data, strlen(field->data)); /* a token may be among them */
    curl_slist_free_all(transfer->fields);
    free(transfer->body);
    free(transfer);
}

static bool add_fields(struct transfer *transfer, const struct hf_fetch_request *request)
{
    for (size_t i = 0; i < HF_FETCH_FIELDS; i++) {
        struct curl_slist *longer;
        if (request->fields[i] == NULL)
            continue;
        longer = curl_slist_append(transfer->fields, request->fields[i]);
        if (longer == NULL)
            return false;
        transfer->fields = longer;
    }
    return true;
}

static struct transfer *transfer_create(
    struct hf_fetcher *fetcher, const struct hf_fetch_request *request)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));

    if (transfer == NULL)
        return NULL;
    transfer->fetcher = fetcher;
    transfer->tag = request->tag;
    transfer->next = fetcher->transfers;
    transfer->link = &fetcher->transfers;
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    fetcher->transfers = transfer;
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL || !add_fields(transfer, request)) {
        transfer_destroy(transfer);
        return NULL;
    }
    return transfer;
}

#define SET(option, value) \
    do { \
        if (curl_easy_setopt(easy, (option), (value)) != CURLE_OK) \
            return -1; \
    } while (0)

/* KEYPASSWD: for an encrypted key the TLS library would ask on the terminal, and wait. CERTINFO: to
 * say whose certificate it is, if it is not the host's. CAPATH: a directory that libcurl may be
 * built with, and that would be trusted beside ca_file. */
static int set_tls(CURL *easy, const struct hf_fetch_options *options)
{
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CERTINFO, 1L);
    if (options->ca_file != NULL) {
        SET(CURLOPT_CAINFO, options->ca_file);
        SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_S);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (options->client_cert_file != NULL) {
        SET(CURLOPT_SSLCERT, options->client_cert_file);
        SET(CURLOPT_KEYPASSWD, "");
    }
    if (options->client_key_file != NULL)
        SET(CURLOPT_SSLKEY, options->client_key_file);
    return 0;
}

/* A proxy gets neither our fields with its CONNECT nor a place in the answer's header. NOPROXY: the
 * environment has no say in what the setting says. */
static int set_proxy(CURL *easy, const struct hf_fetch_options *options, bool direct)
{
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (direct) {
        SET(CURLOPT_PROXY, "");
    } else if (options->proxy != NULL) {
        SET(CURLOPT_PROXY, options->proxy);
        SET(CURLOPT_NOPROXY, "");
    }
    /* Only for proxies that are spoken to by TLS; a libcurl without them refuses it. */
    if (options->ca_file != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, options->ca_file);
        (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    }
    return 0;
}

static int set_connection(CURL *easy, const struct hf_fetch_options *options)
{
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    /* A libcurl without HTTP/2 refuses this and speaks HTTP/1.1. */
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)options->request_timeout_ms);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_BUFFERSIZE, READ_SIZE);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    return 0;
}

static int set_request(
    CURL *easy, struct transfer *transfer, const struct hf_fetch_request *request)
{
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_USERAGENT, transfer->fetcher->options.user_agent);
    SET(CURLOPT_HTTPHEADER, transfer->fields);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_PRIVATE, transfer);
    return 0;
}

int hf_fetcher_start(struct hf_fetcher *fetcher, const struct hf_fetch_request *request)
{
    struct transfer *transfer = transfer_create(fetcher, request);

    if (transfer == NULL)
        return -1;
    if (set_connection(transfer->easy, &fetcher->options) != 0 ||
        set_tls(transfer->easy, &fetcher->options) != 0 ||
        set_proxy(transfer->easy, &fetcher->options, request->direct) != 0 ||
        set_request(transfer->easy, transfer, request) != 0 ||
        curl_multi_add_handle(fetcher->multi, transfer->easy) != CURLM_OK) {
        transfer_destroy(transfer);
        return -1;
    }
    return 0;
}

/* ---- results ---- */

static void report(struct transfer *transfer, CURLcode code)
{
    struct hf_fetcher *fetcher = transfer->fetcher;
    struct hf_fetch_result result = {
        .tag = transfer->tag, .message = "", .headers = &transfer->headers, .certificate = ""};
    const struct hf_curl_end end = {
        transfer->easy, code, transfer->error, transfer->headers.bytes, transfer->body != NULL};
    char message[128];
    long status = 0, proxy_status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    result.http_status = status >= 0 && status <= UINT16_MAX ? (uint16_t)status : 0;
    if (hf_curl_is_endless_line(&end))
        transfer->headers_too_large = true;
    result.outcome = transfer->body_too_large || transfer->headers_too_large
        ? HF_OUTCOME_TOO_LARGE
        : hf_curl_outcome(&end);
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (result.outcome == HF_OUTCOME_TOO_LARGE) {
        result.message = transfer->headers_too_large
            ? "the answer's headers are over 64 KiB"
            : "the answer's body is larger than max_response_size";
    } else if (transfer->refused) {
        result.outcome = HF_OUTCOME_CONNECT;
        result.http_status = 0;
        result.message = "the service refused the request by HTTP/2, before it had read it";
    } else if (code != CURLE_OK && proxy_status >= 300) {
        snprintf(message, sizeof(message), "the proxy refused to connect us: its answer was %ld%s",
            proxy_status, proxy_status == 407 ? ", it wants another user or password" : "");
        result.message = message;
    } else if (result.outcome != HF_OUTCOME_OK) {
        result.message = hf_curl_message(&end);
        result.certificate = hf_curl_certificate(&end);
        result.hung_up = hf_curl_has_hung_up(&end);
        result.bad_client_files = code == CURLE_SSL_CERTPROBLEM;
    } else if (status != 200) {
        result.outcome = HF_OUTCOME_HTTP;
        snprintf(message, sizeof(message), "the answer's status was %ld, expected 200", status);
        result.message = message;
    } else {
        result.body = transfer->body;
        result.length = transfer->length;
    }
    fetcher->done(fetcher->arg, &result);
}

/* Our own sockets are close-on-exec; what is left of those that libcurl waits for are look-ups. */
static void keep_look_ups(CURLM *multi)
{
    fd_set reads, writes, errors;
    int last = -1;

    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_ZERO(&errors);
    if (curl_multi_fdset(multi, &reads, &writes, &errors, &last) != CURLM_OK)
        return;
    for (int fd = 0; fd <= last; fd++) {
        if (FD_ISSET(fd, &reads))
            hf_inherit_no_pair(fd);
    }
}

void hf_fetcher_run(struct hf_fetcher *fetcher, int64_t wait_ms)
{
    int running, left, timeout = wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
    CURLMsg *message;

    /* For more than ten descriptors it allocates. Who cannot wait must not go round and round. */
    if (curl_multi_poll(fetcher->multi, NULL, 0, timeout, NULL) != CURLM_OK)
        poll(NULL, 0, timeout < REST_MS ? timeout : REST_MS);
    curl_multi_perform(fetcher->multi, &running);
    keep_look_ups(fetcher->multi);
    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        char *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        report((struct transfer *)(void *)transfer, code);
        transfer_destroy((struct transfer *)(void *)transfer);
    }
}

/* ---- life ---- */

static void poke(void *arg)
{
    curl_multi_wakeup(arg);
}

struct hf_fetcher *hf_fetcher_create(
    const struct hf_fetch_options *options, hf_fetch_done *done, void *arg)
{
    struct hf_fetcher *fetcher = calloc(1, sizeof(*fetcher));

    if (fetcher == NULL)
        return NULL;
    fetcher->options = *options;
    fetcher->done = done;
    fetcher->arg = arg;
    fetcher->multi = curl_multi_init();
    /* One connection that dies must not take the requests of other hosts with it. */
    if (fetcher->multi != NULL)
        curl_multi_setopt(fetcher->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    if (fetcher->multi != NULL)
        hf_inherit_no_wake_pair(poke, fetcher->multi);
    /* Where descriptors are short, libcurl makes a handle that cannot be woken. */
    if (fetcher->multi == NULL || curl_multi_wakeup(fetcher->multi) != CURLM_OK) {
        curl_multi_cleanup(fetcher->multi);
        free(fetcher);
        return NULL;
    }
    return fetcher;
}

void hf_fetcher_destroy(struct hf_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    while (fetcher->transfers != NULL)
        transfer_destroy(fetcher->transfers);
    curl_multi_cleanup(fetcher->multi);
    free(fetcher);
}

void hf_fetcher_wake(struct hf_fetcher *fetcher)
{
    curl_multi_wakeup(fetcher->multi);
}

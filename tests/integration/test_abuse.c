/* SPDX-License-Identifier: PostgreSQL
 *
 * Services that send what no service should: each of them is a failure of the kind that the table
 * says, the value stays, and memory stays bounded. What is wrong with a document: test_document.c.
 */
#include "tests/integration/cache_fixture.h"
#include "tests/support/fds.h"
#include "tests/support/raw_server.h"

#define DOCUMENT "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}]}"
#define OFF "{\"flags\":[{\"name\":\"a\",\"value\":\"false\"}]}"
#define GOOD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" DOCUMENT
#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CLOSES OK_LINE "Connection: close\r\n"
#define GROWTH_MAX_KB (32 * 1024) /* the threads of the servers included */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* head, then piece again and again, then tail: bytes that end by themselves only after `times`. */
struct abuse {
    const char *name;
    const char *head, *piece, *tail;
    size_t times;
    int32_t last_error;
    const char *word; /* in last_message; NULL: any */
};

#define HEADERS "64 KiB"
#define TEXT(text) .head = (text)

/* What libcurl calls a broken connection where it cannot go on reading is "connect". */
static const struct abuse abuses[] = {
    /* ---- headers ---- */
    {"one line of 80 kB", OK_LINE "X: ", "x", "\r\n\r\n" OFF, 80000, HF_FETCH_TOO_LARGE, HEADERS},
    {"one line of 300 kB", OK_LINE "X: ", "x", "\r\n\r\n" OFF, 300000, HF_FETCH_TOO_LARGE, HEADERS},
    {"a line without end", OK_LINE "X: ", "x", "", 4000000, HF_FETCH_TOO_LARGE, HEADERS},
    {"a status line without end", "HTTP/1.1 200 ", "x", "", 4000000, HF_FETCH_TOO_LARGE, HEADERS},
    {"a name without end", OK_LINE, "x", "", 4000000, HF_FETCH_TOO_LARGE, HEADERS},
    {"many lines", OK_LINE, "X-Line: something\r\n", "\r\n" OFF, 4000, HF_FETCH_TOO_LARGE, HEADERS},
    {"lines without end", OK_LINE, "X-Line: something\r\n", "", 200000, HF_FETCH_TOO_LARGE,
        HEADERS},
    {"ETags without end", OK_LINE, "ETag: \"bad\"\r\n", "", 200000, HF_FETCH_TOO_LARGE, HEADERS},
    {"folded lines without end", OK_LINE "X: x\r\n", " x\r\n", "", 200000, HF_FETCH_TOO_LARGE,
        HEADERS},
    {"status lines without end", "", OK_LINE, "", 200000, HF_FETCH_PARSE, NULL},
    {"1xx without end", "", "HTTP/1.1 100 Continue\r\n\r\n", "", 200000, HF_FETCH_TOO_LARGE,
        HEADERS},
    {"early hints without end", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "", 100000,
        HF_FETCH_TOO_LARGE, HEADERS},
    {"trailers without end", OK_LINE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "X-Trailer: x\r\n", "", 200000, HF_FETCH_TOO_LARGE, HEADERS},

    /* ---- no HTTP ---- */
    {"HTTP/0.9", TEXT(OFF), .last_error = HF_FETCH_PARSE},
    {"HTTP/0.9 without end", "", "x", "", 4000000, .last_error = HF_FETCH_PARSE},
    {"another protocol", TEXT("SSH-2.0-OpenSSH_9.2p1\r\n"), .last_error = HF_FETCH_PARSE},
    {"almost HTTP", TEXT("HTTP/9.9 200 OK\r\n\r\n" OFF), .last_error = HF_FETCH_PARSE},
    {"a status that is none", TEXT("HTTP/1.1 abc OK\r\n\r\n" OFF), .last_error = HF_FETCH_PARSE},
    {"nothing", TEXT(""), .last_error = HF_FETCH_CONNECT},

    /* ---- lengths ---- */
    {"a length too large", TEXT(OK_LINE "Content-Length: 1000\r\n\r\n" OFF),
        .last_error = HF_FETCH_CONNECT},
    {"a length too small", TEXT(OK_LINE "Content-Length: 20\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"a length below zero", TEXT(OK_LINE "Content-Length: -1\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"a length that is none", TEXT(OK_LINE "Content-Length: many\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"no body at all", TEXT(OK_LINE "Content-Length: 0\r\n\r\n" OFF), .last_error = HF_FETCH_PARSE},
    {"a body without end", CLOSES "\r\n", "          ", "", 1000000, HF_FETCH_TOO_LARGE,
        "max_response_size"},

    /* ---- chunks ---- */
    {"chunks that are none", TEXT(OK_LINE "Transfer-Encoding: chunked\r\n\r\nzzz\r\n" OFF),
        .last_error = HF_FETCH_CONNECT},
    {"a chunk beyond all bounds",
        TEXT(OK_LINE "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" OFF),
        .last_error = HF_FETCH_CONNECT},
    {"a chunk that ends too soon", TEXT(OK_LINE "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" OFF),
        .last_error = HF_FETCH_CONNECT},
    {"chunks of a byte without end", OK_LINE "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "",
        2000000, HF_FETCH_TOO_LARGE, "max_response_size"},
    {"an encoding that is none", TEXT(OK_LINE "Transfer-Encoding: nonsense\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},

    /* ---- compression ---- */
    {"gzip that is none", TEXT(CLOSES "Content-Encoding: gzip\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"brotli that is none", TEXT(CLOSES "Content-Encoding: br\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"deflate that is none", TEXT(CLOSES "Content-Encoding: deflate\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"a compression that is none", TEXT(CLOSES "Content-Encoding: nonsense\r\n\r\n" OFF),
        .last_error = HF_FETCH_PARSE},
    {"compressed a hundred times", CLOSES "Content-Encoding: gzip", ", gzip", "\r\n\r\n" OFF, 100,
        HF_FETCH_PARSE, NULL},
};

static struct {
    struct hf_raw_server *server;
    struct hf_raw_reply replies[2]; /* a good one, then the abuse */
    char *bytes;
    uint16_t port;
    hf_conn conn;
} hosts[COUNT(abuses)];

static void write_abuse(size_t i)
{
    const struct abuse *abuse = &abuses[i];
    size_t head = strlen(abuse->head), piece = abuse->times > 0 ? strlen(abuse->piece) : 0;
    size_t tail = abuse->tail ? strlen(abuse->tail) : 0;
    char *end;

    hosts[i].bytes = end = malloc(head + piece * abuse->times + tail + 1);
    if (!end)
        abort();
    end = mempcpy(end, abuse->head, head);
    for (size_t n = 0; n < abuse->times; n++)
        end = mempcpy(end, abuse->piece, piece);
    if (abuse->tail)
        end = mempcpy(end, abuse->tail, tail);
    hosts[i].replies[0] = (struct hf_raw_reply){HF_RAW_TEXT(GOOD)};
    hosts[i].replies[1] =
        (struct hf_raw_reply){.bytes = hosts[i].bytes, .len = (size_t)(end - hosts[i].bytes)};
}

static void start_host(size_t i)
{
    hosts[i].server = hf_raw_server_start(NULL, 0, hosts[i].replies, 2);
    if (!hosts[i].server)
        abort();
    hosts[i].port = hf_raw_server_port(hosts[i].server);
    hosts[i].conn = hf_test_connect_to(plugin, "http://127.0.0.1", hosts[i].port, NULL);
}

static void check_host(size_t i)
{
    bool ok = CHECK(HF_WAIT_UNTIL(has_failed(hosts[i].conn), BOUND_MS));
    char *message = hf_test_status_string(plugin, "127.0.0.1", hosts[i].port, "last_message");
    struct hf_answer answer = hf_test_explain(plugin, hosts[i].conn, A);

    ok = CHECK_INT_EQ(answer.last_error, abuses[i].last_error) && ok;
    ok = CHECK_INT_EQ(answer.enabled, 1) && ok;
    ok = CHECK_INT_EQ(plugin->is_enabled(hosts[i].conn, A), 1) && ok;
    ok = CHECK(message != NULL && message[0] != '\0') && ok;
    if (abuses[i].word)
        ok = CHECK_STR_CONTAINS(message, abuses[i].word) && ok;
    if (!ok)
        fprintf(stderr, "%s: %s\n", abuses[i].name, message);
    free(message);
}

/* Gives the growth of memory in kB. None of these fails by its time: under valgrind a MB in chunks
 * of a byte may need more than the default. */
static long run_table(void)
{
    long before_kb, after_kb;

    for (size_t i = 0; i < COUNT(abuses); i++)
        write_abuse(i);
    start_cache("ttl_min = 100ms\nttl = 500ms\nrequest_timeout = 5min\n");
    CHECK(hf_fds_reset_peak());
    before_kb = hf_fds_peak_kb();
    for (size_t i = 0; i < COUNT(abuses); i++)
        start_host(i);
    for (size_t i = 0; i < COUNT(abuses); i++)
        CHECK(HF_WAIT_UNTIL(plugin->is_enabled(hosts[i].conn, A) == 1, BOUND_MS));
    for (size_t i = 0; i < COUNT(abuses); i++)
        check_host(i);
    after_kb = hf_fds_peak_kb();
    plugin->fini();
    for (size_t i = 0; i < COUNT(abuses); i++) {
        hf_raw_server_stop(hosts[i].server);
        free(hosts[i].bytes);
    }
    return after_kb - before_kb;
}

static void test_table(void)
{
    (void)run_table();
}

static void test_memory(void)
{
    if (SANITIZED || getenv("HF_UNDER_VALGRIND"))
        return hf_test_skip("resident memory is theirs, not ours");
    CHECK_INT_BETWEEN(run_table(), 0, GROWTH_MAX_KB);
}

/* ---- compressed, at the limit ---- */

static uint8_t *put_le(uint8_t *end, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *end++ = (uint8_t)(value >> 8 * i);
    return end;
}

/* RFC 1952, section 8. */
static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

/* RFC 1950, section 8; low half first, as put_le wants it. */
static uint32_t adler32_of(const uint8_t *bytes, size_t len)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return __builtin_bswap32(b << 16 | a);
}

/* One stored block (RFC 1951, 3.2.4) of at most 65535 bytes in the given wrapping; its end. */
static uint8_t *put_compressed(uint8_t *end, const char *encoding, const uint8_t *plain, size_t len)
{
    static const uint8_t gzip[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, zlib[] = {0x78, 0x01};
    bool is_gzip = strcmp(encoding, "gzip") == 0;

    end = is_gzip ? mempcpy(end, gzip, sizeof(gzip)) : mempcpy(end, zlib, sizeof(zlib));
    *end++ = 1; /* the last block, stored */
    end = put_le(end, (uint32_t)len, 2);
    end = put_le(end, ~(uint32_t)len, 2);
    end = mempcpy(end, plain, len);
    if (!is_gzip)
        return put_le(end, adler32_of(plain, len), 4);
    end = put_le(end, crc32_of(plain, len), 4);
    return put_le(end, (uint32_t)len, 4);
}

/* Decoded it is max_response_size, and `over` bytes more. */
static void check_limit(const char *encoding, size_t over)
{
    uint8_t plain[1024 + 1], body[2048];
    struct hf_flag_reply reply = {.body = body};
    char header[64];
    hf_conn conn;

    memset(plain, ' ', sizeof(plain));
    memcpy(plain, DOCUMENT, sizeof(DOCUMENT) - 1);
    reply.body_len = (size_t)(put_compressed(body, encoding, plain, 1024 + over) - body);
    snprintf(header, sizeof(header), "Content-Encoding: %s", encoding);
    reply.headers = header;
    start_service();
    hf_flag_service_set_reply(service, &reply);
    start_cache("max_response_size = 1kB\n");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    CHECK_INT_EQ(
        hf_test_explain(plugin, conn, A).last_error, over == 0 ? HF_FETCH_OK : HF_FETCH_TOO_LARGE);
    CHECK_INT_EQ(plugin->is_enabled(conn, A), over == 0);
    stop_all();
}

static void test_limit(void)
{
    for (size_t over = 0; over <= 1; over++) {
        check_limit("gzip", over);
        check_limit("deflate", over);
    }
}

static const struct hf_test tests[] = {
    {"C42 C59 whatever a service sends: the kind of failure is told, and the value stays",
        test_table},
    {"C42 whatever a service sends: memory stays bounded", test_memory},
    {"C42 of a compressed body it is the decoded size that counts, to the byte", test_limit},
};

int main(int argc, char **argv)
{
    return run_tests("abuse", tests, COUNT(tests), argc, argv);
}

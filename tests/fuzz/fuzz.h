/* SPDX-License-Identifier: PostgreSQL
 *
 * fuzz.h: what the fuzz targets have in common.
 *
 * A target is one file, fuzz_NAME.c. It gets some bytes, hands them to the code under test and says
 * what must hold for any bytes at all. It keeps nothing between two calls. libFuzzer calls it with
 * what it invents (make fuzz); run_corpus.c calls it with the files of corpus/NAME (make test).
 */
#ifndef HOSTFLAGS_TESTS_FUZZ_H
#define HOSTFLAGS_TESTS_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Always 0. data: a block of exactly size bytes, so that a sanitizer sees a read beyond it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold. Where it does not, the process says so and aborts: libFuzzer keeps the input, and
 * run_corpus names it. */
#define HOLDS(condition) hf_fuzz_holds(!!(condition), #condition, __FILE__, __LINE__)

static inline void hf_fuzz_holds(bool held, const char *condition, const char *file, int line)
{
    if (held)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* A string in a block of exactly its size: length bytes, or those before the first NUL. The caller
 * frees it. */
static inline char *hf_fuzz_text(const char *bytes, size_t length)
{
    char *text = length == 0 ? strdup("") : strndup(bytes, length);

    if (text == NULL)
        abort();
    return text;
}

/* The lowest descriptor that is free: the same before and after, and none was left open. */
static inline int hf_fuzz_next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    HOLDS(fd >= 0);
    close(fd);
    return fd;
}

/* The rest of an input that is read line by line. */
struct hf_fuzz_lines {
    const char *at, *end; /* at NULL: there is no line left */
};

/* The next line without its end, as hf_fuzz_text; NULL: none. A line end at the very end of the
 * input begins no line. */
static inline char *hf_fuzz_line(struct hf_fuzz_lines *lines)
{
    size_t left = lines->at == NULL ? 0 : (size_t)(lines->end - lines->at);
    const char *start = lines->at, *stop;

    if (left == 0)
        return NULL;
    stop = memchr(start, '\n', left);
    lines->at = stop == NULL ? NULL : stop + 1;
    return hf_fuzz_text(start, (size_t)((stop == NULL ? lines->end : stop) - start));
}

#endif

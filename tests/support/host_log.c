/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/host_log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/host.h"

#define ANY_LEVEL (-1)

struct line {
    int32_t level;
    char *text;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct line *lines;
static size_t line_count, capacity;
static void (*line_hook)(int32_t level, const char *message);

static const char *level_name(int32_t level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    return level >= HF_LOG_ERROR && level <= HF_LOG_DEBUG ? names[level] : "?";
}

void hf_test_log_append(void *ctx, int32_t level, const char *message)
{
    void (*hook)(int32_t, const char *);

    (void)ctx;
    pthread_mutex_lock(&mutex);
    if (line_count == capacity) {
        capacity = capacity ? 2 * capacity : 64;
        lines = realloc(lines, capacity * sizeof(*lines));
        if (!lines)
            abort();
    }
    lines[line_count++] = (struct line){level, strdup(message)};
    hook = line_hook;
    pthread_mutex_unlock(&mutex);
    if (getenv("HF_VERBOSE"))
        fprintf(stderr, "%s: %s\n", level_name(level), message);
    if (hook)
        hook(level, message);
}

void hf_test_host_on_log(void (*hook)(int32_t level, const char *message))
{
    pthread_mutex_lock(&mutex);
    line_hook = hook;
    pthread_mutex_unlock(&mutex);
}

void hf_test_log_clear(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < line_count; i++)
        free(lines[i].text);
    free(lines);
    lines = NULL;
    line_count = capacity = 0;
    pthread_mutex_unlock(&mutex);
}

size_t hf_test_log_count_level(int32_t level, const char *text)
{
    size_t count = 0;

    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < line_count; i++)
        count += (level == ANY_LEVEL || lines[i].level == level) && strstr(lines[i].text, text);
    pthread_mutex_unlock(&mutex);
    return count;
}

size_t hf_test_log_count(const char *text)
{
    return hf_test_log_count_level(ANY_LEVEL, text);
}

bool hf_test_log_contains(const char *text)
{
    return hf_test_log_count(text) > 0;
}

void hf_test_log_print(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < line_count; i++)
        fprintf(stderr, "%s: %s\n", level_name(lines[i].level), lines[i].text);
    pthread_mutex_unlock(&mutex);
}

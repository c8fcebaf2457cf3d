/* SPDX-License-Identifier: PostgreSQL
 *
 * The proxy's configuration file, of any bytes: there is a configuration, or a sentence that says
 * where it is wrong.
 */
#include "hosts/proxy/config.h"

#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct file {
    const uint8_t *data;
    size_t size;
    int lines;
};

/* What was said about one file. */
struct complaints {
    const char *path;
    int lines; /* of the file */
    int count;
};

/* What a configuration holds is text, whatever the file holds. */
static void check_text(const char *text)
{
    for (; *text != '\0'; text++)
        HOLDS(((unsigned char)*text >= ' ' && *text != 0x7f) || *text == '\t');
}

/* Whether the file has the name, and behind it one of these bytes: not only its beginning. */
static bool has_whole(const struct file *file, const char *name, const char *behind)
{
    const uint8_t *at = file->data, *end = at + file->size;
    size_t length = strlen(name);

    while ((at = memmem(at, (size_t)(end - at), name, length)) != NULL) {
        at += length;
        if (at < end && *at != '\0' && strchr(behind, *at) != NULL)
            return true;
    }
    return false;
}

/* What can be wrong with the file as a whole. */
static bool is_about_the_file(const char *sentence)
{
    static const char *const known[] = {
        ": there is no section [upstream:NAME]", ": the file has 1048576 bytes or more"};

    for (size_t i = 0; i < COUNT(known); i++) {
        if (strncmp(sentence, known[i], strlen(known[i])) == 0)
            return true;
    }
    return false;
}

/* C85: one line of text that begins with the file and, mostly, the number of one of its lines. */
static void on_problem(void *ctx, const char *sentence)
{
    struct complaints *complaints = ctx;
    size_t length = strlen(complaints->path);
    int line = 0, behind = 0;

    complaints->count++;
    HOLDS(strncmp(sentence, complaints->path, length) == 0);
    check_text(sentence);
    if (sscanf(sentence + length, ", line %d: %n", &line, &behind) == 1 && behind > 0) {
        HOLDS(line >= 1 && line <= complaints->lines);
        HOLDS(sentence[length + (size_t)behind] != '\0');
    } else {
        HOLDS(is_about_the_file(sentence + length));
    }
}

static void check_address(const struct hf_address *address, const char *text, bool listen)
{
    HOLDS(text != NULL && address->host[0] != '\0');
    HOLDS(memchr(address->host, '\0', sizeof(address->host)) != NULL);
    HOLDS(listen || address->port != 0);
    HOLDS(!listen || address->literal);
    if (address->literal)
        HOLDS(address->socket.ss_family == AF_INET || address->socket.ss_family == AF_INET6);
}

static void check_upstream(const struct hf_config *config,
    const struct hf_config_upstream *upstream, const struct file *file)
{
    HOLDS(upstream->name != NULL && upstream->name[0] != '\0');
    HOLDS(has_whole(file, upstream->name, "] \t"));
    check_text(upstream->name);
    HOLDS(hf_config_find(config, upstream->name) == upstream);
    HOLDS(upstream->line >= 1 && upstream->line <= file->lines);
    HOLDS(upstream->host != NULL && upstream->host[0] != '\0');
    check_text(upstream->host);
    HOLDS(upstream->pool_size >= 0 && upstream->pool_size <= 10000);
    HOLDS(hf_config_same_server(upstream, upstream));
    check_address(&upstream->listen, upstream->listen_text, true);
    check_address(&upstream->connect, upstream->connect_text, false);
}

/* A key of a plugin stands there once, and has a value. */
static void check_plugin(const struct hf_config_plugin *plugin)
{
    HOLDS(plugin->name == NULL || (plugin->name[0] != '\0' && plugin->library != NULL));
    HOLDS(plugin->name != NULL || plugin->setting_count == 0);
    for (size_t i = 0; i < plugin->setting_count; i++) {
        HOLDS(plugin->settings[i].key[0] != '\0' && plugin->settings[i].value != NULL);
        HOLDS(strcmp(plugin->settings[i].key, "library") != 0);
        check_text(plugin->settings[i].key);
        check_text(plugin->settings[i].value);
        for (size_t other = 0; other < i; other++)
            HOLDS(strcmp(plugin->settings[i].key, plugin->settings[other].key) != 0);
    }
}

static void check_config(const struct hf_config *config, const struct file *file)
{
    HOLDS(config->processes >= 1 && config->processes <= 64);
    HOLDS(config->threads >= 1 && config->threads <= 64);
    HOLDS(config->log_level >= HF_LOG_ERROR && config->log_level <= HF_LOG_DEBUG);
    HOLDS(config->telemetry != NULL && config->telemetry[0] != '\0');
    HOLDS(config->status_socket == NULL || strlen(config->status_socket) <= 107);
    HOLDS(config->drain_timeout_ms >= 0 && config->drain_timeout_ms <= 86400000);
    HOLDS(config->connect_timeout_ms >= 100 && config->half_close_timeout_ms >= 100);
    HOLDS(config->upstream_count >= 1);
    for (size_t i = 0; i < config->upstream_count; i++)
        check_upstream(config, &config->upstreams[i], file);
    check_plugin(&config->plugin);
    (void)hf_config_shares(config);
}

/* A file that is nowhere but in memory; path: how others open it. */
static int make_file(const uint8_t *data, size_t size, char *path, size_t path_size)
{
    int fd = memfd_create("ini", MFD_CLOEXEC);

    HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, path_size, "/proc/self/fd/%d", fd);
    return fd;
}

static int count_lines(const uint8_t *data, size_t size)
{
    int lines = 1;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = make_file(data, size, path, sizeof(path)), free_before = hf_fuzz_next_descriptor();
    struct file file = {data, size, count_lines(data, size)};
    struct complaints complaints = {.path = path, .lines = file.lines};
    struct hf_config *config = hf_config_read(path, on_problem, &complaints);

    HOLDS((config == NULL) == (complaints.count > 0));
    if (config != NULL) {
        check_config(config, &file);
        HOLDS(hf_config_acquire(config) == config);
        hf_config_release(config);
        hf_config_release(config);
    }
    HOLDS(hf_fuzz_next_descriptor() == free_before);
    close(fd);
    return 0;
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_counting.c: a scripted plugin for tests of hosts. It asks no service; it counts, exactly
 * and unforgivingly, what the host does with its references.
 *
 * Settings: `flags` (names, comma separated), `on_while` (all flags are on while this file exists),
 * `refuse_init` (init fails with this text). Any other key is an error. Upstream names with a blank
 * are refused. The status has, for each host ever seen, its references now; and over all of them
 * "connects", "disconnects", "reads" and "misuses": releases of what is no live reference.
 *
 * The table ends at status: it has no reload, which a host must notice.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host_api.h"

enum { MAX_HOSTS = 64, MAX_CONNECTIONS = 65536 };

static struct {
    pthread_mutex_t lock;
    int initialised;
    char flags[1024], on_while[1024];
    struct {
        char name[256];
        long references;
    } hosts[MAX_HOSTS];
    int host_count;
    int host_of[MAX_CONNECTIONS]; /* 0: free; else 1 + the host's position */
    int next; /* where to look for a free one */
    long connections, connects, disconnects, reads, misuses, rejected;
    struct hf_host host;
} counting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int set(const struct hf_setting *setting, char *error, size_t error_size)
{
    if (strcmp(setting->key, "flags") == 0) {
        snprintf(counting.flags, sizeof(counting.flags), "%s", setting->value);
    } else if (strcmp(setting->key, "on_while") == 0) {
        snprintf(counting.on_while, sizeof(counting.on_while), "%s", setting->value);
    } else if (strcmp(setting->key, "refuse_init") == 0) {
        snprintf(error, error_size, "%s", setting->value);
        return HF_E_INVALID;
    } else {
        snprintf(error, error_size, "unknown setting %s = %s", setting->key, setting->value);
        return HF_E_INVALID;
    }
    return HF_OK;
}

static int32_t init(const struct hf_host *host, const struct hf_setting *settings, size_t count,
    char *error, size_t error_size)
{
    for (size_t i = 0; i < count; i++)
        if (set(&settings[i], error, error_size) != HF_OK)
            return HF_E_INVALID;
    if (host)
        counting.host = *host;
    counting.initialised = 1;
    if (counting.host.log)
        counting.host.log(counting.host.ctx, HF_LOG_INFO, "counting plugin started");
    return HF_OK;
}

static int find_host(const char *name)
{
    for (int i = 0; i < counting.host_count; i++)
        if (strcmp(counting.hosts[i].name, name) == 0)
            return i;
    if (counting.host_count == MAX_HOSTS)
        return -1;
    snprintf(counting.hosts[counting.host_count].name, sizeof(counting.hosts[0].name), "%s", name);
    return counting.host_count++;
}

static hf_conn acquire_locked(const char *name)
{
    int host = strchr(name, ' ') ? -1 : find_host(name);

    for (int tries = 0; host >= 0 && tries < MAX_CONNECTIONS; tries++) {
        int slot = counting.next++ % MAX_CONNECTIONS;

        if (counting.host_of[slot] != 0)
            continue;
        counting.host_of[slot] = host + 1;
        counting.hosts[host].references++;
        counting.connections++;
        counting.connects++;
        return (hf_conn)slot + 1;
    }
    counting.rejected++;
    return HF_NO_CONN;
}

static hf_conn on_connect(const struct hf_upstream *upstream)
{
    hf_conn conn;

    pthread_mutex_lock(&counting.lock);
    conn = acquire_locked(upstream->host);
    pthread_mutex_unlock(&counting.lock);
    return conn;
}

static void on_disconnect(hf_conn conn)
{
    if (conn == HF_NO_CONN)
        return;
    pthread_mutex_lock(&counting.lock);
    if (conn > MAX_CONNECTIONS || counting.host_of[conn - 1] == 0) {
        counting.misuses++;
    } else {
        counting.hosts[counting.host_of[conn - 1] - 1].references--;
        counting.host_of[conn - 1] = 0;
        counting.connections--;
        counting.disconnects++;
    }
    pthread_mutex_unlock(&counting.lock);
}

static int32_t is_enabled(hf_conn conn, uint32_t flag)
{
    int32_t on;

    (void)flag;
    pthread_mutex_lock(&counting.lock);
    counting.reads++;
    on = conn != HF_NO_CONN && counting.host_of[conn - 1] != 0 &&
        access(counting.on_while, F_OK) == 0;
    pthread_mutex_unlock(&counting.lock);
    return on;
}

static void fini(void)
{
    char line[200];

    if (!counting.initialised)
        return;
    counting.initialised = 0;
    snprintf(line, sizeof(line),
        "counting plugin ended: connections=%ld connects=%ld disconnects=%ld misuses=%ld",
        counting.connections, counting.connects, counting.disconnects, counting.misuses);
    if (counting.host.log)
        counting.host.log(counting.host.ctx, HF_LOG_INFO, line);
}

static int32_t flag_index(const char *name)
{
    char copy[sizeof(counting.flags)], *rest = copy, *word;
    int32_t position = 0;

    snprintf(copy, sizeof(copy), "%s", counting.flags);
    while ((word = strsep(&rest, ","))) {
        word += strspn(word, " ");
        if (strcmp(word, name) == 0)
            return position;
        position++;
    }
    return HF_E_NOTFOUND;
}

/* Appends as snprintf does, counting what does not fit. */
__attribute__((format(printf, 4, 5))) static size_t add(
    char *buf, size_t size, size_t length, const char *format, ...)
{
    va_list arguments;
    int more;

    va_start(arguments, format);
    more = vsnprintf(
        length < size ? buf + length : NULL, length < size ? size - length : 0, format, arguments);
    va_end(arguments);
    return length + (size_t)more;
}

static size_t status(int32_t format, char *buf, size_t size)
{
    size_t length = 0;

    if (format == HF_STATUS_PROMETHEUS)
        return add(buf, size, 0, "counting_hosts %d\n", counting.host_count);
    if (format != HF_STATUS_JSON)
        return 0;
    pthread_mutex_lock(&counting.lock);
    length = add(buf, size, length, "{\"hosts\":[");
    for (int i = 0; i < counting.host_count; i++)
        length = add(buf, size, length, "%s{\"host\":\"%s\",\"references\":%ld}", i ? "," : "",
            counting.hosts[i].name, counting.hosts[i].references);
    length = add(buf, size, length,
        "],\"connections\":%ld,\"rejected\":%ld,\"connects\":%ld,\"disconnects\":%ld,"
        "\"reads\":%ld,\"misuses\":%ld,\"flags\":\"%s\"}",
        counting.connections, counting.rejected, counting.connects, counting.disconnects,
        counting.reads, counting.misuses, counting.flags);
    pthread_mutex_unlock(&counting.lock);
    return length;
}

const struct hf_plugin *hf_plugin_entry_v1(void)
{
    static const struct hf_plugin table = {
        .hdr = {HF_ABI_MAGIC, HF_ABI_MAJOR, HF_ABI_MINOR, sizeof(table), 0},
        .name = "counting",
        .version = "0.1",
        .init = init,
        .on_connect = on_connect,
        .on_disconnect = on_disconnect,
        .is_enabled = is_enabled,
        .fini = fini,
        .flag_index = flag_index,
        .status = status,
    };

    return &table;
}

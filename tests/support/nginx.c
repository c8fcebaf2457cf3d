/* SPDX-License-Identifier: PostgreSQL
 *
 * A single process (master_process off), so that its end by any signal is the end of it.
 */
#include "tests/support/nginx.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/net.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"
#include "tests/support/wait_until.h"

enum { BOUND_MS = 20000 };

struct hf_nginx {
    char *directory, *config, *error_log, *access_log, *pid_file;
    uint16_t port;
    struct hf_process *process;
};

/* nginx makes these, whether it needs them or not. */
static const char *const folders[] = {"body", "proxy", "fastcgi", "uwsgi", "scgi"};

static const char config_format[] =
    "daemon off; master_process off; pid %1$s/pid; %2$s\n"
    "events { }\n"
    "http {\n"
    "  log_format test '$server_protocol|$status|$http_if_none_match|$http_accept_encoding|"
    "$sent_http_etag|$sent_http_content_encoding';\n"
    "  access_log %1$s/access.log test;\n"
    "  default_type application/json; gzip_types application/json; gzip_min_length 1;\n"
    "  client_body_temp_path %1$s/body; proxy_temp_path %1$s/proxy;\n"
    "  fastcgi_temp_path %1$s/fastcgi; uwsgi_temp_path %1$s/uwsgi; scgi_temp_path %1$s/scgi;\n"
    "  %3$s\n"
    "  server {\n"
    "    listen 127.0.0.1:%4$u %5$s;\n"
    "    root %1$s;\n"
    "    location / { try_files /flags.json =404; }\n"
    "    %6$s\n"
    "  }\n"
    "}\n";

static void write_config(struct hf_nginx *nginx, const struct hf_nginx_options *options)
{
    char *text;

    if (asprintf(&text, config_format, nginx->directory, geteuid() == 0 ? "user root root;" : "",
            options->http ? options->http : "", nginx->port, options->listen ? options->listen : "",
            options->server ? options->server : "") < 0)
        abort();
    nginx->config = hf_tmpdir_write(nginx->directory, "nginx.conf", text);
    free(text);
}

/* It writes its pid once all its sockets listen: so it is not somebody else who does. */
static bool is_up(struct hf_nginx *nginx)
{
    return access(nginx->pid_file, F_OK) == 0;
}

/* It would try again for seconds where a port is taken. */
static bool has_failed(struct hf_nginx *nginx)
{
    return hf_process_count(nginx->process, HF_STDOUT, "[emerg]") > 0;
}

static void report_failure(struct hf_nginx *nginx)
{
    char *output = hf_process_output(nginx->process, HF_STDOUT);

    fprintf(stderr, "nginx: could not start: %s\n", output ? output : "");
    free(output);
}

struct hf_nginx *hf_nginx_start(const struct hf_nginx_options *options)
{
    static const char *const here[] = {"127.0.0.1"};
    struct hf_nginx *nginx = calloc(1, sizeof(*nginx));
    const char *path = access("/usr/sbin/nginx", X_OK) == 0 ? "/usr/sbin/nginx" : "nginx";

    if (!nginx || !(nginx->directory = hf_tmpdir_create()))
        abort();
    nginx->port = options->port ? options->port : hf_net_free_port(here, 1);
    nginx->error_log = hf_tmpdir_path(nginx->directory, "error.log");
    nginx->access_log = hf_tmpdir_path(nginx->directory, "access.log");
    nginx->pid_file = hf_tmpdir_path(nginx->directory, "pid");
    write_config(nginx, options);
    const char *argv[] = {
        path, "-p", nginx->directory, "-c", nginx->config, "-e", nginx->error_log, NULL};
    nginx->process = hf_process_start(&(struct hf_process_options){.argv = argv, .merge = true});
    if (nginx->process && HF_WAIT_UNTIL(is_up(nginx) || has_failed(nginx), BOUND_MS) &&
        is_up(nginx))
        return nginx;
    if (nginx->process)
        report_failure(nginx);
    hf_nginx_stop(nginx);
    return NULL;
}

void hf_nginx_stop(struct hf_nginx *nginx)
{
    if (!nginx)
        return;
    if (nginx->process) {
        hf_process_signal(nginx->process, SIGTERM);
        hf_process_wait_exit(nginx->process, BOUND_MS, NULL);
        hf_process_destroy(nginx->process);
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *folder = hf_tmpdir_path(nginx->directory, folders[i]);
        rmdir(folder);
        free(folder);
    }
    hf_tmpdir_remove(nginx->directory);
    free(nginx->config);
    free(nginx->error_log);
    free(nginx->access_log);
    free(nginx->pid_file);
    free(nginx);
}

uint16_t hf_nginx_port(const struct hf_nginx *nginx)
{
    return nginx->port;
}

void hf_nginx_write(struct hf_nginx *nginx, const char *text)
{
    free(hf_tmpdir_write(nginx->directory, "flags.json", text));
}

char *hf_nginx_log(struct hf_nginx *nginx)
{
    char *text = hf_tmpdir_read(nginx->access_log);

    return text ? text : strdup("");
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * Whom the plugin trusts: with the setting ca_file nobody else, without it whom the machine trusts.
 * For that the machine's authorities are covered by ours, for this process alone.
 */
#include <sys/mount.h>

#include "tests/integration/cache_fixture.h"
#include "tests/support/certs.h"
#include "tests/support/name_server.h"
#include "tests/support/process.h"
#include "tests/support/tmpdir.h"

#define MACHINE "/etc/ssl/certs"

static struct hf_certs *certs;

/* A directory as libcurl's two defaults want it: a file with all, and one for each by its hash. */
static char *make_directory(void)
{
    const char *const argv[] = {
        "openssl", "x509", "-noout", "-hash", "-in", hf_certs_ca_file(certs), NULL};
    char *directory = hf_tmpdir_create(), *text = hf_tmpdir_read(hf_certs_ca_file(certs));
    char *hash = NULL, name[32];

    if (!directory || !text || !CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &hash), 0))
        abort();
    snprintf(name, sizeof(name), "%.8s.0", hash);
    free(hf_tmpdir_write(directory, name, text));
    free(hf_tmpdir_write(directory, "ca-certificates.crt", text));
    free(hash);
    free(text);
    return directory;
}

/* Whether the service's certificate is trusted under that setting. */
static bool trusts(const char *setting)
{
    hf_conn conn;
    bool trusted;

    start_cache("%s\n", setting);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(is_answered(conn), BOUND_MS));
    trusted = is_known(conn);
    if (!trusted)
        CHECK_INT_EQ(hf_test_explain(plugin, conn, A).last_error, HF_FETCH_TLS);
    plugin->fini();
    return trusted;
}

static void check_trust(void)
{
    char other[256], ours[256];

    snprintf(other, sizeof(other), "ca_file = %s", hf_certs_cert_file(certs, HF_CERT_SELF_SIGNED));
    snprintf(ours, sizeof(ours), "ca_file = %s", hf_certs_ca_file(certs));
    if (trusts("")) {
        CHECK(trusts(ours));
        CHECK(!trusts(other));
    } else {
        hf_test_skip("libcurl's authorities are not those in " MACHINE " here");
    }
}

static void test_nobody_else(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};
    char *directory;

    if (!hf_name_server_is_covered() || access(MACHINE, F_OK) != 0) {
        hf_test_skip("there is no " MACHINE " here that can be covered by another directory");
        return;
    }
    directory = make_directory();
    service = hf_flag_service_start(&options);
    if (CHECK_INT_EQ(mount(directory, MACHINE, "none", MS_BIND, NULL), 0)) {
        check_trust();
        CHECK_INT_EQ(umount(MACHINE), 0);
    }
    hf_flag_service_stop(service);
    hf_tmpdir_remove(directory);
}

/* Nothing of the machine's own is trusted that is ours. */
static void test_unknown(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};

    service = hf_flag_service_start(&options);
    CHECK(!trusts(""));
    CHECK_INT_EQ(requests(), 0);
    hf_flag_service_stop(service);
}

/* Another file under the same name: a reload has it read, though no setting is another. */
static void test_changed(void)
{
    struct hf_flag_service_options options = {
        .cert_file = hf_certs_cert_file(certs, HF_CERT_GOOD), .key_file = hf_certs_key_file(certs)};
    char *other = hf_tmpdir_read(hf_certs_cert_file(certs, HF_CERT_SELF_SIGNED));
    char *ours = hf_tmpdir_read(hf_certs_ca_file(certs));
    char *directory = hf_tmpdir_create(), *file = hf_tmpdir_write(directory, "ca.pem", other);
    hf_conn conn;

    service = hf_flag_service_start(&options);
    hf_flag_service_set_flag(service, "a", true);
    start_cache("ca_file = %s\n", file);
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(has_failed(conn), BOUND_MS));
    free(file);
    file = hf_tmpdir_write(directory, "ca.pem", ours);
    CHECK_INT_EQ(
        hf_test_reload(plugin, "flags = a, b\nallow_http = loopback\nca_file = %s\n", file), HF_OK);
    CHECK(HF_WAIT_UNTIL(plugin->refresh(NULL) == HF_OK, BOUND_MS)); /* a second after the last */
    CHECK(HF_WAIT_UNTIL(is_known(conn), BOUND_MS));
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    stop_all();
    free(file);
    free(ours);
    free(other);
    hf_tmpdir_remove(directory);
}

static const struct hf_test tests[] = {
    {"C32 with ca_file no other authority is trusted, not even the machine's", test_nobody_else},
    {"C32 an authority that the machine does not know is not trusted", test_unknown},
    {"C32 C84 a reload has a changed ca_file read", test_changed},
};

int main(int argc, char **argv)
{
    int status;

    certs = hf_certs_create();
    if (!certs)
        return 1;
    status = run_tests("tls trust", tests, COUNT(tests), argc, argv);
    hf_certs_destroy(certs);
    return status;
}

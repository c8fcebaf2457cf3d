/* SPDX-License-Identifier: PostgreSQL
 *
 * A run of openssl signs each certificate. The expired one goes through `openssl ca`, the only
 * command that takes an end date in every version.
 */
#include "tests/support/certs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/process.h"
#include "tests/support/tmpdir.h"

#define BOUND_MS 30000
#define AUTHORITY "/CN=Test authority"
#define LATER "20491231235959Z"

struct hf_certs {
    char *directory, *config, *ca, *key;
    char *client, *client_with_key, *encrypted_key, *untrusted_client;
    char *files[HF_CERT_COUNT];
};

static const char config_format[] = "[req]\n"
                                    "distinguished_name = dn\n"
                                    "[dn]\n"
                                    "[authority]\n"
                                    "basicConstraints = critical, CA:TRUE\n"
                                    "keyUsage = critical, keyCertSign, cRLSign\n"
                                    "subjectKeyIdentifier = hash\n"
                                    "[here]\n"
                                    "subjectAltName = DNS:localhost, DNS:*.here.test,"
                                    " IP:127.0.0.1, IP:::1\n"
                                    "[elsewhere]\n"
                                    "subjectAltName = DNS:elsewhere.invalid\n"
                                    "[client]\n"
                                    "extendedKeyUsage = clientAuth\n"
                                    "[ca]\n"
                                    "default_ca = ca_here\n"
                                    "[ca_here]\n"
                                    "database = %1$s/index\n"
                                    "new_certs_dir = %1$s\n"
                                    "rand_serial = yes\n"
                                    "default_md = sha256\n"
                                    "policy = any\n"
                                    "[any]\n"
                                    "commonName = optional\n";

/* Whether openssl succeeded; what it says is printed otherwise. */
static bool openssl(const char *const *argv)
{
    char *output;
    bool good = hf_process_run(argv, BOUND_MS, &output) == 0;

    if (!good)
        fprintf(stderr, "openssl %s failed: %s\n", argv[1], output ? output : "it did not start");
    free(output);
    return good;
}

static bool self_sign(const struct hf_certs *certs, const char *key, const char *file,
    const char *subject, const char *extensions)
{
    const char *const argv[] = {"openssl", "req", "-x509", "-new", "-config", certs->config, "-key",
        key, "-out", file, "-days", "30", "-sha256", "-subj", subject, "-extensions", extensions,
        NULL};

    return openssl(argv);
}

static bool request(const struct hf_certs *certs, const char *subject, const char *file)
{
    const char *const argv[] = {"openssl", "req", "-new", "-config", certs->config, "-key",
        certs->key, "-out", file, "-subj", subject, NULL};

    return openssl(argv);
}

static bool sign_by(const struct hf_certs *certs, const char *ca, const char *ca_key,
    const char *request_file, const char *end_date, const char *extensions, const char *file)
{
    const char *const argv[] = {"openssl", "ca", "-batch", "-notext", "-config", certs->config,
        "-cert", ca, "-keyfile", ca_key, "-in", request_file, "-startdate", "20200101000000Z",
        "-enddate", end_date, "-extensions", extensions, "-out", file, NULL};

    return openssl(argv);
}

static bool sign(const struct hf_certs *certs, const char *ca_key, const char *request_file,
    const char *end_date, const char *extensions, const char *file)
{
    return sign_by(certs, certs->ca, ca_key, request_file, end_date, extensions, file);
}

static bool make_key(const char *file)
{
    const char *const argv[] = {"openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-out", file, NULL};

    return openssl(argv);
}

static bool write_config(struct hf_certs *certs)
{
    char *text = NULL;
    char *index = hf_tmpdir_write(certs->directory, "index", "");
    char *attributes = hf_tmpdir_write(certs->directory, "index.attr", "unique_subject = no\n");
    bool good = index && attributes && asprintf(&text, config_format, certs->directory) >= 0;

    certs->config = good ? hf_tmpdir_write(certs->directory, "openssl.cnf", text) : NULL;
    free(text);
    free(index);
    free(attributes);
    return certs->config != NULL;
}

static bool encrypt_key(const char *key, const char *file)
{
    const char *const argv[] = {
        "openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:hidden", "-out", file, NULL};

    return openssl(argv);
}

static bool join(struct hf_certs *certs)
{
    char *client = hf_tmpdir_read(certs->client), *key = hf_tmpdir_read(certs->key), *text = NULL;
    bool good = client && key && asprintf(&text, "%s%s", client, key) >= 0;

    if (good)
        free(hf_tmpdir_write(certs->directory, "client-with-key.pem", text));
    free(text);
    free(client);
    free(key);
    return good;
}

/* The second authority has the first one's name, so that a client offers its certificate to a
 * server that asks for the first one's, and the signature is all that is wrong. */
static bool make_untrusted_client(struct hf_certs *certs, const char *request_file)
{
    char *ca = hf_tmpdir_path(certs->directory, "other-ca.pem");
    char *ca_key = hf_tmpdir_path(certs->directory, "other-ca-key.pem");
    bool good = make_key(ca_key) && self_sign(certs, ca_key, ca, AUTHORITY, "authority") &&
        sign_by(certs, ca, ca_key, request_file, LATER, "client", certs->untrusted_client);

    free(ca);
    free(ca_key);
    return good;
}

static bool make_by_unknown_authority(struct hf_certs *certs, const char *request_file)
{
    char *ca = hf_tmpdir_path(certs->directory, "unknown-ca.pem");
    char *ca_key = hf_tmpdir_path(certs->directory, "unknown-ca-key.pem");
    bool good = make_key(ca_key) &&
        self_sign(certs, ca_key, ca, "/CN=Unknown authority", "authority") &&
        sign_by(certs, ca, ca_key, request_file, LATER, "here", certs->files[HF_CERT_UNKNOWN_CA]);

    free(ca);
    free(ca_key);
    return good;
}

static bool make_clients(struct hf_certs *certs, const char *ca_key, const char *request_file)
{
    return request(certs, "/CN=client", request_file) &&
        sign(certs, ca_key, request_file, LATER, "client", certs->client) &&
        encrypt_key(certs->key, certs->encrypted_key) && join(certs) &&
        make_untrusted_client(certs, request_file);
}

static bool make_all(struct hf_certs *certs, const char *ca_key, const char *request_file)
{
    static const char before[] = "20200201000000Z";

    return write_config(certs) && make_key(ca_key) && make_key(certs->key) &&
        self_sign(certs, ca_key, certs->ca, AUTHORITY, "authority") &&
        self_sign(certs, certs->key, certs->files[HF_CERT_SELF_SIGNED], "/CN=localhost", "here") &&
        request(certs, "/CN=localhost", request_file) &&
        sign(certs, ca_key, request_file, LATER, "here", certs->files[HF_CERT_GOOD]) &&
        sign(certs, ca_key, request_file, before, "here", certs->files[HF_CERT_EXPIRED]) &&
        make_by_unknown_authority(certs, request_file) &&
        request(certs, "/CN=elsewhere.invalid", request_file) &&
        sign(certs, ca_key, request_file, LATER, "elsewhere", certs->files[HF_CERT_WRONG_NAME]) &&
        make_clients(certs, ca_key, request_file);
}

struct hf_certs *hf_certs_create(void)
{
    static const char *const names[HF_CERT_COUNT] = {[HF_CERT_GOOD] = "good.pem",
        [HF_CERT_WRONG_NAME] = "wrong-name.pem",
        [HF_CERT_EXPIRED] = "expired.pem",
        [HF_CERT_SELF_SIGNED] = "self-signed.pem",
        [HF_CERT_UNKNOWN_CA] = "unknown-authority.pem"};
    struct hf_certs *certs = calloc(1, sizeof(*certs));
    char *ca_key, *request_file;
    bool good;

    if (!certs || !(certs->directory = hf_tmpdir_create())) {
        free(certs);
        return NULL;
    }
    certs->ca = hf_tmpdir_path(certs->directory, "ca.pem");
    certs->key = hf_tmpdir_path(certs->directory, "key.pem");
    certs->client = hf_tmpdir_path(certs->directory, "client.pem");
    certs->client_with_key = hf_tmpdir_path(certs->directory, "client-with-key.pem");
    certs->encrypted_key = hf_tmpdir_path(certs->directory, "encrypted-key.pem");
    certs->untrusted_client = hf_tmpdir_path(certs->directory, "untrusted-client.pem");
    for (int i = 0; i < HF_CERT_COUNT; i++)
        certs->files[i] = hf_tmpdir_path(certs->directory, names[i]);
    ca_key = hf_tmpdir_path(certs->directory, "ca-key.pem");
    request_file = hf_tmpdir_path(certs->directory, "request.pem");
    good = make_all(certs, ca_key, request_file);
    free(ca_key);
    free(request_file);
    if (good)
        return certs;
    hf_certs_destroy(certs);
    return NULL;
}

void hf_certs_destroy(struct hf_certs *certs)
{
    if (!certs)
        return;
    hf_tmpdir_remove(certs->directory);
    for (int i = 0; i < HF_CERT_COUNT; i++)
        free(certs->files[i]);
    free(certs->config);
    free(certs->ca);
    free(certs->key);
    free(certs->client);
    free(certs->client_with_key);
    free(certs->encrypted_key);
    free(certs->untrusted_client);
    free(certs);
}

const char *hf_certs_ca_file(const struct hf_certs *certs)
{
    return certs->ca;
}

const char *hf_certs_cert_file(const struct hf_certs *certs, enum hf_cert cert)
{
    return certs->files[cert];
}

const char *hf_certs_key_file(const struct hf_certs *certs)
{
    return certs->key;
}

const char *hf_certs_client_file(const struct hf_certs *certs)
{
    return certs->client;
}

const char *hf_certs_client_with_key_file(const struct hf_certs *certs)
{
    return certs->client_with_key;
}

const char *hf_certs_encrypted_key_file(const struct hf_certs *certs)
{
    return certs->encrypted_key;
}

const char *hf_certs_untrusted_client_file(const struct hf_certs *certs)
{
    return certs->untrusted_client;
}

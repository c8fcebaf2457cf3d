/* SPDX-License-Identifier: PostgreSQL
 *
 * certs.h: a throw-away certificate authority with certificates of servers and clients, made by
 * the program openssl in a temporary directory. Takes about a fifth of a second: make one per
 * test program.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_CERTS_H
#define HOSTFLAGS_TESTS_SUPPORT_CERTS_H

enum hf_cert {
    HF_CERT_GOOD = 0, /* signed by the authority, for localhost, *.here.test, 127.0.0.1 and ::1 */
    HF_CERT_WRONG_NAME, /* signed, for elsewhere.invalid */
    HF_CERT_EXPIRED, /* signed, for the same, until yesterday */
    HF_CERT_SELF_SIGNED, /* for the same, signed by itself */
    HF_CERT_UNKNOWN_CA, /* for the same, signed by an authority of another name */
    HF_CERT_COUNT
};

struct hf_certs;

/* NULL: no openssl, no space, …; the reason is on stderr. */
struct hf_certs *hf_certs_create(void);

/* Removes the directory. NULL is fine. */
void hf_certs_destroy(struct hf_certs *certs);

/* Names of PEM files; the strings live as long as certs. */
const char *hf_certs_ca_file(const struct hf_certs *certs);
const char *hf_certs_cert_file(const struct hf_certs *certs, enum hf_cert cert);
const char *hf_certs_key_file(const struct hf_certs *certs); /* the same for all */

/* For clients: a certificate that the authority signed, for the same key; one file with both; and
 * the key encrypted with a password. */
const char *hf_certs_client_file(const struct hf_certs *certs);
const char *hf_certs_client_with_key_file(const struct hf_certs *certs);
const char *hf_certs_encrypted_key_file(const struct hf_certs *certs);

/* For the same key, signed by another authority, which has the same name but nobody trusts. */
const char *hf_certs_untrusted_client_file(const struct hf_certs *certs);

#endif

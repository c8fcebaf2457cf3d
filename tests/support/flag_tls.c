/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/flag_tls.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/tmpdir.h"

/* NULL is read as NULL. */
static bool read_file(const char *path, char **text)
{
    *text = path ? hf_tmpdir_read(path) : NULL;
    if (path && !*text)
        fprintf(stderr, "flag service: cannot read %s\n", path);
    return !path || *text;
}

bool hf_flag_tls_load(struct hf_flag_tls *tls, const struct hf_flag_service_options *options)
{
    if (!options->cert_file)
        return true;
    if (options->tls_priority && !(tls->priority = strdup(options->tls_priority)))
        abort();
    return read_file(options->cert_file, &tls->cert) && read_file(options->key_file, &tls->key) &&
        read_file(options->client_ca_file, &tls->client_ca);
}

void hf_flag_tls_fini(struct hf_flag_tls *tls)
{
    free(tls->cert);
    free(tls->key);
    free(tls->client_ca);
    free(tls->priority);
}

void hf_flag_tls_options(
    const struct hf_flag_tls *tls, struct MHD_OptionItem options[HF_FLAG_TLS_OPTIONS])
{
    const struct MHD_OptionItem all[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key}, {MHD_OPTION_HTTPS_MEM_TRUST, 0, tls->client_ca},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, tls->priority}};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].ptr_value)
            options[count++] = all[i];
    }
    options[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

/* RFC 8446, 6.2; before TLS 1.3 there was no alert for this in particular. */
static gnutls_alert_description_t alert_of_none(gnutls_session_t session)
{
    return gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED
                                                                 : GNUTLS_A_HANDSHAKE_FAILURE;
}

/* Called without a certificate too. The alert is up to us: libmicrohttpd only closes. */
static int verify_client(gnutls_session_t session)
{
    unsigned status = 0;
    int error = gnutls_certificate_verify_peers2(session, &status);

    if (error == 0 && status == 0)
        return 0;
    gnutls_alert_send(session, GNUTLS_AL_FATAL,
        error == GNUTLS_E_NO_CERTIFICATE_FOUND ? alert_of_none(session) : GNUTLS_A_UNKNOWN_CA);
    return -1;
}

void hf_flag_tls_on_connection(const struct hf_flag_tls *tls, struct MHD_Connection *connection)
{
    gnutls_session_t session;

    if (!tls->client_ca)
        return;
    session =
        (gnutls_session_t)MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
            ->tls_session;
    gnutls_session_set_verify_function(session, verify_client);
}

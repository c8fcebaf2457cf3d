/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/diagnose.h"

#include "plugin/discreet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void say(
    char out[HF_MESSAGE_MAX], const char *format, ...)
{
    static const char cut[] = "...";
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(out, HF_MESSAGE_MAX, format, args);
    va_end(args);
    if (length >= HF_MESSAGE_MAX)
        memcpy(out + HF_MESSAGE_MAX - sizeof(cut), cut, sizeof(cut));
    for (char *p = out; *p != '\0'; p++) {
        if (*p < ' ' || *p >= 0x7f)
            *p = '?';
    }
}

/* ---- answers that are no 200 ---- */

static void say_unauthorized(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    unsigned status = symptoms->http_status;

    if (symptoms->token_length > 0)
        say(out, "%u: the token of %zu bytes from %s was sent and %s", status,
            symptoms->token_length, symptoms->token_source,
            status == 401 ? "rejected" : "may not read the flags");
    else if (symptoms->token_withheld)
        say(out,
            "%u: this service wants a token, and none is sent over plain http under "
            "allow_http = any (expected https)",
            status);
    else
        say(out, "%u: this service wants a token, and none is configured (see token_file)", status);
}

/* A Location without what may be secret in it: user info, query, fragment, and a path that looks
 * so. Where it is not clear which is which, nothing. */
static void show_location(const char *location, char *shown, size_t size)
{
    const char *scheme = strstr(location, "://"), *host = scheme == NULL ? location : scheme + 3;
    size_t length = strcspn(location, "?#"), authority = strcspn(host, "/?#");
    size_t before = scheme == NULL ? 0 : (size_t)(host - location) + authority;

    if (strncmp(location, "//", 2) == 0 || memchr(location, '@', length) != NULL)
        snprintf(shown, size, "a place that is not shown");
    else if (before < length && hf_looks_secret(location + before, length - before))
        snprintf(
            shown, size, "%.*s%s...", (int)before, location, location[before] == '/' ? "/" : "");
    else
        snprintf(shown, size, "%.*s", (int)length, location);
}

static bool is_login(const char *location)
{
    const char *scheme = strstr(location, "://");
    const char *path = scheme == NULL ? location : strchrnul(scheme + 3, '/');

    return strncmp(path, "/login", 6) == 0 && strcspn(path + 6, "/?#.") == 0;
}

static void say_redirect(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    unsigned status = symptoms->http_status;
    char shown[128];

    show_location(symptoms->location, shown, sizeof(shown));
    if (is_login(symptoms->location) && !symptoms->has_org_id)
        say(out, "%u to %s: this host wants an org id", status, shown);
    else if (is_login(symptoms->location))
        say(out, "%u to %s: this host does not know the org id, or wants a token", status, shown);
    else
        say(out,
            "%u to %s: redirects are not followed (expected 200; the settings service and "
            "endpoint say where to ask)",
            status, shown[0] == '\0' ? "nowhere" : shown);
}

static void say_status(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    unsigned status = symptoms->http_status;
    const char *retry_after = symptoms->retry_after;
    bool kept = status == 429 || status == 503;
    bool shown = kept && *retry_after != '\0' && !hf_looks_secret(retry_after, strlen(retry_after));
    const char *after = shown ? "; it says Retry-After: " : "";

    if (status == 401 || status == 403)
        say_unauthorized(symptoms, out);
    else if (status == 404)
        say(out,
            "404: this host has no flag service at that path (some regions have none; the "
            "settings endpoint, client and client_version make the path)");
    else if (status == 407)
        say(out, "407: the proxy wants another user or password (setting proxy)");
    else if (status == 429)
        say(out, "429: it was asked too often%s%s", after, shown ? retry_after : "");
    else if (status == 304)
        say(out, "304 without being asked whether anything has changed (expected 200)");
    else if (status >= 300 && status < 400)
        say_redirect(symptoms, out);
    else if (status >= 500)
        say(out, "%u: the service itself fails%s%s", status, after, shown ? retry_after : "");
    else
        say(out, "the answer's status was %u, expected 200", status);
}

/* ---- TLS ---- */

enum { NAMES_SHOWN = 80 }; /* bytes of what may be a long list */

/* What else libcurl says of a connection that broke is about sockets. */
static void say_hung_up(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    bool alert = strcasestr(symptoms->detail, "alert") != NULL;

    say(out, "the service hung up after the TLS handshake; it may want %s (%s)%s%s",
        symptoms->has_client_certificate ? "another client certificate" : "a client certificate",
        symptoms->has_client_certificate ? "setting client_cert_file"
                                         : "settings client_cert_file and client_key_file",
        alert ? ": " : "", alert ? symptoms->detail : "");
}

/* False: there is nothing to add to what libcurl says. */
static bool say_tls(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    if (symptoms->hung_up)
        say_hung_up(symptoms, out);
    else if (symptoms->certificate[0] != '\0')
        say(out, "the certificate is for %.*s%s, not for %s", NAMES_SHOWN, symptoms->certificate,
            strlen(symptoms->certificate) > NAMES_SHOWN ? "..." : "", symptoms->host);
    else if (symptoms->bad_client_files)
        say(out,
            "client_cert_file or client_key_file cannot be used (expected PEM, the key without a "
            "password): %s",
            symptoms->detail);
    else
        return false;
    return true;
}

/* ---- everything ---- */

void hf_diagnose(const struct hf_symptoms *symptoms, char out[HF_MESSAGE_MAX])
{
    switch (symptoms->outcome) {
    case HF_OUTCOME_OK:
        out[0] = '\0';
        return;
    case HF_OUTCOME_HTTP:
        say_status(symptoms, out);
        return;
    case HF_OUTCOME_TLS:
    case HF_OUTCOME_CONNECT:
        if (say_tls(symptoms, out))
            return;
        break;
    case HF_OUTCOME_PARSE:
        if (symptoms->http_status == 200) {
            say(out, "200, but no flag document: %s", symptoms->detail);
            return;
        }
        break;
    case HF_OUTCOME_TOKEN:
        say(out, "nothing was sent: %s", symptoms->detail);
        return;
    case HF_OUTCOME_DNS:
    case HF_OUTCOME_TIMEOUT:
    case HF_OUTCOME_TOO_LARGE:
    case HF_OUTCOME_REFUSED:
    case HF_OUTCOME_OTHER:
        break;
    }
    say(out, "%s", symptoms->detail);
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/request.h"

#include "plugin/decode.h"
#include "plugin/retry_after.h"

#include <stdlib.h>
#include <string.h>

/* Plain http goes where allow_http lets it go. */
static const char *refuse_http(enum hf_allow_http allow, const struct hf_upstream_key *asked)
{
    if (asked->scheme == HF_HTTPS)
        return NULL;
    switch (allow) {
    case HF_HTTP_OFF:
        return "its flag service has a plain http address, and the setting allow_http is off "
               "(expected https, or allow_http = loopback or any)";
    case HF_HTTP_LOOPBACK:
        return hf_upstream_is_loopback(asked)
            ? NULL
            : "its flag service has a plain http address that is no literal loopback address, and "
              "the setting allow_http is loopback (expected https, or allow_http = any)";
    case HF_HTTP_ANY:
        return NULL;
    }
    return NULL;
}

static void forget_token(struct hf_requester *requester)
{
    hf_token_forget(&requester->token);
    explicit_bzero(requester->authorization, sizeof(requester->authorization));
}

/* Puts the token into the authorization line. False: none can be had, as token.problem says. */
static bool prepare_token(struct hf_requester *requester, struct hf_request *request, bool https)
{
    const struct hf_settings *settings = requester->settings;
    struct hf_token *token = &requester->token;
    enum hf_token_state state =
        hf_token_read(settings, requester->giver, request->job.key.host, token);

    if (state == HF_TOKEN_MISSING)
        return false;
    if (state == HF_TOKEN_NONE)
        return true;
    /* Also of one that is withheld: later looks at its file compare with it. */
    request->token_mark = hf_token_mark(token, requester->salt);
    if (!https && settings->allow_http != HF_HTTP_LOOPBACK) {
        request->token_withheld = true;
        return true;
    }
    request->token_length = token->length;
    snprintf(request->token_source, sizeof(request->token_source), "%s", token->source);
    snprintf(requester->authorization, sizeof(requester->authorization), "Authorization: Bearer %s",
        token->text);
    return true;
}

static bool send_it(struct hf_requester *requester, struct hf_request *request, void *tag,
    const char *url, const struct hf_upstream_key *asked)
{
    const char *org_id_field = requester->settings->protocol->org_id_header;
    const struct hf_job *job = &request->job;
    char org_id[128], condition[HF_ETAG_MAX + 32];
    struct hf_fetch_request fetch = {
        .url = url, .direct = hf_upstream_is_loopback(asked), .tag = tag};
    size_t count = 0;

    if (job->key.org_id[0] != '\0' && org_id_field != NULL) {
        snprintf(org_id, sizeof(org_id), "%s: %s", org_id_field, job->key.org_id);
        fetch.fields[count++] = org_id;
    }
    if (job->etag[0] != '\0') {
        snprintf(condition, sizeof(condition), "If-None-Match: %s", job->etag);
        fetch.fields[count++] = condition;
    }
    if (requester->authorization[0] != '\0')
        fetch.fields[count++] = requester->authorization;
    return hf_fetcher_start(requester->fetcher, &fetch) == 0;
}

static bool fail(struct hf_request *request, struct hf_completion *completion,
    enum hf_outcome outcome, const char *detail)
{
    struct hf_symptoms symptoms = {.outcome = outcome,
        .detail = detail,
        .host = request->host,
        .location = "",
        .retry_after = "",
        .certificate = "",
        .token_source = ""};

    hf_diagnose(&symptoms, request->message);
    *completion =
        (struct hf_completion){.outcome = outcome, .etag = "", .message = request->message};
    return false;
}

bool hf_request_start(struct hf_requester *requester, struct hf_request *request, void *tag,
    struct hf_completion *completion)
{
    const struct hf_settings *settings = requester->settings;
    struct hf_target target = {settings->protocol, settings->service, settings->endpoint,
        settings->client, settings->client_version, settings->flags, settings->flag_count};
    struct hf_upstream_key asked = request->job.key;
    char *url = NULL;
    const char *refused = hf_protocol_url(&target, &request->job.key, &asked, &url);
    bool good = true;

    snprintf(request->host, sizeof(request->host), "%s", asked.host);
    request->token_withheld = false;
    request->token_length = 0;
    request->token_mark = 0;
    request->token_source[0] = '\0';
    if (refused == NULL)
        refused = refuse_http(settings->allow_http, &asked);
    if (refused != NULL)
        good = fail(request, completion, HF_OUTCOME_REFUSED, refused);
    else if (!prepare_token(requester, request, asked.scheme == HF_HTTPS))
        good = fail(request, completion, HF_OUTCOME_TOKEN, requester->token.problem);
    else if (!send_it(requester, request, tag, url, &asked))
        good = fail(request, completion, HF_OUTCOME_OTHER, "out of memory");
    forget_token(requester);
    free(url);
    return good;
}

/* A 304 is the answer to If-None-Match only. */
static bool is_unchanged(const struct hf_request *request, const struct hf_fetch_result *result)
{
    return result->http_status == 304 && result->outcome == HF_OUTCOME_HTTP &&
        request->job.etag[0] != '\0';
}

void hf_request_end(struct hf_requester *requester, struct hf_request *request,
    const struct hf_fetch_result *result, int64_t wall_s, struct hf_completion *completion)
{
    const struct hf_settings *settings = requester->settings;
    struct hf_symptoms symptoms = {
        .outcome = is_unchanged(request, result) ? HF_OUTCOME_OK : result->outcome,
        .http_status = result->http_status,
        .detail = result->message,
        .host = request->host,
        .location = result->headers->location,
        .retry_after = result->headers->retry_after,
        .certificate = result->certificate,
        .token_source = request->token_source,
        .token_length = request->token_length,
        .token_withheld = request->token_withheld,
        .has_org_id = request->job.key.org_id[0] != '\0',
        .hung_up = result->hung_up,
        .bad_client_files = result->bad_client_files,
        .has_client_certificate = settings->client_cert_file != NULL,
    };

    *completion = (struct hf_completion){.http_status = result->http_status,
        .etag = result->headers->etag,
        .retry_after_ms =
            hf_retry_after_ms(result->headers->retry_after, result->headers->date, wall_s),
        .token_mark = request->token_mark,
        .message = request->message};
    if (result->outcome == HF_OUTCOME_OK) {
        const char *refused = hf_decode(settings->protocol, settings->flags, settings->flag_count,
            result->body, result->length, &completion->document);
        if (refused != NULL) {
            symptoms.outcome = HF_OUTCOME_PARSE;
            symptoms.detail = refused;
        }
    }
    completion->outcome = symptoms.outcome;
    hf_diagnose(&symptoms, request->message);
}

uint64_t hf_request_look_at_token(struct hf_requester *requester, const char *host)
{
    uint64_t mark = 0;

    if (hf_token_read(requester->settings, requester->giver, host, &requester->token) ==
        HF_TOKEN_READY)
        mark = hf_token_mark(&requester->token, requester->salt);
    hf_token_forget(&requester->token);
    return mark;
}

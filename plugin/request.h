/* SPDX-License-Identifier: PostgreSQL
 *
 * request.h: one request for the flags of one host: from a job to what is sent, or to why nothing
 * is; and from how that ended to what the registry is told.
 *
 * Whether a token goes along: over https, or to a loopback literal under allow_http = loopback. A
 * token that is configured and cannot be had means that nothing is sent. Worker thread.
 */
#ifndef HOSTFLAGS_REQUEST_H
#define HOSTFLAGS_REQUEST_H

#include "plugin/auth.h"
#include "plugin/fetch.h"
#include "plugin/registry.h"

/* What requests are made with. The buffers at the end are overwritten before start and look
 * return. */
struct hf_requester {
    const struct hf_settings *settings; /* borrowed, as the next two */
    const struct hf_token_giver *giver;
    struct hf_fetcher *fetcher;
    uint64_t salt; /* see hf_token_mark */
    struct hf_token token;
    char authorization[HF_TOKEN_MAX + 32];
};

/* What is remembered of a request until its end. */
struct hf_request {
    struct hf_job job;
    char host[HF_HOST_MAX + 1]; /* that is asked: another one than the upstream under `service` */
    bool token_withheld;
    size_t token_length; /* of the one that was sent; 0: none was */
    uint64_t token_mark;
    char token_source[HF_TOKEN_SOURCE_MAX];
    char message[HF_MESSAGE_MAX]; /* once it has ended */
};

/* Sends the request for request->job, which is all that is set; tag comes back with the fetcher's
 * result. True: under way. False: nothing was sent, *completion is its end. */
bool hf_request_start(struct hf_requester *requester, struct hf_request *request, void *tag,
    struct hf_completion *completion) __attribute__((warn_unused_result));

/* Reads the result. wall_s: seconds since 1970, now. What completion borrows lives as long as
 * request and result. */
void hf_request_end(struct hf_requester *requester, struct hf_request *request,
    const struct hf_fetch_result *result, int64_t wall_s, struct hf_completion *completion);

/* The mark of the token that a request for this host would send now. */
uint64_t hf_request_look_at_token(struct hf_requester *requester, const char *host);

#endif

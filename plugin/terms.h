/* SPDX-License-Identifier: PostgreSQL
 *
 * terms.h: the words of the field, as the engine uses them.
 *
 * The engine does not know host_api.h: it also serves hosts that have another contract (SQL, say).
 * plugin.c asserts that these numbers are those of the contract, so none has to be translated.
 */
#ifndef HOSTFLAGS_TERMS_H
#define HOSTFLAGS_TERMS_H

#include <stdint.h>

/* One answer word has one bit per flag. */
#define HF_MAX_FLAGS 64

/* A moment that never comes. All times are int64_t milliseconds of CLOCK_MONOTONIC. */
#define HF_NEVER INT64_MAX

/* How much is known about a host. */
enum hf_state { HF_UNKNOWN = 0, HF_FRESH = 1, HF_STALE = 2, HF_EXPIRED = 3 };

/* Why an answer is what it is. */
enum hf_reason {
    HF_BY_DEFAULT = 0,
    HF_BY_SERVICE = 1,
    HF_BY_STALE_VALUE = 2,
    HF_BY_OVERRIDE = 3,
    HF_BY_SWITCH = 4 /* enabled = off */
};
#define HF_REASONS 5

/* How a request ended. */
enum hf_outcome {
    HF_OUTCOME_OK = 0,
    HF_OUTCOME_DNS = 1,
    HF_OUTCOME_CONNECT = 2,
    HF_OUTCOME_TLS = 3,
    HF_OUTCOME_TIMEOUT = 4,
    HF_OUTCOME_HTTP = 5,
    HF_OUTCOME_PARSE = 6,
    HF_OUTCOME_TOO_LARGE = 7,
    HF_OUTCOME_TOKEN = 8,
    HF_OUTCOME_REFUSED = 9,
    HF_OUTCOME_OTHER = 10
};
#define HF_OUTCOMES 11

/* The word for it in status, logs and errors: "fresh", "override", "timeout". Never NULL. */
const char *hf_state_name(enum hf_state state);
const char *hf_reason_name(enum hf_reason reason);
const char *hf_outcome_name(enum hf_outcome outcome);

#endif

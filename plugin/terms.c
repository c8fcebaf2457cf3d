/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/terms.h"

const char *hf_state_name(enum hf_state state)
{
    switch (state) {
    case HF_UNKNOWN:
        return "unknown";
    case HF_FRESH:
        return "fresh";
    case HF_STALE:
        return "stale";
    case HF_EXPIRED:
        return "expired";
    }
    return "?";
}

const char *hf_reason_name(enum hf_reason reason)
{
    switch (reason) {
    case HF_BY_DEFAULT:
        return "default";
    case HF_BY_SERVICE:
        return "static";
    case HF_BY_STALE_VALUE:
        return "stale";
    case HF_BY_OVERRIDE:
        return "override";
    case HF_BY_SWITCH:
        return "disabled";
    }
    return "?";
}

const char *hf_outcome_name(enum hf_outcome outcome)
{
    static const char *const names[] = {
        [HF_OUTCOME_OK] = "ok",
        [HF_OUTCOME_DNS] = "dns",
        [HF_OUTCOME_CONNECT] = "connect",
        [HF_OUTCOME_TLS] = "tls",
        [HF_OUTCOME_TIMEOUT] = "timeout",
        [HF_OUTCOME_HTTP] = "http",
        [HF_OUTCOME_PARSE] = "parse",
        [HF_OUTCOME_TOO_LARGE] = "too_large",
        [HF_OUTCOME_TOKEN] = "token",
        [HF_OUTCOME_REFUSED] = "refused",
        [HF_OUTCOME_OTHER] = "other",
    };
    return names[outcome];
}

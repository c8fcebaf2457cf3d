/* SPDX-License-Identifier: PostgreSQL
 *
 * life.h: one life of the plugin, in which one allocation fails, and what becomes of it.
 *
 *     init, connect (and the first request), status, metrics, explain, reload (to another service,
 *     by a name), second (a request there, with a look-up), third (a conditional one), disconnect,
 *     fini
 *
 * Up to the step in question all goes well; during it memory runs out; then memory is back, and
 * whatever was refused or has failed must come right by itself, or by doing it again. Then the life
 * ends, and a second, shorter one must work. All the while no answer may be other than the one
 * before or the one after.
 *
 * For a child process, on its main thread.
 */
#ifndef HOSTFLAGS_TESTS_OOM_LIFE_H
#define HOSTFLAGS_TESTS_OOM_LIFE_H

#include "tests/oom/allocations.h"
#include "tests/oom/lost.h"
#include "tests/oom/services.h"

#include "host_api.h"

enum hf_step {
    HF_STEP_INIT = 0,
    HF_STEP_CONNECT,
    HF_STEP_STATUS,
    HF_STEP_METRICS,
    HF_STEP_EXPLAIN,
    HF_STEP_RELOAD,
    HF_STEP_SECOND,
    HF_STEP_THIRD,
    HF_STEP_DISCONNECT,
    HF_STEP_FINI,
    HF_STEPS
};

const char *hf_step_name(enum hf_step step);

/* Whether a request belongs to it. Otherwise what threads do meanwhile is left to chance. */
bool hf_step_asks(enum hf_step step);

/* What is the same for all lives. Borrowed. */
struct hf_life {
    const struct hf_plugin *plugin;
    const struct hf_services *services;
    const char *token_file;
};

struct hf_life_plan {
    bool share; /* share = on */
    enum hf_step step;
    enum hf_by by;
    unsigned nth; /* 0: nothing fails; for the counts, and for what is kept */
    bool rest; /* all after it fail too, until the step's end or 100 ms */
};

/* What the failure of an allocation did. */
enum hf_effect {
    HF_NOT_REACHED = 0, /* there are fewer */
    HF_NO_EFFECT, /* it went on as if nothing was */
    HF_CALL_REFUSED, /* the call said so; again, it worked */
    HF_ASKED_AGAIN, /* the request failed, and was made again */
    HF_STARTED_LATER, /* there was no thread for it, or no start, until later */
    HF_EFFECTS
};

const char *hf_effect_name(enum hf_effect effect);

enum { HF_KEPT_MOST = 1024 };

/* In memory that is shared with the parent. */
struct hf_life_result {
    bool ended;
    char problem[256]; /* the first; "": none */
    enum hf_effect effect;
    unsigned counts[HF_BYS];
    struct hf_lost lost; /* by json-c */
    struct hf_site site, crash; /* of the first refused; of a fatal signal; depth 0: none */
    int descriptors; /* still open */
    size_t kept_count; /* HF_KEPT_MOST + 1: there are more */
    struct hf_kept kept[HF_KEPT_MOST];
};

void hf_life_live(
    const struct hf_life *life, const struct hf_life_plan *plan, struct hf_life_result *result);

#endif

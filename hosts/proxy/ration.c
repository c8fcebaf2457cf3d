/* SPDX-License-Identifier: PostgreSQL
 *
 * ration.c: see ration.h.
 */
#include "hosts/proxy/ration.h"

#include <stdio.h>
#include <uv.h>

bool hf_ration_take(struct hf_ration *ration, uint64_t period_ms, char more[HF_RATION_SIZE])
{
    uint64_t now_ms = uv_hrtime() / 1000000;

    if (now_ms < ration->next_ms) {
        ration->left_out++;
        return false;
    }
    more[0] = '\0';
    if (ration->left_out > 0)
        snprintf(more, HF_RATION_SIZE, " (and %lu more since the last report)", ration->left_out);
    *ration = (struct hf_ration){.next_ms = now_ms + period_ms};
    return true;
}

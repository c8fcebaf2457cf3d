/* SPDX-License-Identifier: PostgreSQL
 *
 * setting_value.h: reads one value as its row in the table of settings says. Allocates; one thread
 * at a time per settings object.
 */
#ifndef HOSTFLAGS_SETTING_VALUE_H
#define HOSTFLAGS_SETTING_VALUE_H

#include "plugin/parse.h"
#include "plugin/settings.h"
#include "plugin/settings_table.h"

enum hf_verdict { HF_TAKEN, HF_REFUSED, HF_NO_MEMORY };

/* Puts value (without blanks around it) into its member, in place of what was there. HF_REFUSED,
 * HF_NO_MEMORY: nothing has changed; after the former, complaint says what is wrong with the value,
 * where there is more to say than what is expected ("" otherwise: the caller sets it so before). */
enum hf_verdict hf_setting_take(struct hf_settings *settings, const struct hf_setting_row *row,
    const char *value, struct hf_complaint *complaint) __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * settings_fixture.h: settings of a few pairs, or what is wrong with them.
 */
#ifndef HOSTFLAGS_TESTS_UNIT_SETTINGS_FIXTURE_H
#define HOSTFLAGS_TESTS_UNIT_SETTINGS_FIXTURE_H

#include <stdlib.h>

#include "plugin/settings.h"
#include "tests/support/suite.h"

/* Settings of pairs (key, value, ..., NULL), finished, for the caller to destroy; NULL: refused,
 * and error is not empty. */
static inline struct hf_settings *settings_of(const char *const *pairs, char *error, size_t size)
{
    struct hf_settings *settings = hf_settings_create();
    int result = 0;

    if (settings == NULL)
        abort();
    error[0] = '\0';
    for (; result == 0 && *pairs != NULL; pairs += 2)
        result = hf_settings_set(settings, pairs[0], pairs[1], error, size);
    if (result == 0)
        result = hf_settings_finish(settings, error, size);
    CHECK(result == 0 || result == -1);
    CHECK_INT_EQ(error[0] != '\0', result != 0);
    if (result == 0)
        return settings;
    hf_settings_destroy(settings);
    return NULL;
}

#endif

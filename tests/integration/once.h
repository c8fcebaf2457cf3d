/* SPDX-License-Identifier: PostgreSQL
 *
 * once.h: how to call run_once, for tests that include cache_fixture.h.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_ONCE_H
#define HOSTFLAGS_TESTS_INTEGRATION_ONCE_H

#include "tests/integration/cache_fixture.h"
#include "tests/support/build_path.h"

/* Its arguments, NULL at the end. Strings are borrowed; one set of them at a time. */
FIXTURE const char *const *once_argv(const char *settings, const char *name)
{
    static char path[4096];
    static const char *argv[5];

    snprintf(path, sizeof(path), "%s", hf_build_path("tests/integration/run_once"));
    argv[0] = path;
    argv[1] = hf_test_plugin_path();
    argv[2] = settings;
    argv[3] = name;
    argv[4] = NULL;
    return argv;
}

#endif

/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/build_path.h"

#include <stdio.h>
#include <stdlib.h>

const char *hf_build_path(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    const char *build = getenv("HF_BUILD");
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", build && *build ? build : "build", name);
    return path;
}

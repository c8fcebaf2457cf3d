/* SPDX-License-Identifier: PostgreSQL
 *
 * options.h: reads the options of a command line by a table.
 *
 *     const char *config = NULL;
 *     bool help = false;
 *     const struct hf_option options[] = {
 *         {"--config", "-c", .value = &config, .what = "file name"},
 *         {"--help", "-h", .flag = &help},
 *         {.name = NULL},
 *     };
 *
 *     if (hf_options_read(options, argv + 1) != HF_OK)
 *         return 1;
 *
 * A value follows its option as the next word or after an equals sign. What is wrong is said on
 * stderr, with the nearest option where one is misspelt. Main thread.
 */
#ifndef HOSTFLAGS_PROXY_OPTIONS_H
#define HOSTFLAGS_PROXY_OPTIONS_H

#include <stdbool.h>

#include "host_api.h"

/* One row; the last of a table has no name. Either value or flag is set. */
struct hf_option {
    const char *name; /* "--config" */
    const char *letter; /* "-c"; NULL: none */
    const char **value; /* where its argument goes, borrowed from argv: NULL before it was given */
    const char *what; /* what that argument is, for messages: "file name" */
    bool *flag; /* set to true */
    bool bare; /* a word that is no option is this one's argument */
};

/* Reads all words of the NULL-terminated argv. HF_E_INVALID: stderr says why. */
int hf_options_read(const struct hf_option *options, char **argv)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * Prints the table of settings: for the README, or (argument: mdoc) for hostflags(7).
 */
#include "plugin/settings.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "mdoc") == 0)
        hf_settings_print_mdoc(stdout);
    else
        hf_settings_print_markdown(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

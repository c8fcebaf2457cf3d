/* SPDX-License-Identifier: PostgreSQL
 *
 * Prints the table of settings for the README.
 */
#include "plugin/settings.h"

int main(void)
{
    hf_settings_print_markdown(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

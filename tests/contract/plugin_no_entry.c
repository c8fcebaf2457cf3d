/* SPDX-License-Identifier: PostgreSQL
 *
 * plugin_no_entry.c: a library that is no plugin.
 */
int hf_test_no_entry(void);

int hf_test_no_entry(void)
{
    return 1;
}

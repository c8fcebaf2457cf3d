/* SPDX-License-Identifier: PostgreSQL
 *
 * within.h: functions of libraries that a program defines in their place, to note what is allocated
 * within them (enum hf_within) and to go on to the real ones: curl_global_init and
 * json_tokener_parse_ex. For what a library keeps, or loses, is held against it only there.
 *
 * A program that links this takes -rdynamic. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_OOM_WITHIN_H
#define HOSTFLAGS_TESTS_OOM_WITHIN_H

/* Looks for the real ones, before the first call: among the libraries of this program or of the
 * loaded plugin at that path (NULL: none). Ends the program where there are none. */
void hf_within_prepare(const char *plugin_path);

#endif

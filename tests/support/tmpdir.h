/* SPDX-License-Identifier: PostgreSQL
 *
 * tmpdir.h: a temporary directory with plain files in it. Threads: the caller's business.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_TMPDIR_H
#define HOSTFLAGS_TESTS_SUPPORT_TMPDIR_H

#include <stdbool.h>
#include <stddef.h>

/* A new directory below TMPDIR or /tmp, for nobody else to read. The caller passes it to
 * hf_tmpdir_remove(), which frees the name. NULL: could not be made; the reason is on stderr. */
char *hf_tmpdir_create(void);

/* Removes the directory with the files in it (it must not hold directories). NULL is fine. */
void hf_tmpdir_remove(char *directory);

/* Removes a directory with all below it; not the name. */
void hf_tmpdir_remove_tree(const char *directory);

/* "directory/name", for the caller to free. */
char *hf_tmpdir_path(const char *directory, const char *name);

/* Writes a whole file (replacing it by rename, so that no reader sees half of it) and returns its
 * name, for the caller to free. NULL: could not; the reason is on stderr. */
char *hf_tmpdir_write(const char *directory, const char *name, const char *text);

/* A whole file, NUL-terminated, for the caller to free. NULL: could not be read. */
char *hf_tmpdir_read(const char *path);

#endif

/* SPDX-License-Identifier: PostgreSQL
 *
 * ini.h: reads an INI file, by libinih, into events.
 *
 * What an INI file is here:
 *   - `[section]`, `key = value`, one each line; blanks around words do not matter
 *   - comments: lines that begin with ';' or '#', and the rest of a line after a blank and ';'
 *   - a value in matching quotes ("…" or '…') is what is between them, also ';' and outer blanks
 *   - CRLF line ends and a UTF-8 byte order mark are accepted
 * Everything else is a problem that names the line: no '=', no ']', text after a closing quote or
 * bracket, control characters (NUL among them), a key before the first section, a line of more
 * bytes than libinih takes. Reading goes on after a problem, so that all of them are reported.
 *
 * Pure but for reading the file; the events are called by hf_ini_read's thread.
 */
#ifndef HOSTFLAGS_PROXY_INI_H
#define HOSTFLAGS_PROXY_INI_H

/* Strings are borrowed for the call. Lines count from 1. */
struct hf_ini_events {
    void *ctx;
    void (*section)(void *ctx, int line, const char *name);
    void (*pair)(void *ctx, int line, const char *key, const char *value); /* of that section */
    void (*problem)(void *ctx, int line, const char *sentence); /* line 0: the file as a whole */
};

/* Reads the whole file. Problems, also that of a file which cannot be read, go to events->problem:
 * the file is good if that was never called. */
void hf_ini_read(const char *path, const struct hf_ini_events *events);

#endif

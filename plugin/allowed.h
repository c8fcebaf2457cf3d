/* SPDX-License-Identifier: PostgreSQL
 *
 * allowed.h: the setting allowed_hosts: "flags.internal, *.example.com, [::1]". Pure; any thread.
 *
 * A pattern is the name or address of an upstream, normalised as upstream.h does it, or "*." before
 * a name: any name that ends so, of one label more or several. The pattern *.example.com does not
 * fit example.com itself. Ports, schemes and org ids do not count.
 */
#ifndef HOSTFLAGS_ALLOWED_H
#define HOSTFLAGS_ALLOWED_H

#include "plugin/parse.h"
#include "plugin/upstream.h"

/* Reads a list that is not empty. *patterns: one after the other, each NUL-terminated, "*.x.y" as
 * ".x.y"; an empty one ends them. The caller frees it. False: complaint says which one is no
 * pattern; with an empty text: out of memory. */
bool hf_allowed_parse(const char *text, char **patterns, struct hf_complaint *complaint)
    __attribute__((warn_unused_result));

/* Whether one of them fits the upstream's host. patterns NULL: every host is allowed. */
bool hf_allowed_fits(const char *patterns, const struct hf_upstream_key *upstream);

#endif

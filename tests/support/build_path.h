/* SPDX-License-Identifier: PostgreSQL
 *
 * build_path.h: where the programs and plugins lie that a test starts or loads. Main thread.
 */
#ifndef HOSTFLAGS_TESTS_SUPPORT_BUILD_PATH_H
#define HOSTFLAGS_TESTS_SUPPORT_BUILD_PATH_H

/* name: from the directory that HF_BUILD says (build). In one of some buffers: the latest four
 * results can be used side by side. */
const char *hf_build_path(const char *name);

#endif

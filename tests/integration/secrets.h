/* SPDX-License-Identifier: PostgreSQL
 *
 * secrets.h: what nobody may read, as it is and in base64, and the search for it.
 */
#ifndef HOSTFLAGS_TESTS_INTEGRATION_SECRETS_H
#define HOSTFLAGS_TESTS_INTEGRATION_SECRETS_H

#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"

#define TOKEN "dapi0123456789abcdefSECRETfedcba9876543210"
#define TOKEN_64 "ZGFwaTAxMjM0NTY3ODlhYmNkZWZTRUNSRVRmZWRjYmE5ODc2NTQzMjEw"
#define PASSWORD "passwordSECRETpassword"
#define PASSWORD_64 "dXNlcjpwYXNzd29yZFNFQ1JFVHBhc3N3b3Jk" /* of user:PASSWORD */

static const char *const secrets[] = {TOKEN, TOKEN_64, PASSWORD, PASSWORD_64, "SECRET"};

__attribute__((unused)) static void check_text(const char *what, const char *text)
{
    for (size_t i = 0; text && i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (!CHECK(strstr(text, secrets[i]) == NULL))
            printf("            in: %s\n", what);
}

#endif

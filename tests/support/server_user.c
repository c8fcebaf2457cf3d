/* SPDX-License-Identifier: PostgreSQL */
#include "tests/support/server_user.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

const struct passwd *hf_server_user(void)
{
    const struct passwd *user;

    if (geteuid() != 0)
        return NULL;
    user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

void hf_server_user_command(const char **argv, const char *const *words)
{
    static char uid[32], gid[32];
    const struct passwd *user = hf_server_user();
    size_t count = 0;

    if (user) {
        snprintf(uid, sizeof(uid), "--reuid=%u", user->pw_uid);
        snprintf(gid, sizeof(gid), "--regid=%u", user->pw_gid);
        argv[count++] = "setpriv";
        argv[count++] = uid;
        argv[count++] = gid;
        argv[count++] = "--clear-groups";
    }
    while ((argv[count++] = *words++))
        ;
}

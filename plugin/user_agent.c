/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/user_agent.h"

#include <stdio.h>
#include <string.h>

#define PART_MAX 100

static void copy_part(char part[PART_MAX + 1], const char *text)
{
    int length = 0;

    for (; text != NULL && *text != '\0' && length < PART_MAX; text++) {
        if (*text > ' ' && *text <= '~' && strchr("()\\", *text) == NULL)
            part[length++] = *text;
    }
    part[length] = '\0';
}

void hf_user_agent(char agent[HF_USER_AGENT_MAX], const char *name, const char *version)
{
    char name_part[PART_MAX + 1], version_part[PART_MAX + 1];

    copy_part(name_part, name);
    copy_part(version_part, version);
    if (name_part[0] == '\0')
        snprintf(agent, HF_USER_AGENT_MAX, "%s/%s", HF_NAME, HF_VERSION);
    else
        snprintf(agent, HF_USER_AGENT_MAX, "%s/%s (%s%s%s)", HF_NAME, HF_VERSION, name_part,
            version_part[0] == '\0' ? "" : " ", version_part);
}

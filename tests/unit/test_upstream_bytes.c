/* SPDX-License-Identifier: PostgreSQL
 *
 * Upstream names of any bytes at all, the same in every run: what must hold for each of thousands.
 */
#include "plugin/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/chance.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void random_bytes(char *name)
{
    size_t length = draw(24);

    for (size_t i = 0; i < length; i++)
        name[i] = (char)(1 + draw(255));
    name[length] = '\0';
}

/* What names are made of, put together without sense: far more of these are accepted. */
static void random_pieces(char *name)
{
    static const char *const pieces[] = {"http://", "HTTPS://", "h", "A", "Name", "0", "12", "0x",
        "443", ":", ":", ":8443", ":65535", "65536", ".", ".", "-", "_", "/", "[", "]", "[::1]",
        "::", "ffff", "1.2.3.4", "127", "@", "?", "#", "%", "\\", " ", "\xc3\xa9", "\n"};
    size_t count = 1 + draw(6);

    name[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(name, pieces[draw(COUNT(pieces))]);
}

/* What is wrong with a key that was accepted; NULL: nothing. */
static const char *fault_of(const char *name, const struct hf_upstream_key *key)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct hf_upstream_key again;
    char allowed[128], origin[HF_ORIGIN_MAX];

    snprintf(allowed, sizeof(allowed), "%s0123456789-_.:/[]", letters);
    if (name[strspn(name, allowed)] != '\0')
        return "has a forbidden byte";
    if (strlen(key->host) != key->host_length || key->host_length == 0)
        return "has a length that is not its host's";
    if (strspn(key->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != key->host_length)
        return "has a host that is not normal";
    if (key->port == 0 || strlen(key->org_id) != key->org_id_length)
        return "has no port or a wrong org id";
    hf_upstream_origin(key, origin);
    if (hf_upstream_parse(&again, origin, key->port, key->org_id) != NULL)
        return "has an origin that is refused";
    if (!hf_upstream_equal(&again, key) || hf_upstream_hash(&again) != hf_upstream_hash(key))
        return "is another one after its origin was read";
    return NULL;
}

/* As in C, so that a failure can be printed and pasted. */
static void quote(const char *name, char *quoted)
{
    for (; *name != '\0'; name++) {
        bool plain = *name >= ' ' && *name <= '~' && *name != '"' && *name != '\\';

        quoted += sprintf(quoted, plain ? "%c" : "\\x%02x", (unsigned char)*name);
    }
    *quoted = '\0';
}

/* Gives the string a memory of exactly its size, so that a sanitizer sees a read beyond it. False:
 * refused. */
static bool try_name(const char *name)
{
    static const char digits[] = "0123456789";
    const char *org_id = draw(2) == 0 ? NULL : digits + draw(10), *fault = NULL;
    struct hf_upstream_key key;
    char *exact = strdup(name), quoted[1024], text[1200];
    bool accepted = hf_upstream_parse(&key, exact, 0, org_id) == NULL;

    free(exact);
    if (accepted)
        fault = fault_of(name, &key);
    quote(name, quoted);
    snprintf(text, sizeof(text), "\"%s\" %s", quoted, fault != NULL ? fault : "");
    CHECK_STR_EQ(fault != NULL ? text : NULL, NULL);
    return accepted;
}

static void test_any_bytes(void)
{
    char name[256];
    int accepted = 0;

    for (int i = 0; i < 20000; i++) {
        random_bytes(name);
        try_name(name);
        random_pieces(name);
        accepted += try_name(name);
    }
    CHECK_INT_BETWEEN(accepted, 1000, 19000); /* enough of both */
}

static const struct hf_test tests[] = {
    {"C17 C23 no forbidden byte, the origin leads back, nothing is read beyond", test_any_bytes},
};

int main(int argc, char **argv)
{
    return hf_suite_run("upstream bytes", tests, COUNT(tests), argc, argv);
}

/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static enum hf_token_state miss(struct hf_token *token, const char *why)
{
    hf_token_forget(token);
    snprintf(token->problem, sizeof(token->problem), "%s %s", token->source, why);
    return HF_TOKEN_MISSING;
}

/* Blanks and line ends around a token are those of an editor; anything else but visible ASCII would
 * break the header. */
static enum hf_token_state check(struct hf_token *token)
{
    char *text = token->text;
    size_t length = token->length, skip = 0;

    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL && text[length - 1] != '\0')
        length--;
    while (skip < length && strchr(" \t\r\n", text[skip]) != NULL && text[skip] != '\0')
        skip++;
    memmove(text, text + skip, length - skip);
    token->length = length - skip;
    text[token->length] = '\0';
    if (token->length == 0)
        return miss(token, "holds no token: it is empty");
    for (size_t i = 0; i < token->length; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return miss(token, "holds no token: expected printable ASCII without blanks");
    }
    return HF_TOKEN_READY;
}

/* ---- a file ---- */

/* token_file with the host's name in it. False: too long. */
static bool fill_path(const char *template, const char *host, char path[PATH_MAX])
{
    size_t used = 0;

    while (*template != '\0') {
        const char *end = strstr(template, HF_HOST_PLACEHOLDER);
        int text = (int)(end == NULL ? strlen(template) : (size_t)(end - template));
        used += (size_t)snprintf(
            path + used, PATH_MAX - used, "%.*s%s", text, template, end == NULL ? "" : host);
        if (used >= PATH_MAX)
            return false;
        template = end == NULL ? template + text : end + strlen(HF_HOST_PLACEHOLDER);
    }
    return true;
}

/* The length, at most size, or -1 with errno. */
static ssize_t read_whole(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got = 1;

    while (got != 0 && length < size) {
        got = read(fd, text + length, size - length);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0)
            length += (size_t)got;
    }
    return (ssize_t)length;
}

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
static enum hf_token_state read_file(const char *template, const char *host, struct hf_token *token)
{
    char path[PATH_MAX];
    struct stat facts;
    ssize_t length = -1;
    bool regular = true;
    int fd, error;

    snprintf(token->source, sizeof(token->source), "the file of token_file");
    if (!fill_path(template, host, path))
        return miss(token, "cannot be read: its path is too long");
    snprintf(token->source, sizeof(token->source), "the file %.*s", (int)sizeof(token->source) - 10,
        path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &facts) == 0) {
        regular = S_ISREG(facts.st_mode);
        if (regular)
            length = read_whole(fd, token->text, sizeof(token->text));
    }
    error = errno;
    if (fd >= 0)
        close(fd);
    if (!regular)
        return miss(token, "cannot be read: it is no regular file");
    if (length < 0) {
        char why[64];
        snprintf(why, sizeof(why), "cannot be read: %s", strerrordesc_np(error));
        return miss(token, why);
    }
    if (length > HF_TOKEN_MAX)
        return miss(token, "holds no token: it is larger than 8192 bytes");
    token->length = (size_t)length;
    return check(token);
}

/* ---- the others ---- */

/* The variable's name is never shown: whoever mistook the setting wrote the token there. */
static enum hf_token_state copy_variable(const char *value, struct hf_token *token)
{
    snprintf(token->source, sizeof(token->source), "the variable of token_env");
    if (value == NULL)
        return miss(token, "was not set when the settings were read");
    if (strlen(value) > HF_TOKEN_MAX)
        return miss(token, "holds no token: it is larger than 8192 bytes");
    token->length = strlen(value);
    memcpy(token->text, value, token->length);
    return check(token);
}

static enum hf_token_state ask_giver(
    const struct hf_token_giver *giver, const char *host, struct hf_token *token)
{
    int32_t length = giver->get(giver->arg, host, token->text, HF_TOKEN_MAX);

    snprintf(token->source, sizeof(token->source), "the host program");
    if (length < 0)
        return miss(token, "has no token now");
    if (length > HF_TOKEN_MAX)
        return miss(token, "gave no token: its length is over 8192 bytes");
    token->length = (size_t)length;
    return check(token);
}

enum hf_token_state hf_token_read(const struct hf_settings *settings,
    const struct hf_token_giver *giver, const char *host, struct hf_token *token)
{
    token->length = 0;
    token->text[0] = token->source[0] = token->problem[0] = '\0';
    if (settings->token_file != NULL)
        return read_file(settings->token_file, host, token);
    if (settings->token_env != NULL)
        return copy_variable(settings->token, token);
    if (giver->get != NULL)
        return ask_giver(giver, host, token);
    return HF_TOKEN_NONE;
}

uint64_t hf_token_mark(const struct hf_token *token, uint64_t salt)
{
    return token->length == 0 ? 0 : XXH3_64bits_withSeed(token->text, token->length, salt) | 1;
}

void hf_token_forget(struct hf_token *token)
{
    explicit_bzero(token->text, sizeof(token->text));
    token->length = 0;
}

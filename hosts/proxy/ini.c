/* SPDX-License-Identifier: PostgreSQL
 *
 * ini.c: see ini.h.
 *
 * libinih splits lines into sections, keys and values. It knows nothing of quotes, cuts lines at
 * 200 bytes and section names at 49 without a word, takes an indented line for the continuation of
 * the line before, and does not say where it is. So the reader below, from which it takes its
 * lines, looks at each line first: it removes the comment, remembers a quoted value (the handler
 * takes that one instead of libinih's), and replaces a bad line by an empty one after reporting it.
 */
#include "hosts/proxy/ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RAW_LINE = 4096, MAX_FILE = 1024 * 1024, MAX_SECTION_NAME = 49 };

struct reader {
    FILE *file;
    const struct hf_ini_events *events;
    int line;
    size_t file_length;
    bool in_section; /* a good [section] line was seen */
    bool bad_section; /* the latest was not good: its keys mean nothing */
    const char *quoted; /* into text: the value of the current line, if it is in quotes */
    char text[MAX_RAW_LINE]; /* the current line, without its comment */
};

__attribute__((format(printf, 2, 3))) static void problem(
    const struct reader *reader, const char *format, ...)
{
    char sentence[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    reader->events->problem(reader->events->ctx, reader->line, sentence);
}

/* Reads one line into reader->text, without its line end, and returns its length: that of the whole
 * line, also where only its beginning fits. -1: no more lines. */
static long read_raw_line(struct reader *reader)
{
    size_t length = 0;
    int c = EOF;

    while (reader->file_length < MAX_FILE && (c = getc(reader->file)) != EOF) {
        reader->file_length++;
        if (c == '\n')
            break;
        if (length < MAX_RAW_LINE - 1)
            reader->text[length] = (char)c;
        length++;
    }
    if (length > 0 && length < MAX_RAW_LINE && reader->text[length - 1] == '\r')
        length--;
    reader->text[length < MAX_RAW_LINE ? length : MAX_RAW_LINE - 1] = '\0';
    return c == EOF && length == 0 ? -1 : (long)length;
}

static bool has_control_character(const struct reader *reader, long length)
{
    for (long i = 0; i < length && i < MAX_RAW_LINE - 1; i++) {
        unsigned char byte = (unsigned char)reader->text[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            problem(reader, "the line has a control character, byte 0x%02x; expected text", byte);
            return true;
        }
    }
    return false;
}

static char *skip_blanks(char *at)
{
    while (isblank((unsigned char)*at))
        at++;
    return at;
}

static void trim_end(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && isblank((unsigned char)text[length - 1]))
        text[--length] = '\0';
}

/* Cuts an inline comment: a ';' after a blank. */
static void cut_comment(char *text)
{
    for (char *at = text; *at; at++) {
        if (*at == ';' && at > text && isblank((unsigned char)at[-1])) {
            *at = '\0';
            break;
        }
    }
    trim_end(text);
}

static bool check_section(struct reader *reader, char *text)
{
    char name[MAX_SECTION_NAME + 1];
    char *end;

    cut_comment(text);
    reader->bad_section = true;
    end = strchr(text, ']');
    if (!end)
        problem(reader, "the section `%.60s` has no closing ]", text);
    else if (end[1])
        problem(reader, "unexpected text after the section; expected one line each");
    else if (end - text - 1 > MAX_SECTION_NAME)
        problem(reader, "the section's name is longer than %d bytes", MAX_SECTION_NAME);
    else if (skip_blanks(text + 1) == end)
        problem(reader, "the section has no name; expected [proxy], say");
    else
        reader->bad_section = false;
    if (reader->bad_section)
        return false;
    reader->in_section = true;
    snprintf(name, sizeof(name), "%.*s", (int)(end - text - 1), text + 1);
    trim_end(name);
    reader->events->section(reader->events->ctx, reader->line, skip_blanks(name));
    return true;
}

static bool check_quoted(struct reader *reader, char *value)
{
    char *end = strchr(value + 1, *value);
    char *rest;

    if (!end) {
        problem(reader, "the quote %c is opened and never closed", *value);
        return false;
    }
    *end = '\0';
    rest = skip_blanks(end + 1);
    if (*rest && *rest != ';') {
        problem(reader, "unexpected text after the closing quote; expected nothing or a comment");
        return false;
    }
    reader->quoted = value + 1;
    return true;
}

/* What is shown of a bad line is its first word: the rest may be a password, say. */
static bool check_pair(struct reader *reader, char *text)
{
    char *separator = strpbrk(text, "=:");
    int word = (int)strcspn(text, " \t=:");
    char *value;

    if (!separator || *separator != '=') {
        problem(
            reader, "`%.*s` is no setting; expected `key = value`", word < 60 ? word : 60, text);
        return false;
    }
    if (separator == text) {
        problem(reader, "there is no key in front of the `=`; expected `key = value`");
        return false;
    }
    if (!reader->in_section && !reader->bad_section) {
        problem(reader, "`%.*s` stands before the first section; expected [proxy], say, first",
            word < 60 ? word : 60, text);
        return false;
    }
    value = skip_blanks(separator + 1);
    if (*value == '"' || *value == '\'')
        return check_quoted(reader, value);
    cut_comment(separator);
    return true;
}

/* What libinih is to see of the current line; NULL: nothing. */
static const char *check_line(struct reader *reader, size_t max_length)
{
    char *text = reader->text;

    if (reader->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    text = skip_blanks(text);
    if (*text == '\0' || *text == ';' || *text == '#')
        return NULL;
    if (*text == '[' ? !check_section(reader, text) : !check_pair(reader, text))
        return NULL;
    if (strlen(text) <= max_length)
        return text;
    problem(reader,
        "the line is longer than %zu bytes; expected a shorter one (a list of flags can be split "
        "over several lines `flags = …`)",
        max_length);
    return NULL;
}

/* The reader that ini_parse_stream calls in place of fgets. */
static char *next_line(char *into, int size, void *stream)
{
    struct reader *reader = stream;
    const char *text = NULL;
    long length = read_raw_line(reader);

    if (length < 0)
        return NULL;
    reader->line++;
    reader->quoted = NULL;
    if (!has_control_character(reader, length))
        text = check_line(reader, (size_t)size - 3); /* libinih wants room for CR, LF and NUL */
    snprintf(into, (size_t)size, "%s\n", text ? text : "");
    return into;
}

static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    struct reader *reader = user;

    (void)section; /* on_section said it, with its line */
    if (!reader->bad_section)
        reader->events->pair(
            reader->events->ctx, reader->line, key, reader->quoted ? reader->quoted : value);
    return 1;
}

static void parse(struct reader *reader)
{
    int result = ini_parse_stream(next_line, reader, on_pair, reader);

    if (result > 0) {
        reader->line = result;
        problem(reader, "the line is not understood; expected `key = value`");
    }
    reader->line = 0;
    if (ferror(reader->file))
        problem(reader, "reading failed: %s", strerror(errno));
    else if (reader->file_length >= MAX_FILE)
        problem(reader, "the file has %d bytes or more; expected a configuration file", MAX_FILE);
}

/* NULL: impossible, as was reported. Neither opening nor reading waits for anybody: O_NONBLOCK is
 * for a FIFO, which is refused then. */
static FILE *open_file(const struct reader *reader, const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat facts;
    FILE *file = NULL;

    if (fd >= 0 && fstat(fd, &facts) == 0 && !S_ISREG(facts.st_mode))
        problem(reader, "it is not a regular file; expected a configuration file");
    else if (fd < 0 || !(file = fdopen(fd, "r")))
        problem(reader, "%s; expected a readable file", strerror(errno));
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

void hf_ini_read(const char *path, const struct hf_ini_events *events)
{
    struct reader reader = {.events = events};

    reader.file = open_file(&reader, path);
    if (!reader.file)
        return;
    parse(&reader);
    fclose(reader.file);
}

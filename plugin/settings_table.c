/* SPDX-License-Identifier: PostgreSQL */
#include "plugin/settings_table.h"

#include "plugin/parse.h"
#include "plugin/settings.h"

#include <inttypes.h>
#include <string.h>

#define MEMBER(name) offsetof(struct hf_settings, name)
#define ANSWERS "name=on, name=off, ... with names that are in flags, each one once"
#define READABLE "a file that can be read"
#define MINUTE INT64_C(60000)
#define DAY (1440 * MINUTE)

const struct hf_setting_row hf_settings_table[HF_SETTINGS_COUNT] = {
    {"flags", "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver",
        HF_KIND_FLAGS, .restart = true,
        .valid = "1 to 64 names, separated by commas, each one once and of 1 to 255 printable "
                 "ASCII characters other than blank, comma, =, \" and \\",
        .help = "The flags to ask for. A flag's number is its position here, from 0."},
    {"defaults", "", HF_KIND_TEXT, MEMBER(defaults_text), .valid = ANSWERS,
        .help = "The answers while nothing is known. A flag that is not named is off."},
    {"overrides", "", HF_KIND_TEXT, MEMBER(overrides_text), .valid = ANSWERS,
        .help = "Answers that stand whatever the service says. With all flags overridden it is not "
                "asked at all."},
    {"enabled", "on", HF_KIND_SWITCH, MEMBER(rules.enabled), .valid = "on or off",
        .help = "`off`: nothing is asked, and the answers are `defaults` and `overrides`."},
    {"protocol", "databricks", HF_KIND_PROTOCOL, .request = true,
        .help = "What the flag service speaks."},
    {"endpoint", "", HF_KIND_ENDPOINT, MEMBER(endpoint), .request = true,
        .valid = "a path that begins with /, of printable ASCII without blank, //, # and \\, with "
                 "no other placeholders than {client}, {client_version} and {flags}",
        .help = "The path to ask, with a query if need be. Empty: the protocol's."},
    {"service", "", HF_KIND_SERVICE, MEMBER(service), .request = true,
        .valid = "scheme, host and port, such as https://{host}:8443 or https://flags.internal",
        .help =
            "Where the flags are served; `{host}` stands for the upstream's host. Empty: by the "
            "upstream itself."},
    {"client", "GOLANG", HF_KIND_WORD, MEMBER(client), .request = true,
        .valid = "1 to 64 letters, digits, dots, - and _, not dots alone",
        .help = "What stands for `{client}` in the path."},
    {"client_version", "1.0.0", HF_KIND_VERSION, MEMBER(client_version), .request = true,
        .valid = "1 to 64 letters, digits, dots and _, not dots alone; from the first - on it is "
                 "cut off",
        .help = "What stands for `{client_version}` in the path: `1.2.0` of `1.2.0-rc1`."},
    {"ttl", "15min", HF_KIND_DURATION, MEMBER(policy.ttl_ms), 100, 7 * DAY,
        .help = "How long an answer is fresh, where the service does not say."},
    {"ttl_min", "60s", HF_KIND_DURATION, MEMBER(policy.ttl_min_ms), 100, 7 * DAY,
        .help = "Where the service says less, this counts. At most `ttl_max`."},
    {"ttl_max", "1h", HF_KIND_DURATION, MEMBER(policy.ttl_max_ms), 100, 7 * DAY,
        .help = "Where the service says more, this counts."},
    {"linger", "15min", HF_KIND_DURATION, MEMBER(policy.linger_ms), 0, 7 * DAY,
        .help =
            "How long a host without connections is remembered, at most until its TTL is over."},
    {"max_stale", "0", HF_KIND_DURATION, MEMBER(policy.max_stale_ms), 0, 30 * DAY,
        .help = "How long past its TTL an answer stands while the service fails. `0`: for ever."},
    {"prefetch", "on", HF_KIND_SWITCH, MEMBER(prefetch), .valid = "on or off",
        .help = "`on`: a host is asked at its first connection; `off`: at its first read."},
    {"connect_timeout", "3s", HF_KIND_DURATION, MEMBER(connect_timeout_ms), 100, 5 * MINUTE,
        .help = "For connecting to a flag service; `request_timeout` counts as well."},
    {"request_timeout", "10s", HF_KIND_DURATION, MEMBER(request_timeout_ms), 100, 5 * MINUTE,
        .help = "For a request as a whole."},
    {"max_response_size", "1MB", HF_KIND_SIZE, MEMBER(max_response_bytes), 1024, 64 * 1048576,
        .help = "Of a flag document, decompressed."},
    {"max_in_flight", "32", HF_KIND_COUNT, MEMBER(max_in_flight), 1, 1024,
        .help = "Requests at a time."},
    {"max_hosts", "1024", HF_KIND_COUNT, MEMBER(max_hosts), 1, 1048576, .help = "Hosts at a time.",
        .restart = true},
    {"max_connections", "65536", HF_KIND_COUNT, MEMBER(max_connections), 1, 16777216,
        .help = "Connections at a time.", .restart = true},
    {"share", "off", HF_KIND_SWITCH, MEMBER(share), .valid = "on or off",
        .help = "`on`: processes forked after `init` share one cache.", .restart = true},
    {"token_file", "", HF_KIND_PATH, MEMBER(token_file), .request = true, .private = true,
        .valid = "the absolute path of a file; {host} in it stands for the upstream's host",
        .help = "Where the bearer token for a host lies, read anew for each request. Without "
                "`{host}` in it `allowed_hosts` is needed."},
    {"token_env", "", HF_KIND_VARIABLE, MEMBER(token_env), .request = true, .private = true,
        .valid = "the name of a variable of the environment, of letters, digits and _",
        .help = "The variable that holds the bearer token for all hosts. Needs `allowed_hosts`."},
    {"allowed_hosts", "", HF_KIND_HOSTS, MEMBER(allowed_hosts),
        .valid = "host names, addresses or *.suffix, separated by commas, such as db.example.com, "
                 "*.example.org",
        .help = "The hosts that may be asked; connections to others get no reference. Empty: any."},
    {"ca_file", "", HF_KIND_FILE, MEMBER(ca_file), .request = true, .valid = READABLE,
        .help = "The certificate authorities to trust, and no others, as PEM. Empty: those of "
                "libcurl."},
    {"client_cert_file", "", HF_KIND_FILE, MEMBER(client_cert_file), .request = true,
        .valid = READABLE,
        .help = "The certificate to show to a service that asks for one, as PEM."},
    {"client_key_file", "", HF_KIND_FILE, MEMBER(client_key_file), .request = true,
        .valid = READABLE,
        .help = "Its private key, as PEM, not encrypted. Empty: it is in `client_cert_file`."},
    {"proxy", "", HF_KIND_PROXY, MEMBER(proxy), .request = true,
        .valid = "[scheme://][user:password@]host:port",
        .help =
            "The proxy to ask through, but for loopback addresses. In user and password `/?#@` are "
            "written `%2F%3F%23%40`; the password is never shown. Empty: what the environment "
            "says (`https_proxy`, `no_proxy`)."},
    {"allow_http", "off", HF_KIND_ALLOW_HTTP, MEMBER(allow_http), .request = true,
        .valid = "off, loopback or any",
        .help = "Where plain http may go: nowhere, to literal loopback addresses, anywhere. Under "
                "`any` no token is sent by http."},
};

static bool is_number(const struct hf_setting_row *row)
{
    return row->kind == HF_KIND_DURATION || row->kind == HF_KIND_SIZE || row->kind == HF_KIND_COUNT;
}

static const char *valid_text(const struct hf_setting_row *row)
{
    return row->kind == HF_KIND_PROTOCOL ? hf_protocol_names() : row->valid;
}

/* "100ms to 7d". */
static void describe_range(const struct hf_setting_row *row, char *out, size_t size)
{
    char low[HF_FORMAT_MAX], high[HF_FORMAT_MAX];

    if (row->kind == HF_KIND_DURATION) {
        hf_format_duration(row->min, low);
        hf_format_duration(row->max, high);
    } else if (row->kind == HF_KIND_SIZE) {
        hf_format_size(row->min, low);
        hf_format_size(row->max, high);
    } else {
        snprintf(low, sizeof(low), "%" PRId64, row->min);
        snprintf(high, sizeof(high), "%" PRId64, row->max);
    }
    snprintf(out, size, "%s to %s", low, high);
}

void hf_settings_describe_valid(const struct hf_setting_row *row, char *out, size_t size)
{
    const char *example = strcmp(row->initial, "0") == 0 ? "1h" : row->initial;
    char range[2 * HF_FORMAT_MAX + 4];

    if (!is_number(row)) {
        snprintf(out, size, "%s", valid_text(row));
        return;
    }
    describe_range(row, range, sizeof(range));
    if (row->kind == HF_KIND_DURATION)
        snprintf(out, size, "a duration from %s with a unit of ms, s, min, h or d, such as %s",
            range, example);
    else if (row->kind == HF_KIND_SIZE)
        snprintf(out, size, "a size from %s with a unit of kB or MB, such as %s", range, example);
    else
        snprintf(out, size, "a whole number from %s", range);
}

static void print_row(FILE *out, const struct hf_setting_row *row)
{
    const char *quote = row->initial[0] == '\0' ? "" : "`";
    char range[2 * HF_FORMAT_MAX + 4];

    describe_range(row, range, sizeof(range));
    fprintf(out, "| `%s` | %s%s%s | %s | %s | %s |\n", row->key, quote,
        row->initial[0] == '\0' ? "empty" : row->initial, quote,
        is_number(row) ? range : valid_text(row), row->restart ? "restart" : "yes", row->help);
}

void hf_settings_print_markdown(FILE *out)
{
    fputs("| setting | default | valid | reload | meaning |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++)
        print_row(out, &hf_settings_table[i]);
}

/* Text for mdoc: `name` becomes bold, a backslash is no command, a sentence begins a line. */
static void print_mdoc_text(FILE *out, const char *text)
{
    bool bold = false;

    for (; *text != '\0'; text++) {
        if (*text == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
        } else if (*text == '\\') {
            fputs("\\e", out);
        } else if (strncmp(text, ". ", 2) == 0) {
            fputs(".\n", out);
            text++;
        } else {
            fputc(*text, out);
        }
    }
}

void hf_settings_print_mdoc(FILE *out)
{
    char range[2 * HF_FORMAT_MAX + 4];

    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < HF_SETTINGS_COUNT; i++) {
        const struct hf_setting_row *row = &hf_settings_table[i];

        describe_range(row, range, sizeof(range));
        fprintf(out, ".It Cm %s\n", row->key);
        print_mdoc_text(out, row->help);
        fputs("\nValid: ", out);
        print_mdoc_text(out, is_number(row) ? range : valid_text(row));
        fprintf(out, ".\nDefault: %s%s.\n", row->initial[0] == '\0' ? "empty" : row->initial,
            row->restart ? "; a change needs a restart" : "");
    }
    fputs(".El\n", out);
}

/* SPDX-License-Identifier: PostgreSQL
 *
 * A flag document of any bytes. What is accepted says of each flag what a strict second reading
 * says; what is refused leaves nothing behind; and nothing is refused that is in order.
 */
#include "plugin/decode.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/strict_document.h"

/* As many as there can be, most of them of one letter: the fuzzer finds these by itself. */
static const char *const names[HF_MAX_FLAGS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
    "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "A", "B", "C",
    "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V",
    "W", "X", "Y", "Z", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "flags",
    "databricks.partnerplatform.clientConfigsFeatureFlags.enableTelemetryForGoDriver"};

/* A shorter document can cost no more than it may, even where it is all brackets. */
#define CHEAP_BYTES (HF_JSON_COST_MAX / 8)

/* Whether nothing excuses a refusal: decode.h says what is refused though it is JSON. */
static bool must_be_accepted(const struct hf_strict_document *strict, size_t size)
{
    return strict->is_document && strict->levels <= HF_JSON_DEPTH_MAX && !strict->nul_in_name &&
        size < CHEAP_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_document untouched = {0xdead, 0xbeef, 4711};
    struct hf_strict_document strict = hf_strict_read(names, COUNT(names), data, size);
    struct hf_document document = untouched;
    const char *refused = hf_decode(
        hf_protocol_find("databricks"), names, COUNT(names), (const char *)data, size, &document);

    if (refused != NULL) {
        HOLDS(memcmp(&document, &untouched, sizeof(document)) == 0);
        HOLDS(!must_be_accepted(&strict, size));
        return 0;
    }
    HOLDS(strict.is_document);
    HOLDS((document.on & ~strict.on) == 0);
    HOLDS(document.on == strict.on);
    HOLDS(document.sent == strict.sent);
    HOLDS(document.ttl_seconds == strict.ttl_seconds);
    return 0;
}

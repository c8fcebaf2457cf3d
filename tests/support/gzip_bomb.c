/* SPDX-License-Identifier: PostgreSQL
 *
 * One block with fixed Huffman codes (RFC 1951, 3.2.6): the space itself, then "258 bytes again
 * from one byte back" as often as needed, then the end of the block. Huffman codes go into the
 * stream with their highest bit first, everything else with its lowest.
 */
#include "tests/support/gzip_bomb.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 10
#define TRAILER_BYTES 8
#define MATCH_BYTES 258
#define MATCH_BITS 13

struct bits {
    uint8_t *bytes; /* zeroed */
    size_t position; /* in bits */
};

static void put_bits(struct bits *out, unsigned value, unsigned count)
{
    for (unsigned i = 0; i < count; i++, out->position++)
        out->bytes[out->position / 8] |= (uint8_t)((value >> i & 1) << out->position % 8);
}

static void put_code(struct bits *out, unsigned code, unsigned count)
{
    while (count-- > 0)
        put_bits(out, code >> count & 1, 1);
}

static void put_u32(struct bits *out, uint32_t value)
{
    put_bits(out, value & 0xffff, 16);
    put_bits(out, value >> 16, 16);
}

/* The CRC of RFC 1952, section 8, of length spaces. */
static uint32_t crc_of_spaces(size_t length)
{
    uint32_t table[256], crc = ~0u;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
    }
    while (length-- > 0)
        crc = table[(crc ^ ' ') & 0xff] ^ crc >> 8;
    return ~crc;
}

uint8_t *hf_gzip_bomb_create(unsigned mib, size_t *len)
{
    static const uint8_t header[HEADER_BYTES] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    size_t matches = ((size_t)mib * 1024 * 1024 + MATCH_BYTES - 1) / MATCH_BYTES;
    size_t plain = 1 + matches * MATCH_BYTES;
    struct bits out = {.position = HEADER_BYTES * 8};

    out.bytes = calloc(1, HEADER_BYTES + matches * MATCH_BITS / 8 + 4 + TRAILER_BYTES);
    if (!out.bytes)
        return NULL;
    memcpy(out.bytes, header, HEADER_BYTES);
    put_bits(&out, 1, 1); /* the last block … */
    put_bits(&out, 1, 2); /* … has fixed codes */
    put_code(&out, 0x30 + ' ', 8);
    for (size_t i = 0; i < matches; i++) {
        put_code(&out, 0xc5, 8); /* symbol 285: length 258 */
        put_code(&out, 0, 5); /* distance 1 */
    }
    put_code(&out, 0, 7); /* end of block */
    out.position = (out.position + 7) / 8 * 8;
    put_u32(&out, crc_of_spaces(plain));
    put_u32(&out, (uint32_t)plain);
    *len = out.position / 8;
    return out.bytes;
}

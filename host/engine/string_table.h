/* SPDX-License-Identifier: Apache-2.0 */
/* Byte strings one after the other in one block, and the hash table that finds the number of one:
 * what the vocabularies of all tokenizers are made of. */
#ifndef SL_ENGINE_STRING_TABLE_H
#define SL_ENGINE_STRING_TABLE_H

#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/* A view: whoever filled the arrays owns them. String i is bytes[offset[i] .. offset[i + 1]). */
struct sl_strings {
    const uint8_t *bytes;
    const uint32_t *offset;
    const uint32_t *slot; /* number + 1, 0 when empty; linear probing, never full */
    uint32_t mask;        /* slots - 1, a power of two minus one */
};

/* Slot that holds these bytes, or the empty slot where they belong. */
static inline uint32_t sl_strings_slot(const struct sl_strings *s, const uint8_t *bytes, size_t len)
{
    uint32_t i = (uint32_t)XXH3_64bits(bytes, len) & s->mask;
    for (; s->slot[i]; i = (i + 1) & s->mask) {
        uint32_t at = s->offset[s->slot[i] - 1];
        if (s->offset[s->slot[i]] - at == len && !memcmp(s->bytes + at, bytes, len))
            break;
    }
    return i;
}

/* Slots for n strings: a power of two, at most half full. */
static inline uint32_t sl_strings_slots(uint32_t n)
{
    uint32_t slots = 512;
    while (slots / 2 < n)
        slots *= 2;
    return slots;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a protobuf message, one after the other. */
#ifndef SL_ENGINE_PROTOBUF_H
#define SL_ENGINE_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a message; bytes are borrowed. */
struct sl_pb {
    const uint8_t *at, *end;
};

enum sl_pb_wire { SL_PB_VARINT = 0, SL_PB_64 = 1, SL_PB_BYTES = 2, SL_PB_32 = 5 };

struct sl_pb_field {
    uint32_t number;
    enum sl_pb_wire wire;
    uint64_t value;     /* of a number; the bits of a float or double */
    struct sl_pb bytes; /* of a string or a message */
};

/* Takes the next field. False at the end, and, with *damaged set, where the bytes are none: they
 * end inside a field, or use groups, which no such file has. */
bool sl_pb_next(struct sl_pb *message, struct sl_pb_field *out, bool *damaged);

#endif
